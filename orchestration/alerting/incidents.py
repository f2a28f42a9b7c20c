"""Incidents as ``marts.incidents`` has them, and what people say about them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal, get_type_hints

import psycopg
from psycopg.rows import class_row, scalar_row

from orchestration.errors import DriftlineError

State = Literal["open", "acknowledged", "resolved"]
STATES: Sequence[State] = ("open", "acknowledged", "resolved")

# Graver ones first.
SEVERITIES: Sequence[str] = ("critical", "warning")
FAMILIES: Sequence[str] = (
    "service_health",
    "data_quality",
    "drift",
    "model_performance",
)

_IDENTIFIER = re.compile(r"[0-9a-f]{1,64}")


class IncidentError(DriftlineError):
    """There is no such incident, monitor or mute, or there are several."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A row of ``marts.incidents``; its columns say what each is."""

    incident_id: str
    monitor: str
    owner: str | None
    title: str
    severity: str
    state: str
    is_muted: bool
    started_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    last_alert_at: datetime
    families: tuple[str, ...]
    rule_ids: tuple[str, ...]
    column_names: tuple[str, ...]
    model_versions: tuple[str, ...]
    alert_count: int
    suspect_rule_id: str | None
    suspect_family: str | None
    suspect_column_name: str | None
    suspect_metric: str | None
    suspect_model_version: str | None
    suspect_segment: str | None
    suspect_segment_value: str | None
    suspect_reason: str | None
    possible_causes: tuple[str, ...]
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None

    def __post_init__(self) -> None:
        """Arrays of Postgres and of JSON are lists, or null if they are empty."""
        for name in _ARRAYS:
            object.__setattr__(self, name, tuple(getattr(self, name) or ()))

    @property
    def is_open(self) -> bool:
        """Whether it goes on, acknowledged or not."""
        return self.state != "resolved"

    @property
    def what(self) -> str:
        """Its title without the monitor, where that is told beside it."""
        return self.title.removeprefix(f"{self.monitor}: ")

    def as_json(self) -> dict[str, Any]:
        """Its fields as JSON has them, times in ISO 8601."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Incident":
        """What :meth:`as_json` made; fields that came later are null."""
        values: dict[str, Any] = {
            field.name: stored.get(field.name) for field in fields(cls)
        }
        for name in _TIMES:
            if values[name] is not None:
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


_COLUMNS = ", ".join(field.name for field in fields(Incident))
_ARRAYS = [n for n, t in get_type_hints(Incident).items() if t == tuple[str, ...]]
_TIMES = [n for n in get_type_hints(Incident) if n.endswith("_at")]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A row of ``marts.alerts``, as far as people want to see it."""

    rule_id: str
    family: str
    metric: str
    model_version: str
    segment: str
    segment_value: str
    column_name: str
    grain: str
    window_start: datetime
    window_end: datetime
    value: float | None
    expected: float | None
    threshold: float | None
    sample_count: int | None
    severity: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Mute:
    """A row of ``operations.mutes``: of a monitor, or of a rule or a column of it."""

    mute_id: int
    monitor: str
    rule_id: str | None
    column_name: str | None
    muted_from: datetime
    muted_until: datetime
    muted_by: str | None
    note: str | None


