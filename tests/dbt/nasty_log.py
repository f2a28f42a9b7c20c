"""A log of all that breaks monitoring: odd numbers, texts, days, and versions."""

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from simulator.loading import create_raw_schema
from tests.dbt.prediction_log import (
    LOADED_AT,
    Prediction,
    insert_baseline,
    insert_labels,
    insert_predictions,
)

# What a JSON log can hold where a number is expected; MISSING leaves the key out.
MISSING = object()
NUMBERS: tuple[object, ...] = (
    *(0, -0.0, 1.5, -3, 1e9, 1e-14, 1e99, 1e101, 1e150, -1e150, 1e308, -1e308),
    *(1e-90, 1e-120, 1e-320, 5e-324, -5e-324),
    *("12.5", "+3", ".5", "5.", "1e5", "1E+2", "-1e-5", "1e99", "1e-99", "1e120"),
    *("1e-320", "1e400", "-1e400", "1e-400", "1e9999999999", "1e-9999999999"),
    *("9" * 99, "9" * 300, "9" * 140_000, "0." + "0" * 300 + "1"),
    *("0." + "0" * 20_000 + "1", "1" * 5_000 + "." + "1" * 5_000),
    *("abc", "", " ", "NaN", "Infinity", "-Infinity", "0x1f", "1,5", "1_000", "1 2"),
    *("--1", "e5", ".", "\uff11\uff12", "true", "null"),
    *(True, False, {}, {"a": 1}, [], [1, 2], None, MISSING),
)
# And where a category is.
LONG = "".join(
    random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=10_000)
)
CATEGORIES: tuple[object, ...] = (
    *("plain", "all", "(null)", "(none)", "(all)", "null", "NaN", "", " ", "\t\n"),
    *("O'Hare", 'quo"te', "✈️ 🛬", "two\nlines", "back\\slash", "%s", "%(name)s", "%"),
    *("{{ 1 / 0 }}", "{% raw %}", "a x b", "'; drop schema raw cascade; --", LONG),
    *("É", "É", "x" * 10_000, 1, 1.0, 1e2, True, {"a": [1, "ü"]}, [1, "b"], []),
    *(None, MISSING),
)
# Features that no monitor names, and what is no object of features at all.
UNKNOWN_FEATURES = (
    *(
        "",
        " ",
        "O'Hare",
        'quo"te',
        "✈️ 🛬",
        "two\nlines",
        "back\\slash",
        "%s",
        LONG[:1000],
    ),
    *("{{ 1 / 0 }}", "prediction", "actual", "(unknown) prediction", "prediction_id"),
    *("(all features)", "(other)", "Value", "x" * 1000, "x" * 200, "all"),
)
NO_FEATURES = ("null", "[]", '["value", "select"]', '"value"', "3", "true", "{}")
SCORES: tuple[object, ...] = (
    *(0, 1, 0.5, 1e-14, 1 - 1e-16, 1e-300, 5e-324, 0.005, 0.995, 1.5, -0.5),
    *("0.7", "NaN", "abc", True, None, MISSING),
)
LATENCIES = (
    *(-5.0, math.nan, 0.0, 5e-324, 1e-160, 0.3, 250.0, 250.1, 1e140, 1e308),
    *(math.inf, -math.inf, None),
)
VERSIONS = (
    *("1", "all", "(none)", "", "O'Hare", 'quo"te', "🛬", "two\nlines", "back\\slash"),
    *("%s", "{{ 1 / 0 }}", LONG),
)

