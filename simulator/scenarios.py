"""Scenarios: incidents at known times under one name, read from files or drawn.

A scenario file holds ``name`` and a list of ``incidents``. Every incident has ``id``,
``kind`` and ``start``, a ``model`` unless all are meant, and either a ``size``
(``obvious``, ``moderate`` or ``subtle``) or the ``duration`` and the numbers of its
kind. ``start`` and ``duration`` are times such as ``12d 6h 30m``; starts are counted
from the first instant that is served. docs/scenarios.md describes the kinds.
"""

import hashlib
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml

from simulator.durations import duration_of
from simulator.incidents import KINDS, Incident
from simulator.levels import LEVELS, strengths
from simulator.loading import SimulatedIncident
from simulator.random_incidents import random_incidents
from simulator.serving import FIRST_VERSION, MODEL_NAMES

NO_SCENARIO = "none"

# More would not fit into little memory: a week of a model is one part of a replay.
_MOST_REQUESTS = 20

_ANY_RANDOM = "random"
_RANDOM = re.compile(r"random-(\d{1,18})")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ALWAYS = frozenset({"id", "kind", "start", "duration"})
_DURATIONS = ("start", "duration", "canary_duration", "delay")


class ScenarioError(ValueError):
    """A scenario file says something that cannot be done."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Incidents under one name."""

    name: str
    incidents: tuple[Incident, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, as hexadecimal digits."""
        # What incidents could not say at first counts only where it is said, so that a
        # simulation that an earlier version began can still be continued.
        said = [
            (incident.level, incident.delay, incident.minutes)
            for incident in self.incidents
        ]
        later = "".join(repr(values) for values in said if any(values))
        return hashlib.sha256((repr(self) + later).encode()).hexdigest()

    def deployments(self) -> list[Incident]:
        """The incidents that deploy a version."""
        return [each for each in self.incidents if each.kind == "bad_deployment"]


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
            column_name=incident.shown_column,
            started_at=served_from + incident.start,
            ended_at=served_from + incident.end,
            family=incident.family,
            size=incident.size,
            description=incident.description,
            level=incident.level,
        )
        for incident in scenario.incidents
        if served_from + incident.start < served_until
    ]


def named_scenario(name: str, *, seed: int | None = None) -> Scenario:
    """The scenario of a name, or in a file.

    That is ``none``, ``random-17`` for the one that is drawn with the seed 17,
    ``random`` for that of ``seed``, the name of one of ours, or a path. Raises
    ``ScenarioError`` when there is no such file, or it cannot be followed.
    """
    if name == NO_SCENARIO:
        return Scenario(name=NO_SCENARIO)
    if name == _ANY_RANDOM and seed is not None:
        name = f"{_ANY_RANDOM}-{seed}"
    if drawn := _RANDOM.fullmatch(name):
        incidents = random_incidents(int(drawn[1]))
        return scenario_of({"name": name, "incidents": incidents}, place=name)
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
                "file, 'default', 'catalogue', 'random-' with a number, or "
                f"'{NO_SCENARIO}'."
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
    return scenario_of(content, place=place)


def scenario_of(content: Mapping[Any, object], *, place: str) -> Scenario:
    """The scenario of what a file holds; raises ``ScenarioError`` like its reader."""
    _refuse_unknown(content, allowed={"name", "incidents"}, where=place)
    _refuse_missing(content, needed={"name"}, where=place)
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
    if not isinstance(kind_name, str) or kind_name not in KINDS:
        raise ScenarioError(
            f"{where}: the kind {kind_name!r} is unknown; use one of "
            f"{', '.join(sorted(KINDS))}."
        )
    kind = KINDS[kind_name]
    _refuse_unknown(
        item,
        allowed=_ALWAYS | {"model", "size"} | kind.needs | kind.strength,
        where=where,
    )
    level: str | None = None
    if "size" in item:
        level = _one_of(LEVELS, "size", item["size"], where)
        item = _with_numbers(item, level, kind_name, where)
    _refuse_missing(item, needed=_ALWAYS - {"duration"} | kind.needs, where=where)
    _refuse_missing(
        item,
        needed={"duration"} | (kind.strength - kind.optional),
        where=where,
        remedy="add it, or give a 'size' instead of numbers.",
    )
    return Incident(
        **{
            key: _read_value(key, value, kind_name, where)
            for key, value in item.items()
        },
        level=level,
    )


def _with_numbers(
    item: Mapping[Any, object], level: str, kind_name: str, where: str
) -> dict[Any, object]:
    """An incident with the numbers of its level instead of ``size``."""
    kind, known = KINDS[kind_name], strengths()[kind_name]
    for key in sorted(kind.strength & item.keys()):
        raise ScenarioError(
            f"{where}: 'size' and {key!r} both say how strong it is; leave one out."
        )
    constants: Mapping[str, object] = {}
    if known.columns:
        _refuse_missing(item, needed={"column"}, where=where)
        column = _read_value("column", item["column"], kind_name, where)
        if column not in known.columns:
            raise ScenarioError(
                f"{where}: no size is known for {kind_name} in {column!r}; use one of "
                f"{', '.join(known.columns)}, or give numbers instead of 'size'."
            )
        constants = known.columns[column]
    numbers = known.levels[level]
    given, least = duration_of(item.get("duration")), duration_of(numbers["duration"])
    assert least is not None
    if given is not None and given < least:
        raise ScenarioError(
            f"{where}: 'duration' is {item['duration']!r}, too short to be {level}; "
            f"write at least {numbers['duration']}, or numbers instead of 'size'."
        )
    return {
        key: value
        for key, value in {**numbers, **constants, **item}.items()
        if key != "size"
    }


def _refuse_unknown(
    content: Mapping[Any, object], *, allowed: Set[str], where: str
) -> None:
    unknown = [str(key) for key in content if key not in allowed]
    if unknown:
        raise ScenarioError(
            f"{where}: the key {unknown[0]!r} is unknown; use only "
            f"{', '.join(sorted(allowed))}."
        )


def _refuse_missing(
    content: Mapping[Any, object],
    *,
    needed: Set[str],
    where: str,
    remedy: str = "add it.",
) -> None:
    missing = sorted(needed - content.keys())
    if missing:
        raise ScenarioError(f"{where}: the key {missing[0]!r} is missing; {remedy}")


def _read_value(key: str, value: object, kind_name: str, where: str) -> Any:
    """The value of one key, checked; the kind says which columns make sense."""
    kind = KINDS[kind_name]
    if key in _DURATIONS:
        duration = duration_of(value)
        if duration is None or (key in ("duration", "delay") and not duration):
            raise ScenarioError(
                f"{where}: {key!r} is {value!r}; write a time such as 12d 6h 30m."
            )
        return duration
    if key in ("share", "canary_share"):
        return _number(key, value, where, above=0, most=1)
    if key == "factor" and kind_name == "traffic_surge":
        return _number(key, value, where, above=1, most=_MOST_REQUESTS)
    if key == "factor":
        return _number(key, value, where, above=0, most=1e6)
    if key == "minutes":
        minutes = _number(key, value, where, above=0, most=1440)
        if not minutes.is_integer():
            raise ScenarioError(f"{where}: 'minutes' is {value!r}; write whole ones.")
        return minutes
    if key == "model":
        return _one_of(MODEL_NAMES, key, value, where)
    if key == "column":
        return _one_of(kind.columns, key, value, where)
    if key == "value" and kind_name == "out_of_range":
        return _number(key, value, where, above=-1e9, most=1e9)
    if not isinstance(value, str) or not value:
        raise ScenarioError(
            f"{where}: {key!r} is {value!r}; write a text, in quotes if it is a number."
        )
    if key == "version" and value == FIRST_VERSION:
        raise ScenarioError(
            f"{where}: version {FIRST_VERSION!r} serves from the start; choose another."
        )
    return value


def _number(key: str, value: object, where: str, *, above: float, most: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not above < cast(float, value) <= most:
        raise ScenarioError(
            f"{where}: {key!r} is {value!r}; write a number above {above:g}, at most "
            f"{most:g}."
        )
    return float(cast(float, value))


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
