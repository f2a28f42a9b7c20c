"""A small prediction log for tests: three models, a few days, random by seed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema

START = datetime(2026, 3, 2, tzinfo=UTC)
LOADED_AT = datetime(2026, 3, 20, tzinfo=UTC)

NUMERICAL = (
    "dep_delay",
    "distance",
    "scheduled_hour",
    "temperature",
    "dew_point",
    "humidity",
    "wind_speed",
    "precipitation",
    "pressure",
    "visibility",
)
CATEGORIES = {
    "carrier": ("AA", "UA", "O'Hare", "✈️", 'quo"te'),
    "origin": ("EWR", "JFK", "LGA"),
    "destination": ("ORD", "LAX", "SFO"),
}
BANDS = ("early", "on_time", "late", "very_late")
MODELS = ("flight_delay", "flight_delayed", "flight_delay_band")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A row of the log with its label; ``actual`` is None while there is none."""

    prediction_id: str
    model_name: str
    model_version: str
    predicted_at: datetime
    features: dict[str, object]
    prediction: object
    latency_ms: float | None
    status_code: int | None
    error: str | None
    actual: object
    observed_at: datetime


def draw_predictions(
    generator: np.random.Generator,
    *,
    model_name: str,
    count: int,
    start: datetime = START,
    days: float = 3,
    version: str = "1",
    prefix: str = "p",
    shift: float = 0.0,
) -> list[Prediction]:
    """Draw ``count`` predictions of one model over ``days`` from ``start`` on."""
    seconds = np.sort(generator.uniform(0, days * 86400, count))
    delay = generator.normal(10 + shift, 30, count)
    predictions = []
    for index in range(count):
        features: dict[str, object] = {
            name: float(generator.normal(shift, 1)) for name in NUMERICAL
        }
        features["dep_delay"] = float(delay[index])
        for name, values in CATEGORIES.items():
            features[name] = str(generator.choice(values))
        if generator.random() < 0.05:
            features["humidity"] = None
        if generator.random() < 0.03:
            features["wind_speed"] = "NaN"
        if generator.random() < 0.03:
            del features["precipitation"]
        failed = generator.random() < 0.03
        landed = float(delay[index] + generator.normal(0, 15))
        predicted_at = start + timedelta(seconds=float(seconds[index]))
        predictions.append(
            Prediction(
                prediction_id=f"{prefix}-{model_name}-{version}-{index}",
                model_name=model_name,
                model_version=version,
                predicted_at=predicted_at,
                features=features,
                prediction=None
                if failed
                else _predicted(generator, model_name, delay[index]),
                latency_ms=float(generator.lognormal(3, 1)),
                status_code=503 if failed else 200,
                error="unavailable" if failed else None,
                actual=_actual(model_name, landed),
                observed_at=predicted_at
                + timedelta(seconds=float(generator.exponential(9000))),
            )
        )
    return predictions


def _predicted(generator: np.random.Generator, model_name: str, delay: float) -> object:
    if model_name == "flight_delay":
        return float(delay)
    if model_name == "flight_delayed":
        score = float(1 / (1 + np.exp(-(delay - 15) / 20)))
        scores = {"true": score, "false": 1 - score}
        return {"label": "true" if score > 0.5 else "false", "scores": scores}
    noisy = float(delay + generator.normal(0, 5))
    distances = np.abs(noisy - np.array([-20, 5, 35, 90]))
    weights = np.exp(-distances / 20)
    scores = dict(zip(BANDS, (weights / weights.sum()).tolist(), strict=True))
    return {"label": _band(noisy), "scores": scores}


def _actual(model_name: str, landed: float) -> object:
    if model_name == "flight_delay":
        return landed
    if model_name == "flight_delayed":
        return "true" if landed > 15 else "false"
    return _band(landed)


def _band(delay: float) -> str:
    return BANDS[int(np.digitize(delay, (-5, 15, 60)))]


def insert_predictions(
    connection: psycopg.Connection,
    predictions: Sequence[Prediction],
    *,
    loaded_at: datetime | None = LOADED_AT,
) -> None:
    """Add rows to ``raw.prediction_logs``; without ``loaded_at``, as of now."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into raw.prediction_logs (
                prediction_id, model_name, model_version, predicted_at, features,
                prediction, latency_ms, status_code, error, loaded_at
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, clock_timestamp()))
            """,
            [(*_logged(row), loaded_at) for row in predictions],
        )
    connection.commit()


def insert_labels(
    connection: psycopg.Connection,
    predictions: Sequence[Prediction],
    *,
    loaded_at: datetime | None = LOADED_AT,
) -> None:
    """Add the labels of predictions to ``raw.ground_truth``."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into raw.ground_truth (prediction_id, actual, observed_at, loaded_at)
            values (%s, %s, %s, coalesce(%s, clock_timestamp()))
            """,
            [
                (row.prediction_id, json.dumps(row.actual), row.observed_at, loaded_at)
                for row in predictions
            ],
        )
    connection.commit()


def insert_baseline(
    connection: psycopg.Connection,
    predictions: Sequence[Prediction],
    *,
    loaded_at: datetime | None = LOADED_AT,
) -> None:
    """Add rows with their labels to ``raw.baseline_logs``."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into raw.baseline_logs (
                prediction_id, model_name, model_version, predicted_at, features,
                prediction, latency_ms, status_code, error, actual, loaded_at
            )
            values (
                %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, clock_timestamp())
            )
            """,
            [
                (*_logged(row), json.dumps(row.actual), loaded_at)
                for row in predictions
                if row.prediction is not None
            ],
        )
    connection.commit()


def _logged(row: Prediction) -> tuple[object, ...]:
    return (
        row.prediction_id,
        row.model_name,
        row.model_version,
        row.predicted_at,
        json.dumps(row.features),
        None if row.prediction is None else json.dumps(row.prediction),
        row.latency_ms,
        row.status_code,
        row.error,
    )


def write_small_log(settings: ConnectionSettings, *, seed: int = 1) -> None:
    """Fill an empty database: three days of three models, most labels, a baseline."""
    generator = np.random.default_rng(seed)
    with warehouse.connect(settings) as connection:
        create_raw_schema(connection)
        connection.commit()
        for model_name in MODELS:
            baseline = draw_predictions(
                generator,
                model_name=model_name,
                count=250,
                start=START - timedelta(days=14),
                days=7,
                prefix="b",
            )
            insert_baseline(connection, baseline)
            served = draw_predictions(generator, model_name=model_name, count=360)
            insert_predictions(connection, served)
            insert_labels(connection, served[:240])