# A day before, on and after each change to and from summer time in New York, a leap day
# with one row, and days without any between.
DAYS = (
    *(datetime(2026, 3, day, tzinfo=UTC) for day in (6, 8, 9)),
    *(datetime(2026, 10, 31, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
)
SHIFTED_DAY = datetime(2026, 11, 3, tzinfo=UTC)
CROWDED_DAY = datetime(2026, 11, 5, tzinfo=UTC)
LEAP_DAY = datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)

# Features may be called like anything that SQL or the models use.
REGRESSION_FEATURES = {
    "value": "numerical",
    "select": "numerical",
    "edges": "numerical",
    "category": "categorical",
    "grain": "categorical",
}
BINARY_FEATURES = {
    "mixed": "numerical",
    "constant": "numerical",
    "always_null": "numerical",
    "offset": "numerical",
    "tied": "numerical",
    "heavy": "numerical",
    "tiny": "numerical",
    "shifted": "numerical",
    "shifted_and_outlier": "numerical",
    "shifted_and_nulls": "numerical",
    "label": "categorical",
    "never": "categorical",
}
MULTICLASS_FEATURES = {"only": "numerical", "kind": "categorical"}


def nasty_alerts() -> dict[str, Any]:
    """Rules of every method, in every direction, most of which fire all the time."""
    everywhere = {"versions": "every", "segment": "*", "minimum_sample": 1}
    quality = {"family": "data_quality", **everywhere}
    learned = {"method": "learned", "minimum_history": 1, "period": "500 days"}
    alerts: dict[str, Any] = {
        "implausible_values": False,
        "unseen_rate": {"warning": None, "roles": None, "open_after": 3},
        "far_from_zero": {
            **quality,
            "metric": "mean",
            "method": "static",
            "direction": "both",
            "roles": "feature prediction score actual",
            "warning": 1,
            "critical": 1e15,
        },
        "significant": {
            "family": "drift",
            **everywhere,
            "metric": "ks",
            "method": "significance",
            "warning": 0.5,
            "critical": 0.0001,
        },
        "like_a_burn_rate": {
            "family": "service_health",
            "metric": "burn_rate",
            "method": "burn_rate",
            "columns": "*page_*",
            "versions": "each",
            "minimum_sample": 1,
            "warning": 1,
        },
        "errors": {
            "family": "service_health",
            **everywhere,
            "metric": "availability",
            "method": "static",
            "direction": "below",
            "warning": 0.99,
            "close_after": 2,
        },
        "requests": {
            "family": "service_health",
            **everywhere,
            **learned,
            "metric": "request_count",
            "period": "3 days",
            "season": "hour of day",
            "direction": "both",
            "minimum_sample": 0,
            "warning": 1,
        },
    }
    for compared_as in ("difference", "ratio"):
        for direction in ("above", "below", "both"):
            below = -1 if direction == "below" else 1
            alerts[f"baseline_{compared_as}_{direction}"] = {
                **quality,
                "metric": "p75",
                "method": "baseline",
                "compared_as": compared_as,
                "direction": direction,
                "warning": 0.5**below if compared_as == "ratio" else 0.25 * below,
                "critical": 1.5,
                "minimum_ratio": 0.5,
            }
            alerts[f"learned_{compared_as}_{direction}"] = {
                **quality,
                **learned,
                "metric": "stddev",
                "compared_as": compared_as,
                "direction": direction,
                "warning": 0.5,
                "critical": 5,
                "season": "day of week" if direction == "both" else "none",
                "minimum_change": 0.25,
                "minimum_ratio": 0.125,
            }
    return alerts


def nasty_blocks() -> list[dict[str, Any]]:
    """The monitor blocks of the log; the last one's baseline is empty."""
    shared = {
        "labels": {"expected_within": "2 days"},
        "owner": "O'Hare {{ 1 / 0 }} %s",
        "alerts": nasty_alerts(),
    }
    return [
        {
            "name": "flight_delay",
            "predictions": "stg_flights__flight_delay",
            "task": "regression",
            "features": REGRESSION_FEATURES,
            "segments": ["category", "grain x category"],
            "baseline": {"relation": "stg_flights__flight_delay_baseline"},
            "minimum_sample": 1,
            **shared,
        },
        {
            "name": "flight_delayed",
            "predictions": "stg_flights__flight_delayed",
            "task": "binary",
            "positive_class": "true",
            "features": BINARY_FEATURES,
            "segments": ["tied"],
            # Over the night in which New York's clocks change.
            "baseline": {"first": "3 days"},
            **shared,
        },
        {
            "name": "flight_delay_band",
            "predictions": "stg_flights__flight_delay_band",
            "task": "multiclass",
            "features": MULTICLASS_FEATURES,
            "baseline": {"relation": "stg_flights__flight_delay_band_baseline"},
            "windows": {"traffic": "5 minutes"},
            **shared,
        },
    ]


@dataclass
class Nasty:
    """Draws values out of the lists above, each of them at least once."""

    generator: np.random.Generator
    drawn: int = 0

    def of(self, values: Sequence[Any]) -> Any:
        """The next value of a list, each list in an order of its own."""
        self.drawn += 1
        if self.generator.random() < 0.5:
            return values[self.drawn % len(values)]
        return values[int(self.generator.integers(len(values)))]


def write_nasty_log(connection: psycopg.Connection) -> None:
    """Fill an empty database."""
    create_raw_schema(connection)
    nasty = Nasty(generator=np.random.default_rng(11))
    for write in (_write_regression, _write_binary, _write_multiclass):
        write(connection, nasty)
    connection.execute(
        """
        insert into raw.prediction_logs (
            prediction_id, model_name, model_version, predicted_at, features, prediction
        )
        values ('of nobody', 'unknown_model', '1', now(), '{"value": 1}', '1')
        """
    )
    connection.execute(
        """
        update raw.prediction_logs
        set features = (%s::jsonb[])[
            1 + extract(second from predicted_at)::integer %% 7
        ]
        where model_name = 'flight_delay' and prediction_id ~ '^served [0-9]*3 '
        """,
        [list(NO_FEATURES)],
    )
    # JSON has a null of its own, which is no prediction and no label either.
    connection.execute(
        """
        update raw.prediction_logs set prediction = 'null'
        where prediction is null and model_name != 'flight_delay'
        """
    )
    connection.commit()


def _row(model_name: str, number: int, at: datetime, **changes: Any) -> Prediction:
    row = Prediction(
        prediction_id=f"{model_name} {number} 'O''Hare' %s \\ 🛬 {{{{ 1 / 0 }}}}\n",
        model_name=model_name,
        model_version="1",
        predicted_at=at,
        features={},
        prediction=None,
        latency_ms=20.0,
        status_code=200,
        error=None,
        actual=None,
        observed_at=at + timedelta(hours=1),
    )
    return replace(row, **changes)


def _moments(nasty: Nasty, days: Sequence[datetime], count: int) -> Iterator[datetime]:
    """The first and last moment of each day, and others."""
    for day in days:
        yield day
        yield day + timedelta(hours=24) - timedelta(microseconds=1)
        for second in nasty.generator.uniform(0, 86_400, count):
            yield day + timedelta(seconds=float(second))


def _features(**features: object) -> dict[str, object]:
    return {name: value for name, value in features.items() if value is not MISSING}


def _write_regression(connection: psycopg.Connection, nasty: Nasty) -> None:
    # More than fifty categories, so that some share the bin "other".
    known = (*CATEGORIES, *(f"category {number}" for number in range(60)))

    def rows(prefix: str, moments: Iterator[datetime]) -> list[Prediction]:
        is_served = prefix == "served"
        unseen = ("new", "neu", LONG[::-1]) if is_served else ()

        def identifier(number: int) -> str:
            """Every tenth served row repeats the one before it."""
            if is_served and number % 10 == 0:
                number -= 1
            return f"{prefix} {number} 'O' %s \\ 🛬 {{{{ 1 / 0 }}}}\n"

        def unknown(number: int) -> dict[str, object]:
            """Some names, and in every fourth row one that no other row has."""
            found: dict[str, object] = {}
            if number % 3 == 0:
                places = (number % 7, number % len(UNKNOWN_FEATURES))
                found |= {UNKNOWN_FEATURES[place]: 1 for place in places}
            if is_served and number % 4 == 0:
                found[f"row {number}"] = None
            return found

        return [
            _row(
                "flight_delay",
                number,
                at,
                prediction_id=identifier(number),
                model_version=nasty.of(VERSIONS),
                features=_features(
                    value=nasty.of(NUMBERS),
                    select=float(nasty.generator.pareto(0.7)),
                    edges=int(nasty.generator.integers(0, 3)),
                    category=nasty.of((*known, *unseen)),
                    grain=nasty.of(CATEGORIES),
                    **unknown(number),
                ),
                prediction=_or_number(nasty),
                actual=_or_number(nasty),
                latency_ms=nasty.of(LATENCIES),
                status_code=nasty.of((200, 200, 404, 500, 599, None)),
                error=nasty.of((None, None, "", "timeout %s\n'")),
                # Some labels are older than their predictions.
                observed_at=at
                + timedelta(seconds=float(nasty.generator.normal(0, 900))),
            )
            for number, at in enumerate(moments)
        ]

    days = [day - timedelta(days=60) for day in DAYS[:2]]
    insert_baseline(connection, rows("known", _moments(nasty, days, 250)))
    served = rows("served", _moments(nasty, DAYS, 160))
    insert_predictions(connection, served)
    insert_labels(connection, served[::2])


def _or_number(nasty: Nasty) -> object:
    if nasty.generator.random() < 0.5:
        return float(nasty.generator.normal(10, 30))
    drawn = nasty.of((*NUMBERS, {"label": 1}, {"scores": {}}))
    return None if drawn is MISSING else drawn


def _write_binary(connection: psycopg.Connection, nasty: Nasty) -> None:
    generator = nasty.generator

    def row(prefix: str, number: int, at: datetime, shift: float) -> Prediction:
        value = float(generator.normal(shift, 1))
        score = nasty.of(SCORES) if number % 3 else float(generator.random())
        scores = {} if score is MISSING else {"true": score, "false": 0}
        label = nasty.of(("true", "false", "false", "FALSE", None))
        prediction: object = {"label": label, "scores": scores}
        if number % 19 == 0:
            prediction = nasty.of(("true", "", LONG, True, 1, [], {}, None))
        return _row(
            "flight_delayed",
            number,
            at,
            prediction_id=f"{prefix} {number}",
            features=_features(
                mixed=nasty.of(NUMBERS),
                constant=0.1,
                always_null=None,
                offset=1e9 + float(generator.normal()),
                tied=int(generator.integers(0, 2)),
                heavy=float(generator.pareto(0.5)),
                tiny=float(generator.normal()) * 1e-90,
                shifted=value,
                shifted_and_outlier=1e308 if number == 5 else value,
                shifted_and_nulls=None if shift and number >= 300 else value,
                label=nasty.of(CATEGORIES),
                never=None if at < DAYS[3] else "suddenly",
            ),
            prediction=prediction,
            actual=nasty.of(("true", "false", "false", True, False, 1, {}, None)),
            latency_ms=nasty.of(LATENCIES),
        )

    served = [
        row("served", number, at, 0)
        for number, at in enumerate(_moments(nasty, DAYS, 120))
    ]
    # A version that knows one class only, and never predicts the positive one.
    served += [
        replace(
            row("one class", number, at, 0),
            model_version="2",
            prediction={"label": "false", "scores": {"true": 0.1}},
            actual="false",
        )
        for number, at in enumerate(_moments(nasty, DAYS[1:2], 60))
    ]
    served += [
        row("shifted", number, SHIFTED_DAY + timedelta(seconds=number), 0.8)
        for number in range(1300)
    ]
    served.append(row("leap", 0, LEAP_DAY, 0))
    insert_predictions(connection, served)
    insert_labels(connection, served)


def _write_multiclass(connection: psycopg.Connection, nasty: Nasty) -> None:
    """No baseline; and so many rows that a square times their number overflows."""
    classes = ("early", "late", "O'Hare", "", LONG)
    rows = [
        _row(
            "flight_delay_band",
            number,
            CROWDED_DAY + timedelta(seconds=number),
            features=_features(
                only=1e150 if number % 2 else 1e100,
                kind=nasty.of(CATEGORIES),
            ),
            prediction=nasty.of(classes),
            actual=nasty.of((*classes, {"label": "late"}, 3)),
            latency_ms=1e149,
        )
        for number in range(14_000)
    ]
    values = [
        (
            *(row.prediction_id, row.model_name, row.model_version, row.predicted_at),
            *(json.dumps(row.features), json.dumps(row.prediction), row.latency_ms),
            LOADED_AT,
        )
        for row in rows
    ]
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "copy raw.prediction_logs (prediction_id, model_name, model_version, "
            "predicted_at, features, prediction, latency_ms, loaded_at) from stdin"
        ) as copy,
    ):
        for record in values:
            copy.write_row(record)
    insert_labels(connection, rows[::10])