@contextmanager
def built_marts() -> Iterator[None]:
    """Say what to do if the alert layer has never been built."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise IncidentError(
            "There are no incidents to look at, since the marts have not been built "
            "yet: run `driftline monitor`, or `dbt build` in dbt_project/."
        ) from error


def read_incidents(connection: psycopg.Connection) -> list[Incident]:
    """All incidents, the newest first. Raises ``IncidentError`` without marts."""
    with built_marts(), connection.cursor(row_factory=class_row(Incident)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from marts.incidents "
            "order by started_at desc, incident_id"
        ).fetchall()


def incidents_fingerprint(connection: psycopg.Connection) -> str:
    """Differs if any incident has changed. Raises ``IncidentError`` without marts."""
    with built_marts(), connection.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(
            """
            select
                md5(
                    coalesce(
                        string_agg(
                            concat_ws(
                                ' ', incident_id, state, severity, is_muted,
                                opened_at, closed_at, owner
                            ),
                            e'\n' order by incident_id
                        ),
                        ''
                    )
                )
            from marts.incidents
            """
        ).fetchone()
    return str(found)


def find_incident(connection: psycopg.Connection, wanted: str) -> Incident:
    """The incident whose id is ``wanted``, or begins with it if only one does.

    Raises ``IncidentError`` otherwise, with the ids that come near.
    """
    incidents = read_incidents(connection)
    prefix = wanted.strip().lower()
    found = [each for each in incidents if each.incident_id == prefix] or [
        each for each in incidents if prefix and each.incident_id.startswith(prefix)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        some = "; ".join(_in_brief(each) for each in found[:5])
        raise IncidentError(
            f"{len(found)} incidents begin with {wanted!r}: give more of its id. {some}"
        )
    known = {each.incident_id: each for each in incidents}
    near = get_close_matches(prefix, known, n=3, cutoff=0.5)
    if not near and not _IDENTIFIER.fullmatch(prefix):
        near = [each.incident_id for each in incidents if each.monitor == prefix][:3]
    advice = (
        "Did you mean " + "; or ".join(_in_brief(known[each]) for each in near) + "?"
        if near
        else "`driftline incidents --all` lists them."
    )
    raise IncidentError(f"There is no incident {wanted!r}. {advice}")


def read_alerts(connection: psycopg.Connection, incident_id: str) -> list[Alert]:
    """The fired windows of an incident, the oldest first."""
    columns = ", ".join(field.name for field in fields(Alert))
    with built_marts(), connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            f"select {columns} from marts.alerts "
            "where incident_id = %s order by window_start, family, rule_id, "
            "column_name, model_version, segment_value",
            [incident_id],
        ).fetchall()


def acknowledge(
    connection: psycopg.Connection,
    incident_id: str,
    *,
    by: str,
    note: str | None,
    is_undone: bool = False,
) -> None:
    """Record that someone takes care of it, or no longer does; commits.

    With what it consists of, so that this still holds when late rows rename it.
    """
    action = "unacknowledge" if is_undone else "acknowledge"
    with built_marts(), connection.transaction():
        connection.execute(
            f"""
            with acted as (
                insert into operations.incident_actions
                    (incident_id, action, acted_by, note, acted_at)
                values (%s, %s, %s, %s, now())
                returning action_id, incident_id
            )
            insert into operations.acted_episodes (action_id, {_EPISODE_COLUMNS})
            select acted.action_id, {_EPISODE_COLUMNS}
            from acted
            inner join intermediate.int_alert_episodes as episodes
                on acted.incident_id = episodes.incident_id
            """,
            [incident_id, action, by, note],
        )


_EPISODE_COLUMNS = (
    "monitor, rule_id, model_version, segment, segment_value, column_name, grain, "
    "started_at, last_alert_at"
)


def mute(
    connection: psycopg.Connection,
    monitor: str,
    *,
    rule_id: str | None,
    column_name: str | None,
    until: datetime,
    by: str,
    note: str | None,
) -> Mute:
    """Silence a monitor, or a rule or a column of it, from now on; commits.

    Raises ``IncidentError`` if there is no such monitor, or no such rule of it.
    """
    with built_marts(), connection.cursor(row_factory=scalar_row) as cursor:
        monitors = cursor.execute("select monitor from marts.monitors").fetchall()
        rules = cursor.execute(
            "select rule_id from intermediate.int_alert_rules where monitor = %s",
            [monitor],
        ).fetchall()
    if monitor not in monitors:
        raise IncidentError(
            f"There is no monitor {monitor!r}. {_near(monitor, monitors)}"
        )
    if rule_id is not None and rule_id not in rules:
        raise IncidentError(
            f"{monitor} has no rule {rule_id!r}. {_near(rule_id, rules)}"
        )
    with (
        built_marts(),
        connection.transaction(),
        connection.cursor(row_factory=class_row(Mute)) as cursor,
    ):
        made = cursor.execute(
            f"""
            insert into operations.mutes (
                monitor, rule_id, column_name, muted_from, muted_until, muted_by,
                note, created_at
            )
            values (%s, %s, %s, now(), %s, %s, %s, now())
            returning {_MUTE_COLUMNS}
            """,
            [monitor, rule_id, column_name, until, by, note],
        ).fetchone()
    assert made is not None
    return made


_MUTE_COLUMNS = ", ".join(field.name for field in fields(Mute))


def read_mutes(connection: psycopg.Connection, *, now: datetime) -> list[Mute]:
    """The mutes that are in force at ``now``, or will be."""
    with built_marts(), connection.cursor(row_factory=class_row(Mute)) as cursor:
        return cursor.execute(
            f"select {_MUTE_COLUMNS} "
            "from operations.mutes where muted_until > %s "
            "order by muted_until, mute_id",
            [now],
        ).fetchall()


def unmute(connection: psycopg.Connection, mute_id: int, *, now: datetime) -> Mute:
    """End a mute at ``now``; commits. Raises ``IncidentError`` if it is not in force.

    The row stays, so that it can be read later why nothing was sent.
    """
    in_force = {each.mute_id: each for each in read_mutes(connection, now=now)}
    if mute_id not in in_force:
        listed = ", ".join(map(str, in_force)) or "none is"
        raise IncidentError(f"No mute {mute_id} is in force (in force: {listed}).")
    with connection.transaction():
        connection.execute(
            "update operations.mutes set muted_until = greatest(muted_from, %s) "
            "where mute_id = %s",
            [now, mute_id],
        )
    return in_force[mute_id]


_TIME_UNITS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}


def parse_span(text: str) -> timedelta:
    """``90m``, ``2h``, ``3 days``, ``1 week`` as a span. Raises ``IncidentError``."""
    found = re.fullmatch(
        r"\s*(\d{1,6})\s*(?:(m|h|d|w)|(minute|hour|day|week)s?)\s*", text.lower()
    )
    if found is None or int(found[1]) == 0:
        raise IncidentError(
            f"{text!r} is no span of time: write it as 90m, 2h, 3 days or 1 week."
        )
    unit = found[3] or {name[0]: name for name in _TIME_UNITS}[found[2]]
    try:
        return int(found[1]) * _TIME_UNITS[unit]
    except OverflowError as error:
        raise IncidentError(f"{text!r} is too long.") from error


def parse_moment(text: str, *, now: datetime) -> datetime:
    """A day or a time of ISO 8601, in UTC if it names no offset.

    Raises ``IncidentError`` on anything else.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise IncidentError(
            f"{text!r} is no day or time: write it as 2026-01-31 or "
            "2026-01-31T18:00, which is UTC unless it says otherwise (+02:00)."
        ) from error
    return moment.replace(tzinfo=now.tzinfo) if moment.tzinfo is None else moment


def parse_day_or_span(text: str, *, now: datetime) -> datetime:
    """When it began: a day or a time, or as long ago as a span says.

    Raises ``IncidentError`` on anything else.
    """
    try:
        return parse_moment(text, now=now)
    except IncidentError as unreadable:
        try:
            return now - parse_span(text)
        except OverflowError:
            return datetime.min.replace(tzinfo=now.tzinfo)
        except IncidentError:
            raise unreadable from None


def _near(wanted: str, names: Sequence[str]) -> str:
    """Which of the names may have been meant."""
    found = get_close_matches(wanted, names, n=2, cutoff=0.5) or sorted(names)
    return f"Did you mean {' or '.join(found)}?" if found else "There are none yet."


def _in_brief(incident: Incident) -> str:
    return f"{incident.incident_id} ({incident.monitor}: {incident.title})"
