"""What can go wrong: the kinds of incidents, and what each does to requests and labels.

A request goes through three stages, and its label through a fourth. Each kind acts at
one of them:

1. :func:`suffer`: who asks, and how often (``traffic_surge``); then what is asked and
   how the service does (``nulls``, ``unit_change``, ``new_category``, ``stuck_sensor``,
   ``out_of_range``, ``latency_regression``, ``outage``, ``bad_deployment``).
2. The models answer.
3. :func:`log`: what is written down of it (``duplicates``).
4. :func:`judge`: what came true, and when that is known (``concept_change``,
   ``late_labels``, ``lost_labels``).

docs/scenarios.md describes each kind, and ``levels.yml`` how strong it can be.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.durations import text_of
from simulator.flights import CATEGORICAL_FEATURES, NUMERICAL_FEATURES
from simulator.outcomes import Outcomes
from simulator.randomness import DailyRandom, Floats, Indices
from simulator.serving import TIMEOUT_MS, latency_spread

# The real values of these drift by themselves, day after day.
WEATHER = (
    "temperature",
    "dew_point",
    "humidity",
    "wind_speed",
    "precipitation",
    "pressure",
    "visibility",
)

_MINUTE = np.timedelta64(1, "m")
# A client that saw no answer asks again after so many milliseconds.
_RETRIED_AFTER_MS = (1_000, 30_000)

Chosen = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
Spans = npt.NDArray[np.timedelta64]


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One incident; ``start`` and ``duration`` count from the first served instant.

    Which of the optional fields are set depends on ``kind``. ``model`` None means all;
    ``level`` None that its scenario gave numbers of its own.
    """

    id: str
    kind: str
    start: timedelta
    duration: timedelta
    model: str | None = None
    version: str | None = None
    column: str | None = None
    value: str | float | None = None
    factor: float = 1.0
    share: float = 1.0
    canary_share: float = 1.0
    canary_duration: timedelta = timedelta(0)
    # Not in repr, which the digest of a scenario is made of: see Scenario.digest.
    level: str | None = field(default=None, repr=False)
    delay: timedelta = field(default=timedelta(0), repr=False)
    minutes: float = field(default=0.0, repr=False)

    @property
    def end(self) -> timedelta:
        """When it is over, counted from the first served instant."""
        return self.start + self.duration

    @property
    def family(self) -> str:
        """The family of figures that shows it first."""
        if self.kind == "stuck_sensor" and self.column in WEATHER:
            # No day of weather is like the baseline: that it stopped varying tells.
            return "data_quality"
        return KINDS[self.kind].family

    @property
    def shown_column(self) -> str | None:
        """The column whose figures show it, if it is about one."""
        if self.kind == "bad_deployment":
            return None
        return "prediction_id" if self.kind == "duplicates" else self.column

    @property
    def size(self) -> str:
        """How strong it is, in words."""
        return KINDS[self.kind].size(self)

    @property
    def description(self) -> str:
        """What happens, in a sentence."""
        return KINDS[self.kind].description(self)

    def touches(self, model_name: str) -> bool:
        """Whether requests to a model can be affected."""
        return self.model in (None, model_name)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The requests to one model.

    ``flight`` is the position of the flight that each request is about; all else are
    arrays of the same length, and so is ``features``, with the thirteen columns that
    are logged. ``since_start`` is the time since the first served instant,
    ``prediction`` None until the model has answered.
    """

    model_name: str
    flight: Indices
    prediction_id: Objects
    since_start: Spans
    features: pd.DataFrame
    model_version: Objects
    latency_ms: Floats
    status_code: npt.NDArray[np.int64]
    error: Objects
    prediction: Objects

    def and_again(self, rows: Indices, **changes: Any) -> "Traffic":
        """The same, and some of its rows once more, in which ``changes`` are made."""
        arrays: dict[str, Any] = {
            name: np.concatenate([values, changes.get(name, values[rows])])
            for name, values in self._arrays().items()
        }
        places = np.concatenate([np.arange(len(self.flight)), rows])
        features = self.features.iloc[places].reset_index(drop=True)
        return replace(self, features=features, **arrays)

    def before(self, end: timedelta) -> "Traffic":
        """The requests until ``end`` (exclusive), counted from the first instant."""
        kept = self.since_start < _exactly(end)
        if kept.all():
            return self
        arrays: dict[str, Any] = {
            name: values[kept] for name, values in self._arrays().items()
        }
        return replace(
            self, features=self.features[kept].reset_index(drop=True), **arrays
        )

    def _arrays(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("model_name", "features")
        }


class Draws:
    """Random numbers for the rows of an incident: of one flight always the same."""

    def __init__(
        self, random: DailyRandom, incident: Incident, model_name: str, flight: Indices
    ) -> None:
        self._random = random
        self._name = f"incident {incident.id}"
        self._model_name = model_name
        self._flight = flight

    def uniform(self, purpose: str = "") -> Floats:
        """One number a row from [0, 1), the same for all models."""
        return self._random.uniform(self._name + purpose)[self._flight]

    def latency_factor(self, purpose: str) -> Floats:
        """Makes of each row's latency that of another, independent request."""
        again = f"{self._model_name}, {self._name}{purpose}"
        factors: Floats = latency_spread(again, self._random) / latency_spread(
            self._model_name, self._random
        )
        return factors[self._flight]


