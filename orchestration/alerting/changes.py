"""Which changes of incidents a receiver has not been told of yet. Pure.

What a receiver knows is in its ledger: each change that was decided, in order. What is
new is the difference between that and the incidents of now. So nothing depends on when
or how often anybody looks, or on what a run that crashed had seen.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from orchestration.alerting.incidents import Incident

Event = Literal["opened", "escalated", "resolved", "reopened"]

# A change about a moment that is longer ago than this is late news, and says so.
LATE_AFTER = timedelta(days=2)

MUTED = "muted"
NOT_ROUTED = "not routed"
ACKNOWLEDGED = "acknowledged"
FIRST_USE = "first use"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of an incident, as it is told.

    ``incident`` is as it was when the change was decided. ``is_late``: it is about
    windows long past. ``is_withdrawn``: the incident is gone, since what it rested on
    has changed. ``is_whole``: nobody was told of its beginning, so this is all of it.
    """

    event: Event
    incident: Incident
    is_late: bool = False
    is_withdrawn: bool = False
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A change for the ledger; one that is skipped is not told, and why."""

    event_id: str
    change: Change
    skipped_reason: str | None = None

    @property
    def incident_id(self) -> str:
        """Whose change it is."""
        return self.change.incident.incident_id


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the ledger holds of a change that was decided before."""

    event: Event
    incident: Incident
    skipped_reason: str | None


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a receiver knows of an incident: the last that it was told."""

    is_open: bool
    severity: str


def decide(
    incidents: Sequence[Incident],
    ledger: Iterable[Entry],
    *,
    receives: Callable[[Incident], bool],
    is_first_use: bool,
    now: datetime,
) -> list[Decision]:
    """The changes that a receiver's ledger lacks, in the order in which to tell them.

    ``ledger`` is in the order of deciding. ``receives`` says what is routed to the
    receiver. What is not is noted, so that a route that is widened brings what goes on
    and nothing of the past. The end of what it was told of is told in any case.
    """
    entries: dict[str, list[Entry]] = {}
    for entry in ledger:
        entries.setdefault(entry.incident.incident_id, []).append(entry)
    current = {incident.incident_id: incident for incident in incidents}
    gone = {
        incident_id: earlier[-1].incident
        for incident_id, earlier in entries.items()
        if incident_id not in current
    }
    decisions: list[Decision] = []

    def add(change: Change, skipped_reason: str | None = None) -> None:
        earlier = entries.setdefault(change.incident.incident_id, [])
        decisions.append(
            Decision(
                event_id=_event_id(change, len(earlier)),
                change=change,
                skipped_reason=skipped_reason,
            )
        )
        earlier.append(
            Entry(
                event=change.event,
                incident=change.incident,
                skipped_reason=skipped_reason,
            )
        )

    for incident in sorted(incidents, key=lambda each: each.opened_at):
        if incident.incident_id not in entries:
            earlier = _predecessor(incident, gone, entries)
            if earlier is not None:
                del gone[earlier.incident_id]
                _hand_over(earlier, incident, entries, add)
        history = entries.get(incident.incident_id, [])
        event = _next_event(incident, history, receives=receives)
        if event is None:
            continue
        change = Change(
            event=event,
            incident=incident,
            is_late=not is_first_use and now - _moment(event, incident) > LATE_AFTER,
            is_whole=event == "resolved" and not any(map(_is_told, history)),
        )
        is_routed = any(map(_is_told, history)) or receives(incident)
        add(
            change,
            _reason_to_skip(change, is_routed=is_routed, is_first_use=is_first_use),
        )
    for incident_id, incident in gone.items():
        told = _known(filter(_is_told, entries[incident_id]))
        if told is not None and told.is_open:
            add(Change(event="resolved", incident=incident, is_withdrawn=True))
    return decisions


def _next_event(
    incident: Incident,
    history: Sequence[Entry],
    *,
    receives: Callable[[Incident], bool],
) -> Event | None:
    """What the receiver has to be told next, or, if muted or not routed, is not."""
    seen = _known(history)
    told = _known(filter(_is_told, history))
    is_routed = told is not None or receives(incident)
    # Each change is kept from a receiver once; after that it is told what is left.
    known = told if is_routed and not incident.is_muted else seen
    if known is None:
        # Began and ended while it was muted, or before it was routed. Unless its last
        # change is what the routes ask for, such as that it became critical.
        if (
            seen is not None
            and not incident.is_open
            and (not seen.is_open or receives(history[-1].incident))
        ):
            return None
        return "opened" if incident.is_open else "resolved"
    if known.is_open and not incident.is_open:
        return "resolved"
    if not known.is_open and incident.is_open:
        return "reopened" if told is None or receives(incident) else None
    if known.is_open and incident.severity == "critical" != known.severity:
        return "escalated"
    return None


def _reason_to_skip(
    change: Change, *, is_routed: bool, is_first_use: bool
) -> str | None:
    if change.incident.is_muted:
        return MUTED
    if not is_routed:
        return NOT_ROUTED
    if is_first_use and not change.incident.is_open:
        return FIRST_USE
    if change.incident.state == "acknowledged" and change.event in (
        "opened",
        "reopened",
    ):
        return ACKNOWLEDGED
    return None


def _predecessor(
    incident: Incident,
    gone: Mapping[str, Incident],
    entries: Mapping[str, Sequence[Entry]],
) -> Incident | None:
    """The incident that this one was called before rows arrived that moved its start.

    One that is gone, of the same monitor and at the same time, that fired by a rule
    and on a column of this one, if they fired on any.
    """
    end = incident.closed_at
    for earlier in gone.values():
        overlaps = (end is None or earlier.started_at <= end) and (
            earlier.closed_at is None or incident.started_at <= earlier.closed_at
        )
        columns = {*earlier.column_names}, {*incident.column_names}
        if (
            earlier.monitor == incident.monitor
            and overlaps
            and {*earlier.rule_ids} & {*incident.rule_ids}
            and (columns[0] & columns[1] or not any(columns))
            and any(map(_is_told, entries[earlier.incident_id]))
            and not _is_withdrawn(entries[earlier.incident_id][-1])
        ):
            return earlier
    return None


def _is_withdrawn(last: Entry) -> bool:
    """Whether an incident is over though it never ended: by its times it still goes on.

    It was withdrawn, or has become another, which is asked in its place.
    """
    return last.event == "resolved" and last.incident.closed_at is None


def _hand_over(
    earlier: Incident,
    incident: Incident,
    entries: Mapping[str, Sequence[Entry]],
    add: Callable[[Change, str | None], None],
) -> None:
    """What a receiver knows of an incident, it knows of the one it has become."""
    told = _known(filter(_is_told, entries[earlier.incident_id]))
    assert told is not None
    if told.is_open:
        gone = Change(event="resolved", incident=earlier, is_withdrawn=True)
        add(gone, f"goes on as {incident.incident_id}")
    # With the severity that was told, so that more than that is still an escalation.
    known = replace(incident, severity=told.severity)
    add(
        Change(event="opened" if told.is_open else "resolved", incident=known),
        f"was {earlier.incident_id}",
    )


def _known(history: Iterable[Entry]) -> _Known | None:
    known = None
    for entry in history:
        known = _Known(
            is_open=entry.event != "resolved", severity=entry.incident.severity
        )
    return known


def _is_told(entry: Entry) -> bool:
    """Whether the receiver need not hear of it again.

    It does, after the mute or once it is routed, of what happened meanwhile and still
    differs.
    """
    return entry.skipped_reason not in (MUTED, NOT_ROUTED)


def _moment(event: Event, incident: Incident) -> datetime:
    """The moment that a change rests on, in the time of the data."""
    if event == "opened":
        return incident.opened_at
    if event == "resolved" and incident.closed_at is not None:
        return incident.closed_at
    return incident.last_alert_at


def _event_id(change: Change, position: int) -> str:
    """The same in every attempt to decide this change, and in no other.

    ``position`` is the number of changes before it, so that an incident can be
    resolved, reopened and resolved at the same moment again.
    """
    incident = change.incident
    moment = _moment(change.event, incident)
    parts = [
        incident.incident_id,
        change.event,
        incident.severity,
        moment.isoformat(),
        position,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
