"""A prediction log of any size: one binary model of card payments, 20 features.

Pure: the same generator gives the same rows. In the frames a missing number is NaN and
one that could not be read, which Driftline counts as invalid, is infinite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.random import Generator

MODEL = "payments"
VERSIONS = ("v1", "v2")
LABELLED_SHARE = 0.8

Floats = npt.NDArray[np.floating]
Draw = Callable[[Generator, int], Floats]


@dataclass(frozen=True, kw_only=True)
class Number:
    """A numerical feature; ``shift`` is what a month adds, in standard deviations."""

    draw: Draw
    decimals: int
    null_rate: float = 0.01
    invalid_rate: float = 0.0
    shift: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Category:
    """A categorical feature of so many values, the first the most frequent.

    The frequency of value k is as 1 / (k + 1) ** ``skew``.
    """

    size: int
    skew: float = 1.0
    null_rate: float = 0.01


NUMBERS: Mapping[str, Number] = {
    "amount": Number(
        draw=lambda generator, count: generator.lognormal(3.5, 1.4, count),
        decimals=2,
        invalid_rate=0.002,
        shift=0.3,
    ),
    # A heavy tail without a variance.
    "balance": Number(
        draw=lambda generator, count: 100 * (1 + generator.pareto(1.8, count)),
        decimals=2,
        null_rate=0.03,
    ),
    # A large offset: what a sum of squares gets wrong.
    "device_clock": Number(
        draw=lambda generator, count: generator.normal(1e9, 1.0, count), decimals=6
    ),
    "temperature_kelvin": Number(
        draw=lambda generator, count: generator.normal(288.0, 8.0, count), decimals=1
    ),
    "age": Number(
        draw=lambda generator, count: generator.integers(18, 91, count).astype(float),
        decimals=0,
        null_rate=0.02,
        invalid_rate=0.001,
    ),
    "hour_of_day": Number(
        draw=lambda generator, count: generator.integers(0, 24, count).astype(float),
        decimals=0,
        null_rate=0.0,
    ),
    "item_count": Number(
        draw=lambda generator, count: 1.0 + generator.poisson(2.0, count), decimals=0
    ),
    # Two values of three are zero.
    "discount": Number(
        draw=lambda generator, count: (
            generator.exponential(5.0, count) * (generator.random(count) < 1 / 3)
        ),
        decimals=2,
    ),
    "distance_km": Number(
        draw=lambda generator, count: generator.gamma(1.5, 40.0, count),
        decimals=1,
        null_rate=0.03,
        shift=0.5,
    ),
    "seconds_on_page": Number(
        draw=lambda generator, count: generator.exponential(90.0, count), decimals=1
    ),
    "risk_of_merchant": Number(
        draw=lambda generator, count: generator.beta(2.0, 8.0, count), decimals=4
    ),
    "days_since_signup": Number(
        draw=lambda generator, count: generator.geometric(0.002, count).astype(float),
        decimals=0,
    ),
    "velocity": Number(
        draw=lambda generator, count: generator.normal(0.0, 1.0, count), decimals=6
    ),
    "share_of_night": Number(
        draw=lambda generator, count: generator.random(count),
        decimals=4,
        null_rate=0.02,
    ),
}
CATEGORIES: Mapping[str, Category] = {
    "country": Category(size=30),
    "plan": Category(size=4, null_rate=0.0),
    "device": Category(size=3, null_rate=0.02),
    "browser": Category(size=12),
    "campaign": Category(size=200, null_rate=0.03),
    "city": Category(size=20_000, skew=0.8),
}
FEATURES: Mapping[str, Literal["numerical", "categorical"]] = {
    **dict.fromkeys(NUMBERS, "numerical"),
    **dict.fromkeys(CATEGORIES, "categorical"),
}


@dataclass(frozen=True, kw_only=True)
class Log:
    """Predictions, and the labels of some: rows that belong together.

    ``predictions`` has ``id``, ``model_version``, ``predicted_at``, the features,
    ``prediction`` ("true" or "false"), ``score``, ``latency_ms`` and ``status_code``.
    ``labels`` has ``id``, ``actual`` and ``observed_at``.
    """

    predictions: pd.DataFrame
    labels: pd.DataFrame


def day_of_log(
    seed: int, day: date, rows: int, *, first_version_until: date, shift: float = 0.0
) -> Log:
    """One day's rows, the same whatever days surround it; at most 1,000,000.

    ``shift``, 0 to 1, is how far the features that move have moved. A tenth of the
    traffic goes to the second version before the first one ends.
    """
    generator = np.random.default_rng([seed, day.toordinal()])
    start = np.datetime64(day, "us")
    # More in the middle of the day than at night, in whole microseconds.
    moments = np.sort(generator.beta(1.6, 1.4, rows)) * 86_400e6
    predicted_at = start + moments.astype("timedelta64[us]")
    newer_share = 0.1 if day < first_version_until else 1.0
    versions = np.array(VERSIONS)[
        (generator.random(rows) < newer_share).astype(np.int8)
    ]
    ids = np.arange(rows) + (day.toordinal() - date(2000, 1, 1).toordinal()) * 1_000_000
    return _log(generator, ids, versions, predicted_at, shift)


def baseline_log(seed: int, rows: int, *, day: date) -> Log:
    """Validation data of both versions, all of one day and all labelled."""
    generator = np.random.default_rng([seed, 0])
    predicted_at = np.full(rows, np.datetime64(day, "us"))
    versions = np.array(VERSIONS)[np.arange(rows) % 2]
    ids = np.arange(1, rows + 1)
    return _log(generator, ids, versions, predicted_at, 0.0, labelled_share=1.0)


def joined(log: Log) -> pd.DataFrame:
    """One frame with ``actual``, and no number but finite ones, as other tools need."""
    actual = log.labels.set_index("id")["actual"]
    frame = log.predictions.assign(actual=log.predictions["id"].map(actual))
    numbers = list(NUMBERS)
    frame[numbers] = frame[numbers].replace([np.inf, -np.inf], np.nan)
    return frame


def concatenated(logs: list[Log]) -> Log:
    """The rows of all of them, in order."""
    return Log(
        predictions=pd.concat([log.predictions for log in logs], ignore_index=True),
        labels=pd.concat([log.labels for log in logs], ignore_index=True),
    )


def days_before(end: date, count: int) -> list[date]:
    """The ``count`` days that end before ``end``."""
    return [end - timedelta(days=ago) for ago in range(count, 0, -1)]


def midnight(day: date) -> datetime:
    """The beginning of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _log(
    generator: Generator,
    ids: npt.NDArray[np.int64],
    versions: npt.NDArray[np.str_],
    predicted_at: npt.NDArray[np.datetime64],
    shift: float,
    *,
    labelled_share: float = LABELLED_SHARE,
) -> Log:
    count = len(ids)
    columns: dict[str, object] = {
        "id": ids,
        "model_version": versions.astype(object),
        "predicted_at": pd.DatetimeIndex(predicted_at, tz="UTC"),
    }
    drawn = {
        name: _numbers(generator, count, number, shift)
        for name, number in NUMBERS.items()
    }
    # What the model knows, before any of it is lost.
    signal = (
        0.6 * (np.log(np.maximum(drawn["amount"], 0.01)) - 3.5)
        + 4.0 * (drawn["risk_of_merchant"] - 0.2)
        + 0.5 * drawn["velocity"]
        - 1.0
    )
    chance = 1 / (1 + np.exp(-signal))
    for name, values in drawn.items():
        columns[name] = _damaged(generator, values, NUMBERS[name])
    for name, category in CATEGORIES.items():
        columns[name] = _categories(generator, count, name, category)
    noise = generator.normal(0.0, 0.3, count)
    score = np.round(1 / (1 + np.exp(-(signal + noise))), 6)
    columns["prediction"] = _yes_or_no(score >= 0.5)
    columns["score"] = score
    columns["latency_ms"] = np.round(generator.lognormal(3.4, 0.5, count), 2)
    columns["status_code"] = np.where(generator.random(count) < 0.002, 500, 200)

    labelled = generator.random(count) < labelled_share
    actual = generator.random(count) < chance
    delays = (generator.exponential(24 * 3600e6, count)).astype("timedelta64[us]")
    labels = pd.DataFrame(
        {
            "id": ids[labelled],
            "actual": _yes_or_no(actual[labelled]),
            "observed_at": pd.DatetimeIndex(
                (predicted_at + delays)[labelled], tz="UTC"
            ),
        }
    )
    return Log(predictions=pd.DataFrame(columns), labels=labels)


def _numbers(generator: Generator, count: int, number: Number, shift: float) -> Floats:
    values = number.draw(generator, count)
    if number.shift and count:
        values = values + shift * number.shift * float(np.std(values))
    return np.round(values, number.decimals)


def _damaged(generator: Generator, values: Floats, number: Number) -> Floats:
    chance = generator.random(len(values))
    damaged = np.where(chance < number.null_rate, np.nan, values)
    return np.where(chance > 1 - number.invalid_rate, np.inf, damaged)


def _categories(
    generator: Generator, count: int, name: str, category: Category
) -> npt.NDArray[np.object_]:
    weights = np.cumsum(1 / np.arange(1, category.size + 1) ** category.skew)
    codes = np.searchsorted(weights, generator.random(count) * weights[-1])
    names = np.array(
        [f"{name}_{number}" for number in range(category.size)] + [None], dtype=object
    )
    codes[generator.random(count) < category.null_rate] = category.size
    chosen: npt.NDArray[np.object_] = names[codes]
    return chosen


def _yes_or_no(values: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    return np.array(["false", "true"], dtype=object)[values.astype(np.int8)]