def suffer(
    traffic: Traffic, incidents: Iterable[Incident], random: DailyRandom
) -> Traffic:
    """The traffic that reaches a model, incident after incident.

    An incident that touches several models touches the same requests of each.
    """
    for effects in (_ON_DEMAND, _ON_REQUESTS):
        traffic = _through(traffic, incidents, random, effects)
    return traffic


def log(
    traffic: Traffic, incidents: Iterable[Incident], random: DailyRandom
) -> Traffic:
    """What is logged of traffic that was answered."""
    return _through(traffic, incidents, random, _ON_THE_LOG)


def judge(
    outcomes: Outcomes, incidents: Iterable[Incident], random: DailyRandom
) -> Outcomes:
    """What came true, and when, under the incidents of the time of the request."""
    for incident in incidents:
        effect = _ON_LABELS.get(incident.kind)
        if effect is not None and incident.touches(outcomes.model_name):
            during = _during(outcomes.since_start, incident)
            if during.any():
                draws = Draws(random, incident, outcomes.model_name, outcomes.flight)
                chosen = during & (draws.uniform() < incident.share)
                outcomes = effect(outcomes, incident, chosen)
    return outcomes


def longest_delay(
    incidents: Iterable[Incident], start: timedelta, end: timedelta
) -> timedelta:
    """By how much labels of requests in an interval can be late, at most.

    ``start`` and ``end`` (exclusive) count from the first served instant.
    """
    return sum(
        (
            incident.delay + timedelta(minutes=incident.minutes)
            for incident in incidents
            if incident.start < end and incident.end > start
        ),
        timedelta(0),
    )


def _through(
    traffic: Traffic,
    incidents: Iterable[Incident],
    random: DailyRandom,
    effects: Mapping[str, "Effect"],
) -> Traffic:
    for incident in incidents:
        effect = effects.get(incident.kind)
        if effect is not None and incident.touches(traffic.model_name):
            during = _during(traffic.since_start, incident)
            if during.any():
                draws = Draws(random, incident, traffic.model_name, traffic.flight)
                traffic = effect(traffic, incident, during, draws)
    return traffic


def _during(since_start: Spans, incident: Incident) -> Chosen:
    during: Chosen = (since_start >= _exactly(incident.start)) & (
        since_start < _exactly(incident.end)
    )
    return during


