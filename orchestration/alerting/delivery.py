"""Decide, send, record: how each change reaches each receiver at least once.

What to tell is decided from the incidents and from what the ledger holds of a receiver,
and is written down before anything is sent. Then it is sent, and that is written down.
A crash before sending leaves a message that the next run sends; a crash after it, one
that is sent again, with the same id. A session holds a receiver while it does so, hence
two that deliver at once don't both send. No receiver waits for another.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from orchestration import warehouse
from orchestration.alerting import ledger
from orchestration.alerting.changes import Decision, decide
from orchestration.alerting.channels import DeliveryError, open_channel
from orchestration.alerting.configuration import Alerting, Receiver
from orchestration.alerting.incidents import (
    Incident,
    incidents_fingerprint,
    read_incidents,
)
from orchestration.alerting.messages import DatedChange, Message, counted
from orchestration.errors import DriftlineError
from orchestration.warehouse import ConnectionSettings


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the changes for one receiver.

    ``failure`` is why the last message did not get through, and ``next_attempt_at``
    when it is tried again: null if it is given up. ``waiting_count`` changes wait, for
    that or because the receiver got its messages of the hour. ``skipped`` counts what
    was decided now and is not told, by reason. ``is_busy``: another run delivers to it.
    ``is_unrecorded``: the ledger does not hold all of this, so the next run must look.
    """

    receiver: str
    sent: tuple[Message, ...] = ()
    failure: str | None = None
    next_attempt_at: datetime | None = None
    waiting_count: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    is_busy: bool = False
    is_unrecorded: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be told to a receiver, and what it would be spared."""

    receiver: str
    message: Message | None
    pending: ledger.Pending | None
    skipped: Mapping[str, int]


def deliver(
    settings: ConnectionSettings,
    alerting: Alerting,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    write: Callable[[str], None] = print,
    is_retried_now: bool = False,
    patience_seconds: float | None = None,
) -> list[Outcome]:
    """Tell every receiver what it has not been told, and say what became of it.

    ``is_retried_now`` leaves out the pause after a failure. After
    ``patience_seconds``, receivers that are still being sent to are reported as busy
    and left alone: what becomes of them is in the ledger.

    Raises ``IncidentError`` if the marts are not there, ``WarehouseError`` if the
    warehouse can't be reached. A receiver that is down is no error: see its outcome.
    """
    with warehouse.connect(settings, autocommit=True) as connection:
        read_incidents(connection)
    executor = ThreadPoolExecutor(max_workers=len(alerting.receivers))
    futures = {
        receiver.name: executor.submit(
            _deliver_to,
            receiver,
            settings,
            alerting,
            environ=environ,
            clock=clock,
            write=write,
            is_retried_now=is_retried_now,
        )
        for receiver in alerting.receivers
    }
    wait(futures.values(), timeout=patience_seconds)
    executor.shutdown(wait=False)
    return [_outcome(name, future) for name, future in futures.items()]


def _outcome(receiver: str, future: "Future[Outcome]") -> Outcome:
    if not future.done():
        return Outcome(receiver=receiver, is_busy=True)
    error = future.exception()
    if error is None or isinstance(error, DriftlineError):
        return future.result()
    # The others have theirs, and are told what came of it.
    return Outcome(
        receiver=receiver,
        failure=f"unexpected {type(error).__name__}",
        is_unrecorded=True,
    )


def notify(
    alerting: Alerting,
    receivers: Sequence[str],
    notice: str,
    *,
    message_id: str,
    environ: Mapping[str, str],
    write: Callable[[str], None] = print,
) -> dict[str, str | None]:
    """Send a notice to the receivers of these names, and say of each why it failed.

    None if it got through. Needs no warehouse, which may be what the notice is about;
    hence nothing is written down, and nothing sent again. Each takes its own timeout at
    most, and none waits for another.
    """
    chosen = [each for each in alerting.receivers if each.name in receivers]

    def send(receiver: Receiver) -> str | None:
        channel = open_channel(receiver, alerting.links, environ=environ, write=write)
        message = Message(message_id=message_id, receiver=receiver.name, notice=notice)
        try:
            channel(message)
        except DeliveryError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max_workers=max(len(chosen), 1)) as executor:
        return dict(
            zip((each.name for each in chosen), executor.map(send, chosen), strict=True)
        )


def plan(
    settings: ConnectionSettings, alerting: Alerting, *, now: datetime
) -> list[Plan]:
    """What :func:`deliver` would do now, in so far as nothing fails; writes nothing."""
    plans = []
    with warehouse.connect(settings, autocommit=True) as connection:
        incidents = read_incidents(connection)
        for receiver in alerting.receivers:
            decisions = _decide(connection, receiver, alerting, incidents, now=now)
            waiting = ledger.read_waiting(connection, receiver.name)
            changes = (
                *waiting,
                *(
                    DatedChange(
                        event_id=each.event_id, decided_at=now, change=each.change
                    )
                    for each in decisions
                    if each.skipped_reason is None
                ),
            )
            plans.append(
                Plan(
                    receiver=receiver.name,
                    message=Message(
                        message_id="", receiver=receiver.name, changes=changes
                    )
                    if changes
                    else None,
                    pending=ledger.read_pending(connection, receiver.name),
                    skipped=_skipped(decisions),
                )
            )
    return plans


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Equal ``state``: nothing has changed that anybody could have to be told.

    ``is_anything_due``: something was decided before, and could be tried now.
    """

    state: str
    is_anything_due: bool


