"""Named incidents that a replay suffers, each a function over the traffic of one model.

A scenario file holds ``name`` and a list of ``incidents``. Every incident has ``id``,
``kind``, ``start`` and ``duration`` (times such as ``12d 6h 30m``, counted from the
first instant that is served), a ``model`` unless all are meant, and the keys of its
kind:

``nulls``
    ``column`` is null in a ``share`` of requests.
``unit_change``
    The numerical ``column`` arrives multiplied by ``factor``.
``new_category``
    The categorical ``column`` is ``value``, unknown to the models, in a ``share``.
``latency_regression``
    Answers take ``factor`` times as long.
``outage``
    A ``share`` of requests fails with status 503 after a timeout.
``bad_deployment``
    ``version`` of ``model`` serves ``canary_share`` of the requests for
    ``canary_duration``, then all, then is rolled back. It validated well, but its
    service multiplies the numerical ``column`` by ``factor`` before it predicts.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from simulator.flights import CATEGORICAL_FEATURES, NUMERICAL_FEATURES
from simulator.loading import SimulatedIncident
from simulator.randomness import DailyRandom
from simulator.serving import FIRST_VERSION, MODEL_NAMES, TIMEOUT_MS

NO_SCENARIO = "none"

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ANY_MODEL_KEYS = frozenset({"id", "kind", "start", "duration", "model"})

Chosen = npt.NDArray[np.bool_]


class ScenarioError(ValueError):
    """A scenario file says something that cannot be done."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One incident; ``start`` and ``duration`` count from the first served instant.

    Which of the optional fields are set depends on ``kind``. ``model`` None means all.
    """

    id: str
    kind: str
    start: timedelta
    duration: timedelta
    model: str | None = None
    version: str | None = None
    column: str | None = None
    value: str | None = None
    factor: float = 1.0
    share: float = 1.0
    canary_share: float = 1.0
    canary_duration: timedelta = timedelta(0)

    @property
    def end(self) -> timedelta:
        """When it is over, counted from the first served instant."""
        return self.start + self.duration

    @property
    def family(self) -> str:
        """The family of figures that shows it first."""
        return _KINDS[self.kind].family

    def touches(self, model_name: str) -> bool:
        """Whether requests to a model can be affected."""
        return self.model in (None, model_name)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Incidents under one name."""

    name: str
    incidents: tuple[Incident, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, as hexadecimal digits."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def deployments(self) -> list[Incident]:
        """The incidents that deploy a version."""
        return [each for each in self.incidents if each.kind == "bad_deployment"]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The requests to one model, in order of time.

    ``features`` has the thirteen columns that are logged. ``model_version``,
    ``latency_ms``, ``status_code`` and ``error`` are arrays of the same length, and so
    is ``since_start``, the time since the first served instant.
    """

    model_name: str
    since_start: npt.NDArray[np.timedelta64]
    features: pd.DataFrame
    model_version: npt.NDArray[np.object_]
    latency_ms: npt.NDArray[np.float64]
    status_code: npt.NDArray[np.int64]
    error: npt.NDArray[np.object_]


Effect = Callable[[Traffic, Incident, Chosen], Traffic]


def suffer(traffic: Traffic, scenario: Scenario, random: DailyRandom) -> Traffic:
    """The traffic as it is under a scenario, incident after incident.

    An incident that touches several models touches the same requests of each.
    """
    for incident in scenario.incidents:
        if not incident.touches(traffic.model_name):
            continue
        since = traffic.since_start
        during = (since >= _exactly(incident.start)) & (since < _exactly(incident.end))
        if not during.any():
            continue
        draws = random.uniform(f"incident {incident.id}")
        share = np.full(len(since), incident.share)
        if incident.kind == "bad_deployment":
            canary_end = incident.start + incident.canary_duration
            share[since < _exactly(canary_end)] = incident.canary_share
        traffic = _KINDS[incident.kind].effect(
            traffic, incident, during & (draws < share)
        )
    return traffic


def _exactly(span: timedelta) -> np.timedelta64:
    return np.timedelta64(span // timedelta(microseconds=1), "us")


def incident_rows(
    scenario: Scenario, *, served_from: datetime, served_until: datetime
) -> list[SimulatedIncident]:
    """The incidents that began in the half-open interval, for the warehouse.

    ``served_from`` is the first served instant on the clock that the warehouse sees.
    """
    return [
        SimulatedIncident(
            incident_id=incident.id,
            scenario=scenario.name,
            kind=incident.kind,
            model_name=incident.model,
            model_version=incident.version,
            column_name=None if incident.kind == "bad_deployment" else incident.column,
            started_at=served_from + incident.start,
            ended_at=served_from + incident.end,
            family=incident.family,
            size=_KINDS[incident.kind].size(incident),
            description=_KINDS[incident.kind].description(incident),
        )
        for incident in scenario.incidents
        if served_from + incident.start < served_until
    ]


# The kinds


def _nulls(traffic: Traffic, incident: Incident, chosen: Chosen) -> Traffic:
    return _with_column(traffic, incident, chosen, lambda values: None)


def _unit_change(traffic: Traffic, incident: Incident, chosen: Chosen) -> Traffic:
    return _with_column(
        traffic, incident, chosen, lambda values: (values * incident.factor).round(2)
    )


def _new_category(traffic: Traffic, incident: Incident, chosen: Chosen) -> Traffic:
    return _with_column(traffic, incident, chosen, lambda values: incident.value)


def _latency_regression(
    traffic: Traffic, incident: Incident, chosen: Chosen
) -> Traffic:
    return replace(
        traffic,
        latency_ms=np.where(
            chosen, traffic.latency_ms * incident.factor, traffic.latency_ms
        ),
    )


def _outage(traffic: Traffic, incident: Incident, chosen: Chosen) -> Traffic:
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


def _bad_deployment(traffic: Traffic, incident: Incident, chosen: Chosen) -> Traffic:
    return replace(
        traffic,
        model_version=np.where(
            chosen, cast(str, incident.version), traffic.model_version
        ),
    )


def _with_column(
    traffic: Traffic,
    incident: Incident,
    chosen: Chosen,
    change: Callable[[pd.Series], Any],
) -> Traffic:
    column = cast(str, incident.column)
    features = traffic.features.copy(deep=False)
    values = features[column].copy()
    values[chosen] = change(values[chosen])
    features[column] = values
    return replace(traffic, features=features)


def _of_values(incident: Incident) -> str:
    return f"{incident.share:.0%} of values"


def _times(incident: Incident) -> str:
    return f"times {incident.factor:g}"


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What a kind of incident needs to be told, does, and is called."""

    family: str
    needs: frozenset[str]
    effect: Effect
    size: Callable[[Incident], str]
    description: Callable[[Incident], str]


_KINDS: Mapping[str, _Kind] = {
    "nulls": _Kind(
        family="data_quality",
        needs=frozenset({"column", "share"}),
        effect=_nulls,
        size=_of_values,
        description=lambda incident: (
            f"{incident.column} is null in {incident.share:.0%} of requests."
        ),
    ),
    "unit_change": _Kind(
        family="drift",
        needs=frozenset({"column", "factor"}),
        effect=_unit_change,
        size=_times,
        description=lambda incident: (
            f"{incident.column} arrives in another unit, "
            f"{incident.factor:g} times as large."
        ),
    ),
    "new_category": _Kind(
        family="data_quality",
        needs=frozenset({"column", "value", "share"}),
        effect=_new_category,
        size=_of_values,
        description=lambda incident: (
            f"{incident.column} is {incident.value}, which no model has seen, in "
            f"{incident.share:.0%} of requests."
        ),
    ),
    "latency_regression": _Kind(
        family="service_health",
        needs=frozenset({"factor"}),
        effect=_latency_regression,
        size=_times,
        description=lambda incident: (
            f"Answers take {incident.factor:g} times as long as before."
        ),
    ),
    "outage": _Kind(
        family="service_health",
        needs=frozenset({"share"}),
        effect=_outage,
        size=lambda incident: f"{incident.share:.0%} of requests",
        description=lambda incident: (
            f"{incident.share:.0%} of requests fail with status 503."
        ),
    ),
    "bad_deployment": _Kind(
        family="model_performance",
        needs=frozenset(
            {
                "model",
                "version",
                "canary_share",
                "canary_duration",
                "column",
                "factor",
            }
        ),
        effect=_bad_deployment,
        size=lambda incident: (
            f"{incident.canary_share:.0%} of requests, then all of them"
        ),
        description=lambda incident: (
            f"Version {incident.version} validated well, but its service multiplies "
            f"{incident.column} by {incident.factor:.4g}; rolled back in the end."
        ),
    ),
}


# Reading scenario files


def named_scenario(name: str) -> Scenario:
    """The scenario of a name, or in a file: ``none``, one of ours, or a path.

    Raises ``ScenarioError`` when there is no such file, or it cannot be followed.
    """
    if name == NO_SCENARIO:
        return Scenario(name=NO_SCENARIO)
    ours = files("simulator").joinpath("scenarios")
    if _IDENTIFIER.fullmatch(name) and ours.joinpath(f"{name}.yml").is_file():
        place = f"the scenario {name}"
        text = ours.joinpath(f"{name}.yml").read_text(encoding="utf-8")
    else:
        place = name
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioError(
                f"The scenario {name} cannot be read: {error}; give the path of a YAML "
                f"file, 'default' or '{NO_SCENARIO}'."
            ) from error
    return parse_scenario(text, place=place)


def parse_scenario(text: str, *, place: str) -> Scenario:
    """Read a scenario; ``place`` is what messages call its file.

    Raises ``ScenarioError`` with a sentence that names the file, the incident and what
    to write instead.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ScenarioError(f"{place} is not YAML: {problem}") from error
    if not isinstance(content, dict):
        raise ScenarioError(f"{place} must hold the keys 'name' and 'incidents'.")
    _check_keys(
        content,
        allowed=frozenset({"name", "incidents"}),
        needed=frozenset({"name"}),
        where=place,
    )
    name = content["name"]
    if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
        raise ScenarioError(
            f"{place}: 'name' must be lower-case letters, digits, '-' and '_'."
        )
    items = content.get("incidents") or []
    if not isinstance(items, list):
        raise ScenarioError(f"{place}: 'incidents' must be a list.")
    incidents = tuple(
        _incident(item, place=place, number=number)
        for number, item in enumerate(items, start=1)
    )
    _check_uniqueness(incidents, place=place)
    return Scenario(name=name, incidents=incidents)


def _incident(item: object, *, place: str, number: int) -> Incident:
    where = f"{place}, incident {number}"
    if not isinstance(item, dict):
        raise ScenarioError(f"{where} must be a mapping that begins with 'id'.")
    identifier = item.get("id")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise ScenarioError(
            f"{where} needs an 'id' of lower-case letters, digits, '-' and '_'."
        )
    where = f"{place}, incident {identifier!r}"
    kind_name = item.get("kind")
    if not isinstance(kind_name, str) or kind_name not in _KINDS:
        raise ScenarioError(
            f"{where}: the kind {kind_name!r} is unknown; use one of "
            f"{', '.join(sorted(_KINDS))}."
        )
    kind = _KINDS[kind_name]
    _check_keys(
        item,
        allowed=_ANY_MODEL_KEYS | kind.needs,
        needed=(_ANY_MODEL_KEYS - {"model"}) | kind.needs,
        where=where,
    )
    return Incident(
        **{
            key: _read_value(key, value, kind_name, where)
            for key, value in item.items()
        }
    )


def _check_keys(
    content: Mapping[Any, object],
    *,
    allowed: frozenset[str],
    needed: frozenset[str],
    where: str,
) -> None:
    unknown = [str(key) for key in content if key not in allowed]
    if unknown:
        raise ScenarioError(
            f"{where}: the key {unknown[0]!r} is unknown; use only "
            f"{', '.join(sorted(allowed))}."
        )
    missing = sorted(needed - content.keys())
    if missing:
        raise ScenarioError(f"{where}: the key {missing[0]!r} is missing; add it.")


def _read_value(key: str, value: object, kind: str, where: str) -> Any:
    """The value of one key, checked; ``kind`` says which columns make sense."""
    if key in ("start", "duration", "canary_duration"):
        duration = _duration(value)
        if duration is None or (key == "duration" and not duration):
            raise ScenarioError(
                f"{where}: {key!r} is {value!r}; write a time such as 12d 6h 30m."
            )
        return duration
    if key in ("share", "canary_share"):
        if not _is_number(value) or not 0 < cast(float, value) <= 1:
            raise ScenarioError(
                f"{where}: {key!r} is {value!r}; write a number above 0, at most 1."
            )
        return float(cast(float, value))
    if key == "factor":
        if not _is_number(value) or not 0 < cast(float, value) < 1e6:
            raise ScenarioError(
                f"{where}: 'factor' is {value!r}; write a number above 0."
            )
        return float(cast(float, value))
    if key == "model":
        return _one_of(MODEL_NAMES, key, value, where)
    if key == "column":
        columns = {
            "nulls": NUMERICAL_FEATURES + CATEGORICAL_FEATURES,
            "new_category": CATEGORICAL_FEATURES,
        }.get(kind, NUMERICAL_FEATURES)
        return _one_of(columns, key, value, where)
    if not isinstance(value, str) or not value:
        raise ScenarioError(
            f"{where}: {key!r} is {value!r}; write a text, in quotes if it is a number."
        )
    if key == "version" and value == FIRST_VERSION:
        raise ScenarioError(
            f"{where}: version {FIRST_VERSION!r} serves from the start; choose another."
        )
    return value


def _duration(value: object) -> timedelta | None:
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes = (int(number or 0) for number in match.groups())
    if days > 366:
        return None
    return timedelta(days=days, hours=hours, minutes=minutes)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(names: tuple[str, ...], key: str, value: object, where: str) -> str:
    if not isinstance(value, str) or value not in names:
        raise ScenarioError(
            f"{where}: {key!r} is {value!r}; use one of {', '.join(names)}."
        )
    return value


def _check_uniqueness(incidents: tuple[Incident, ...], *, place: str) -> None:
    seen: set[str] = set()
    versions: set[tuple[str | None, str | None]] = set()
    for incident in incidents:
        where = f"{place}, incident {incident.id!r}"
        if incident.id in seen:
            raise ScenarioError(f"{where}: the id is used twice; choose another.")
        seen.add(incident.id)
        if incident.kind == "bad_deployment":
            if incident.canary_duration > incident.duration:
                raise ScenarioError(
                    f"{where}: 'canary_duration' exceeds 'duration'; shorten it."
                )
            version = (incident.model, incident.version)
            if version in versions:
                raise ScenarioError(
                    f"{where}: version {incident.version!r} is deployed twice; choose "
                    "another."
                )
            versions.add(version)