def _exactly(span: timedelta) -> np.timedelta64:
    return np.timedelta64(span // timedelta(microseconds=1), "us")


# On demand: who asks, and how often


def _traffic_surge(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    """Asks for the same flights again in the same minute, under names of their own."""
    sound = traffic
    more = incident.factor - 1
    for number in range(1, int(np.ceil(more)) + 1):
        purpose = f", request {number}"
        rows = np.flatnonzero(during & (draws.uniform(purpose) < more - number + 1))
        minute = sound.since_start[rows] // _MINUTE * _MINUTE
        in_minute = np.floor(draws.uniform(f"{purpose}, second")[rows] * 60_000)
        ids = sound.prediction_id[rows]
        traffic = traffic.and_again(
            rows,
            prediction_id=ids + f":{incident.id}-{number}",
            since_start=minute + in_minute.astype("timedelta64[ms]"),
            latency_ms=sound.latency_ms[rows] * draws.latency_factor(purpose)[rows],
        )
    return traffic


# On requests: what is asked, and how the service does


def _nulls(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    return _with_column(traffic, incident, during, draws, lambda values: None)


def _unit_change(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    return _with_column(
        traffic,
        incident,
        during,
        draws,
        lambda values: (values * incident.factor).round(2),
    )


def _one_value(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    return _with_column(traffic, incident, during, draws, lambda values: incident.value)


def _latency_regression(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    return replace(
        traffic,
        latency_ms=np.where(
            during, traffic.latency_ms * incident.factor, traffic.latency_ms
        ),
    )


def _outage(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    chosen = during & (draws.uniform() < incident.share)
    message = f"upstream timed out after {TIMEOUT_MS:.0f} ms"
    # What takes no longer than usual to answer still waits for the timeout first.
    return replace(
        traffic,
        latency_ms=np.where(
            chosen, TIMEOUT_MS + traffic.latency_ms / 10, traffic.latency_ms
        ),
        status_code=np.where(chosen, 503, traffic.status_code),
        error=np.where(chosen, message, traffic.error),
    )


def _bad_deployment(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    canary_end = _exactly(incident.start + incident.canary_duration)
    share = np.where(traffic.since_start < canary_end, incident.canary_share, 1.0)
    chosen = during & (draws.uniform() < share)
    return replace(
        traffic,
        model_version=np.where(
            chosen, cast(str, incident.version), traffic.model_version
        ),
    )


def _with_column(
    traffic: Traffic,
    incident: Incident,
    during: Chosen,
    draws: Draws,
    change: Callable[[pd.Series], Any],
) -> Traffic:
    chosen = during & (draws.uniform() < incident.share)
    column = cast(str, incident.column)
    features = traffic.features.copy(deep=False)
    values = features[column].copy()
    values[chosen] = change(values[chosen])
    features[column] = values
    return replace(traffic, features=features)


# On the log: what is written down


def _duplicates(
    traffic: Traffic, incident: Incident, during: Chosen, draws: Draws
) -> Traffic:
    """Logs requests a second time, as the retry of a client that saw no answer."""
    rows = np.flatnonzero(during & (draws.uniform() < incident.share))
    earliest, latest = _RETRIED_AFTER_MS
    waited = earliest + np.floor(draws.uniform(", wait")[rows] * (latest - earliest))
    return traffic.and_again(
        rows,
        since_start=traffic.since_start[rows] + waited.astype("timedelta64[ms]"),
        latency_ms=traffic.latency_ms[rows] * draws.latency_factor(", retry")[rows],
    )


# On labels: what came true, and when that is known


def _concept_change(outcomes: Outcomes, incident: Incident, chosen: Chosen) -> Outcomes:
    later = np.where(chosen, incident.minutes, 0.0)
    return replace(
        outcomes,
        arrival_delay=outcomes.arrival_delay + later,
        known_at=outcomes.known_at + later.astype("timedelta64[m]"),
    )


def _late_labels(outcomes: Outcomes, incident: Incident, chosen: Chosen) -> Outcomes:
    later = np.where(chosen, _exactly(incident.delay), np.timedelta64(0, "us"))
    return replace(outcomes, known_at=outcomes.known_at + later)


def _lost_labels(outcomes: Outcomes, incident: Incident, chosen: Chosen) -> Outcomes:
    never = np.datetime64("NaT")
    return replace(outcomes, known_at=np.where(chosen, never, outcomes.known_at))


Effect = Callable[[Traffic, Incident, Chosen, Draws], Traffic]

_ON_DEMAND: Mapping[str, Effect] = {"traffic_surge": _traffic_surge}

_ON_REQUESTS: Mapping[str, Effect] = {
    "nulls": _nulls,
    "unit_change": _unit_change,
    "new_category": _one_value,
    "stuck_sensor": _one_value,
    "out_of_range": _one_value,
    "latency_regression": _latency_regression,
    "outage": _outage,
    "bad_deployment": _bad_deployment,
}

_ON_THE_LOG: Mapping[str, Effect] = {"duplicates": _duplicates}

_ON_LABELS: Mapping[str, Callable[[Outcomes, Incident, Chosen], Outcomes]] = {
    "concept_change": _concept_change,
    "late_labels": _late_labels,
    "lost_labels": _lost_labels,
}


# What each kind needs to be told, and is called


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The keys of a kind of incident, and the words for one.

    ``needs`` say what happens to what; ``strength`` how strong it is, which a level
    says as well. Of these, ``optional`` ones may be left out.
    """

    family: str
    needs: frozenset[str] = frozenset()
    strength: frozenset[str]
    optional: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    size: Callable[[Incident], str]
    description: Callable[[Incident], str]


def _of(share: float, what: str) -> str:
    return f"{_percent(share)} of {what}"


def _percent(share: float) -> str:
    # Without needless digits.
    return f"{share * 100:.3g}%"


def _last_value(incident: Incident) -> str:
    if incident.value is None:
        return "its last value"
    return f"{incident.value:g}, its last value,"


def _part(incident: Incident) -> str:
    """Which requests, unless all."""
    return "" if incident.share == 1 else f" in {_of(incident.share, 'requests')}"


KINDS: Mapping[str, Kind] = {
    "nulls": Kind(
        family="data_quality",
        needs=frozenset({"column"}),
        strength=frozenset({"share"}),
        columns=NUMERICAL_FEATURES + CATEGORICAL_FEATURES,
        size=lambda incident: _of(incident.share, "values"),
        description=lambda incident: (
            f"{incident.column} is null in {_of(incident.share, 'requests')}."
        ),
    ),
    "unit_change": Kind(
        family="drift",
        needs=frozenset({"column"}),
        strength=frozenset({"factor", "share"}),
        optional=frozenset({"share"}),
        columns=NUMERICAL_FEATURES,
        size=lambda incident: (
            f"times {incident.factor:g}"
            + ("" if incident.share == 1 else f", {_of(incident.share, 'values')}")
        ),
        description=lambda incident: (
            f"{incident.column} arrives in another unit, "
            f"{incident.factor:g} times as large{_part(incident)}."
        ),
    ),
    "new_category": Kind(
        family="data_quality",
        needs=frozenset({"column", "value"}),
        strength=frozenset({"share"}),
        columns=CATEGORICAL_FEATURES,
        size=lambda incident: _of(incident.share, "values"),
        description=lambda incident: (
            f"{incident.column} is {incident.value}, which no model has seen, in "
            f"{_of(incident.share, 'requests')}."
        ),
    ),
    "stuck_sensor": Kind(
        family="drift",
        needs=frozenset({"column"}),
        strength=frozenset({"share"}),
        columns=NUMERICAL_FEATURES,
        size=lambda incident: _of(incident.share, "values"),
        description=lambda incident: (
            f"{incident.column} stays at {_last_value(incident)} in "
            f"{_of(incident.share, 'requests')}."
        ),
    ),
    "out_of_range": Kind(
        family="data_quality",
        needs=frozenset({"column", "value"}),
        strength=frozenset({"share"}),
        columns=NUMERICAL_FEATURES,
        size=lambda incident: _of(incident.share, "values"),
        description=lambda incident: (
            f"{incident.column} is {incident.value:g}, which cannot be, in "
            f"{_of(incident.share, 'requests')}."
        ),
    ),
    "bad_deployment": Kind(
        family="model_performance",
        needs=frozenset({"model", "version"}),
        strength=frozenset({"canary_share", "canary_duration", "column", "factor"}),
        columns=NUMERICAL_FEATURES,
        size=lambda incident: (
            f"{incident.column} times {incident.factor:.3g}; "
            f"{_percent(incident.canary_share)} of requests, then all of them"
        ),
        description=lambda incident: (
            f"Version {incident.version} validated well, but its service multiplies "
            f"{incident.column} by {incident.factor:.4g}; rolled back in the end."
        ),
    ),
    "concept_change": Kind(
        family="model_performance",
        strength=frozenset({"minutes", "share"}),
        optional=frozenset({"share"}),
        size=lambda incident: (
            f"{incident.minutes:g} minutes"
            + ("" if incident.share == 1 else f", {_of(incident.share, 'flights')}")
        ),
        description=lambda incident: (
            ("Flights" if incident.share == 1 else _of(incident.share, "flights"))
            + f" land {incident.minutes:g} minutes later than the same flights did "
            "before."
        ),
    ),
    "latency_regression": Kind(
        family="service_health",
        strength=frozenset({"factor"}),
        size=lambda incident: f"times {incident.factor:g}",
        description=lambda incident: (
            f"Answers take {incident.factor:g} times as long as before."
        ),
    ),
    "outage": Kind(
        family="service_health",
        strength=frozenset({"share"}),
        size=lambda incident: _of(incident.share, "requests"),
        description=lambda incident: (
            f"{_of(incident.share, 'requests')} fail with status 503."
        ),
    ),
    "traffic_surge": Kind(
        family="service_health",
        strength=frozenset({"factor"}),
        size=lambda incident: f"times {incident.factor:g}",
        description=lambda incident: (
            f"{incident.factor:g} times as many requests arrive as usual."
        ),
    ),
    "duplicates": Kind(
        family="data_quality",
        strength=frozenset({"share"}),
        size=lambda incident: _of(incident.share, "requests"),
        description=lambda incident: (
            f"{_of(incident.share, 'requests')} are logged once more, up to half a "
            "minute later, under the same prediction_id."
        ),
    ),
    "late_labels": Kind(
        family="model_performance",
        strength=frozenset({"delay", "share"}),
        size=lambda incident: (
            f"{text_of(incident.delay)}, {_of(incident.share, 'labels')}"
        ),
        description=lambda incident: (
            f"{_of(incident.share, 'labels')} arrive {text_of(incident.delay)} late."
        ),
    ),
    "lost_labels": Kind(
        family="model_performance",
        strength=frozenset({"share"}),
        size=lambda incident: _of(incident.share, "labels"),
        description=lambda incident: f"{_of(incident.share, 'labels')} never arrive.",
    ),
}