def fingerprint(
    settings: ConnectionSettings, alerting: Alerting, *, now: datetime
) -> Fingerprint:
    """A cheap look at whether :func:`deliver` would find anything to do.

    Raises ``IncidentError`` if the marts are not there.
    """
    with warehouse.connect(settings, autocommit=True) as connection:
        state = f"{alerting.fingerprint} {incidents_fingerprint(connection)}"
        names = [receiver.name for receiver in alerting.receivers]
        return Fingerprint(
            state=state,
            is_anything_due=ledger.is_anything_due(connection, names, now=now),
        )


def unrouted(incidents: Sequence[Incident], alerting: Alerting) -> list[Incident]:
    """The incidents that go on and that nobody is told of."""
    return [
        incident
        for incident in incidents
        if incident.is_open and not alerting.receivers_of(incident)
    ]


def describe(outcome: Outcome) -> str:
    """What became of one receiver's changes, in a sentence without secrets."""
    if outcome.is_busy:
        return f"{outcome.receiver}: another run is delivering to it."
    parts = []
    if outcome.sent:
        changes = sum(len(message.changes) for message in outcome.sent)
        parts.append(f"sent {counted(changes, 'change')}")
    if outcome.failure is not None:
        if outcome.next_attempt_at is not None:
            then = f"tried again from {outcome.next_attempt_at:%H:%M:%S} UTC on"
        elif outcome.is_unrecorded:
            then = "tried again by the next run"
        else:
            then = "given up, as it is refused again and again"
        parts.append(f"failed: {outcome.failure} ({then})")
    if outcome.waiting_count:
        why = (
            "for that" if outcome.failure else "since its messages of the hour are out"
        )
        parts.append(f"{counted(outcome.waiting_count, 'change')} waiting {why}")
    parts += [
        f"{counted(count, 'change')} not told: {reason}"
        for reason, count in sorted(outcome.skipped.items())
    ]
    return f"{outcome.receiver}: {'; '.join(parts) or 'nothing new'}."


def _deliver_to(
    receiver: Receiver,
    settings: ConnectionSettings,
    alerting: Alerting,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    write: Callable[[str], None],
    is_retried_now: bool,
) -> Outcome:
    name = receiver.name
    send = open_channel(receiver, alerting.links, environ=environ, write=write)
    sent: list[Message] = []
    failure: str | None = None
    next_attempt_at: datetime | None = None
    with warehouse.connect(settings, autocommit=True) as connection:
        if not ledger.try_lock(connection, name):
            return Outcome(receiver=name, is_busy=True)
        # Read under the lock: another run may just have told it.
        incidents = read_incidents(connection)
        decisions = _decide(connection, receiver, alerting, incidents, now=clock())
        ledger.record(connection, name, decisions, now=clock())
        while True:
            ledger.group(
                connection,
                name,
                messages_per_hour=receiver.messages_per_hour,
                now=clock(),
            )
            pending = ledger.read_pending(connection, name)
            if pending is None:
                break
            if pending.next_attempt_at > clock() and not is_retried_now:
                failure = pending.last_error
                next_attempt_at = pending.next_attempt_at
                break
            ledger.begin_attempt(connection, pending, now=clock())
            try:
                send(pending.message)
            except DeliveryError as error:
                failure = str(error)
                next_attempt_at = ledger.record_failure(
                    connection,
                    pending,
                    reason=failure,
                    retry_after=error.retry_after,
                    is_refused=error.is_refused,
                    now=clock(),
                )
                # What was given up no longer keeps others back.
                if next_attempt_at is None:
                    continue
                break
            ledger.record_sent(connection, pending.message, now=clock())
            sent.append(pending.message)
        return Outcome(
            receiver=name,
            sent=tuple(sent),
            failure=failure,
            next_attempt_at=next_attempt_at,
            waiting_count=len(ledger.read_waiting(connection, name)),
            skipped=_skipped(decisions),
        )


def _decide(
    connection: psycopg.Connection,
    receiver: Receiver,
    alerting: Alerting,
    incidents: Sequence[Incident],
    *,
    now: datetime,
) -> list[Decision]:
    entries, is_used = ledger.read_entries(connection, receiver.name)
    return decide(
        incidents,
        entries,
        receives=lambda incident: receiver.name in alerting.receivers_of(incident),
        is_first_use=not is_used,
        now=now,
    )


def _skipped(decisions: Sequence[Decision]) -> Mapping[str, int]:
    return Counter(
        each.skipped_reason for each in decisions if each.skipped_reason is not None
    )
