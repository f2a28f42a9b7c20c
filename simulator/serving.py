"""The three models: training, predictions, and how quickly and reliably they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from simulator.flights import CATEGORICAL_FEATURES, FEATURES, NUMERICAL_FEATURES
from simulator.outcomes import band, is_late
from simulator.randomness import DailyRandom, Floats

MODEL_NAMES = ("flight_delay", "flight_delayed", "flight_delay_band")
FIRST_VERSION = "1"

ERROR_RATE = 0.0005
TIMEOUT_MS = 1000.0

_MEDIAN_LATENCY_MS = {
    "flight_delay": 9.0,
    "flight_delayed": 16.0,
    "flight_delay_band": 28.0,
}
_LATENCY_SIGMA = 0.35
# How much slower the busiest hour is than an idle one.
_LATENCY_UNDER_LOAD = 0.8


class TrainingError(ValueError):
    """There are too few flights to train a model on."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained version of a model.

    ``busyness`` is the share of its busiest hour's traffic that each scheduled hour
    sees, by hour. ``serving_factors`` multiply features between the log and the
    pipeline: none for a sound version, a bug for a bad one.
    """

    name: str
    version: str
    pipeline: Pipeline
    busyness: Floats
    serving_factors: tuple[tuple[str, float], ...] = ()

    def served(self, features: pd.DataFrame) -> list[str]:
        """Predictions as JSON, as the version answers when it serves."""
        for column, factor in self.serving_factors:
            features = features.assign(**{column: features[column] * factor})
        return self.validated(features)

    def validated(self, features: pd.DataFrame) -> list[str]:
        """Predictions as JSON, as the training job computes them."""
        with threadpool_limits(1):
            if self.name == "flight_delay":
                return _numbers(self.pipeline.predict(features[list(FEATURES)]))
            scores = self.pipeline.predict_proba(features[list(FEATURES)])
        return _labels_with_scores(self.pipeline.classes_.tolist(), scores)


@dataclass(frozen=True, kw_only=True)
class Skill:
    """How well a version did on its validation data.

    ``metric`` is ``mae`` (minutes), ``roc_auc`` or ``accuracy``.
    """

    model_name: str
    model_version: str
    metric: str
    value: float


def train(name: str, version: str, flights: pd.DataFrame, *, seed: int) -> Model:
    """Train a model on the flights that landed; the others have nothing to learn from.

    Raises ``TrainingError`` on fewer than a thousand.
    """
    landed = flights[flights["landed_at"].notna()]
    if len(landed) < 1000:
        raise TrainingError(
            f"{name} version {version} has {len(landed)} flights to train on; "
            "it needs 1000."
        )
    arrival_delay = landed["arrival_delay"].to_numpy()
    target: Any
    if name == "flight_delay":
        pipeline, target = _regressor(), arrival_delay
    else:
        outcome = is_late if name == "flight_delayed" else band
        pipeline, target = _classifier(seed), outcome(arrival_delay)
    # Sums in an order that depends on the number of cores would differ in the last
    # digit.
    with threadpool_limits(1):
        pipeline.fit(landed[list(FEATURES)], target)
    departures = np.bincount(flights["scheduled_hour"].astype(int), minlength=24)
    return Model(
        name=name,
        version=version,
        pipeline=pipeline,
        busyness=departures / departures.max(),
    )


def skill(model: Model, flights: pd.DataFrame) -> Skill:
    """The headline metric of a version on flights that it was not trained on."""
    landed = flights[flights["landed_at"].notna()]
    features, arrival_delay = landed[list(FEATURES)], landed["arrival_delay"].to_numpy()
    if model.name == "flight_delay":
        metric = "mae"
        value = mean_absolute_error(arrival_delay, model.pipeline.predict(features))
    elif model.name == "flight_delayed":
        metric = "roc_auc"
        value = roc_auc_score(
            is_late(arrival_delay), model.pipeline.predict_proba(features)[:, 1]
        )
    else:
        metric = "accuracy"
        value = accuracy_score(band(arrival_delay), model.pipeline.predict(features))
    return Skill(
        model_name=model.name,
        model_version=model.version,
        metric=metric,
        value=float(value),
    )


def latencies(model: Model, scheduled_hours: Floats, random: DailyRandom) -> Floats:
    """Milliseconds to answer each request: lognormal, slower in busy hours."""
    load = 1 + _LATENCY_UNDER_LOAD * model.busyness[scheduled_hours.astype(int)]
    spread = latency_spread(model.name, random)
    milliseconds: Floats = _MEDIAN_LATENCY_MS[model.name] * load * spread
    return milliseconds


def latency_spread(requests: str, random: DailyRandom) -> Floats:
    """How many times the median each request takes, by the name of the requests."""
    spread: Floats = np.exp(_LATENCY_SIGMA * random.normal(f"latency of {requests}"))
    return spread


def features_as_json(flights: pd.DataFrame) -> list[str]:
    """One flat JSON object a flight; a missing value is null."""
    columns = [flights[feature].tolist() for feature in FEATURES]
    # orjson writes NaN as null.
    return [
        orjson.dumps(dict(zip(FEATURES, values, strict=True))).decode()
        for values in zip(*columns, strict=True)
    ]


def _regressor() -> Pipeline:
    preparation = ColumnTransformer(
        [
            (
                "numerical",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                list(NUMERICAL_FEATURES),
            ),
            (
                "categorical",
                OneHotEncoder(handle_unknown="ignore", min_frequency=20),
                list(CATEGORICAL_FEATURES),
            ),
        ]
    )
    return make_pipeline(preparation, Ridge(alpha=1.0))


def _classifier(seed: int) -> Pipeline:
    preparation = ColumnTransformer(
        [
            ("numerical", "passthrough", list(NUMERICAL_FEATURES)),
            (
                "categorical",
                OrdinalEncoder(
                    handle_unknown="use_encoded_value", unknown_value=np.nan
                ),
                list(CATEGORICAL_FEATURES),
            ),
        ]
    )
    first_categorical = len(NUMERICAL_FEATURES)
    return make_pipeline(
        preparation,
        HistGradientBoostingClassifier(
            max_iter=60,
            max_leaf_nodes=8,
            min_samples_leaf=100,
            early_stopping=False,
            categorical_features=list(range(first_categorical, len(FEATURES))),
            random_state=seed,
        ),
    )


def _numbers(predictions: Floats) -> list[str]:
    return [repr(number) for number in np.round(predictions, 2).tolist()]


def _labels_with_scores(classes: Sequence[str], scores: Floats) -> list[str]:
    """``{"label": …, "scores": {class: probability}}``; the label is the likeliest."""
    rounded = np.round(scores, 6)
    template = ",".join(f'"{name}":%r' for name in classes)
    likeliest = np.array(classes)[np.argmax(rounded, axis=1)].tolist()
    return [
        f'{{"label":"{label}","scores":{{{template % tuple(row)}}}}}'
        for label, row in zip(likeliest, rounded.tolist(), strict=True)
    ]
