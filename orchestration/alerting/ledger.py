"""``operations.deliveries``: what was decided to be told, to whom, what came of it.

Grain: one row per change and receiver. Only this module writes the table.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import Jsonb

from orchestration.alerting.changes import Change, Decision, Entry
from orchestration.alerting.incidents import Incident
from orchestration.alerting.messages import DatedChange, Message

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=1)

# Of a message that the receiver refuses for what is in it.
REFUSED_ATTEMPTS = 5

# So that no message outgrows what a receiver takes.
LONGEST_MESSAGE = 200

# The row that remembers that a receiver is not new, though nothing was to be told.
_REGISTERED = "registered"

_TABLE = """
    create schema if not exists operations;

    create table if not exists operations.deliveries (
        event_id text not null,
        receiver text not null,
        incident_id text not null,
        event text not null,
        decided_at timestamptz not null,
        attempt_count integer not null default 0,
        next_attempt_at timestamptz,
        sent_at timestamptz,
        skipped_reason text,
        last_error text,
        unique (event_id, receiver)
    );

    alter table operations.deliveries
        add column if not exists position bigint generated always as identity,
        add column if not exists message_id text,
        add column if not exists change jsonb;

    create index if not exists deliveries_of_receiver
        on operations.deliveries (receiver, position);

    create index if not exists deliveries_unsent
        on operations.deliveries (receiver)
        where sent_at is null and skipped_reason is null;
"""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A message that was decided and not sent, as far as is recorded."""

    message: Message
    attempt_count: int
    next_attempt_at: datetime
    last_error: str | None


def prepare(connection: psycopg.Connection) -> None:
    """Make the table, or add what an earlier version of it lacks; commits."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        is_ready = cursor.execute(
            """
            select exists (
                select from information_schema.columns
                where
                    table_schema = 'operations'
                    and table_name = 'deliveries'
                    and column_name = 'change'
            )
            """
        ).fetchone()
    if not is_ready:
        with connection.transaction():
            # Two at once would both try.
            connection.execute(
                "select pg_advisory_xact_lock(hashtext('operations.deliveries'))"
            )
            connection.execute(_TABLE)


def try_lock(connection: psycopg.Connection, receiver: str) -> bool:
    """Hold a receiver for this session; false if another session has it.

    The server lets it go when the session ends, also by a crash.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        is_held = cursor.execute(
            "select pg_try_advisory_lock(hashtext('operations.deliveries'), "
            "hashtext(%s))",
            [receiver],
        ).fetchone()
    return bool(is_held)


def read_entries(
    connection: psycopg.Connection, receiver: str
) -> tuple[list[Entry], bool]:
    """What was decided for a receiver, in order; and whether it is used at all."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select event, change, skipped_reason
            from operations.deliveries
            where receiver = %s
            order by position
            """,
            [receiver],
        ).fetchall()
    entries = [
        Entry(
            event=row["event"],
            incident=Incident.from_json(row["change"]["incident"]),
            skipped_reason=row["skipped_reason"],
        )
        for row in rows
        if row["event"] != _REGISTERED
    ]
    return entries, bool(rows)


def record(
    connection: psycopg.Connection,
    receiver: str,
    decisions: Sequence[Decision],
    *,
    now: datetime,
) -> None:
    """Write decisions down, once each, and that the receiver is known; commits."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into operations.deliveries (
                event_id, receiver, incident_id, event, decided_at, skipped_reason,
                change
            )
            values (%s, %s, %s, %s, %s, %s, %s)
            on conflict (event_id, receiver) do nothing
            """,
            [
                *(
                    (
                        each.event_id,
                        receiver,
                        each.incident_id,
                        each.change.event,
                        now,
                        each.skipped_reason,
                        Jsonb(_as_json(each.change)),
                    )
                    for each in decisions
                ),
                (_REGISTERED, receiver, "", _REGISTERED, now, "first use", None),
            ],
        )


def group(
    connection: psycopg.Connection,
    receiver: str,
    *,
    messages_per_hour: int,
    now: datetime,
) -> None:
    """Make one message of the changes that belong to none yet, if it may be sent.

    Not while an earlier one is on its way: so the order stays. And not if as many were
    sent within the hour as the receiver is to get. Commits.
    """
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        event_ids = cursor.execute(
            f"""
            select event_id
            from operations.deliveries
            where
                receiver = %(receiver)s
                and {_UNSENT}
                and message_id is null
                and not exists (
                    select from operations.deliveries
                    where
                        receiver = %(receiver)s and {_UNSENT}
                        and message_id is not null
                )
                and %(most)s > (
                    select count(distinct message_id)
                    from operations.deliveries
                    where receiver = %(receiver)s and sent_at > %(since)s
                )
            order by position
            limit %(limit)s
            """,
            {
                "limit": LONGEST_MESSAGE,
                "receiver": receiver,
                "most": messages_per_hour,
                "since": now - timedelta(hours=1),
            },
        ).fetchall()
        if event_ids:
            name = "\n".join((receiver, *event_ids))
            cursor.execute(
                "update operations.deliveries set message_id = %s, next_attempt_at = "
                "%s where receiver = %s and event_id = any(%s)",
                [
                    hashlib.sha256(name.encode()).hexdigest()[:32],
                    now,
                    receiver,
                    event_ids,
                ],
            )


_UNSENT = "sent_at is null and skipped_reason is null"


def read_pending(connection: psycopg.Connection, receiver: str) -> Pending | None:
    """The message that is to be sent next, due or not, if there is any."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"""
            select
                message_id, event_id, decided_at, change, attempt_count,
                next_attempt_at, last_error
            from operations.deliveries
            where receiver = %s and {_UNSENT} and message_id is not null
            order by position
            """,
            [receiver],
        ).fetchall()
    if not rows:
        return None
    first = rows[0]
    changes = [row for row in rows if row["message_id"] == first["message_id"]]
    return Pending(
        message=Message(
            message_id=first["message_id"], receiver=receiver, changes=_dated(changes)
        ),
        attempt_count=first["attempt_count"],
        next_attempt_at=first["next_attempt_at"],
        last_error=first["last_error"],
    )


def read_waiting(
    connection: psycopg.Connection, receiver: str
) -> tuple[DatedChange, ...]:
    """The changes that belong to no message yet, in order."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"""
            select event_id, decided_at, change
            from operations.deliveries
            where receiver = %s and {_UNSENT} and message_id is null
            order by position
            """,
            [receiver],
        ).fetchall()
    return _dated(rows)


def begin_attempt(
    connection: psycopg.Connection, pending: Pending, *, now: datetime
) -> None:
    """Count a try before it is made, so that one which crashes backs off, too."""
    attempt = pending.attempt_count + 1
    _update(
        connection,
        pending.message,
        "attempt_count = %s, next_attempt_at = %s",
        [attempt, now + _backoff(attempt)],
    )


def record_sent(
    connection: psycopg.Connection, message: Message, *, now: datetime
) -> None:
    """The receiver has it."""
    _update(connection, message, "sent_at = %s, last_error = null", [now])


def record_failure(
    connection: psycopg.Connection,
    pending: Pending,
    *,
    reason: str,
    retry_after: timedelta,
    is_refused: bool,
    now: datetime,
) -> datetime | None:
    """The receiver has it not; when it is tried again, or null if it is given up."""
    attempt = pending.attempt_count + 1
    if is_refused and attempt >= REFUSED_ATTEMPTS:
        _update(
            connection,
            pending.message,
            "skipped_reason = %s, last_error = %s",
            [f"given up: refused {attempt} times", reason],
        )
        return None
    wait = min(max(_backoff(attempt), retry_after), LONGEST_RETRY)
    _update(
        connection,
        pending.message,
        "last_error = %s, next_attempt_at = %s",
        [reason, now + wait],
    )
    return now + wait


def is_anything_due(
    connection: psycopg.Connection, receivers: Sequence[str], *, now: datetime
) -> bool:
    """Whether one of the receivers waits for what could be tried at ``now``."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute(
                "select exists (select from operations.deliveries "
                f"where receiver = any(%s) and {_UNSENT} "
                "and (next_attempt_at is null or next_attempt_at <= %s))",
                [[*receivers], now],
            ).fetchone()
        )


def _backoff(attempt: int) -> timedelta:
    return min(FIRST_RETRY * (1 << min(attempt - 1, 10)), LONGEST_RETRY)


def _update(
    connection: psycopg.Connection,
    message: Message,
    assignments: str,
    values: Sequence[object],
) -> None:
    connection.execute(
        f"update operations.deliveries set {assignments} "
        f"where receiver = %s and message_id = %s and {_UNSENT}",
        [*values, message.receiver, message.message_id],
    )


def _dated(rows: Iterable[Mapping[str, Any]]) -> tuple[DatedChange, ...]:
    return tuple(
        DatedChange(
            event_id=row["event_id"],
            decided_at=row["decided_at"],
            change=_from_json(row["change"]),
        )
        for row in rows
    )


def _as_json(change: Change) -> dict[str, Any]:
    return {
        "event": change.event,
        "incident": change.incident.as_json(),
        "is_late": change.is_late,
        "is_withdrawn": change.is_withdrawn,
        "is_whole": change.is_whole,
    }


def _from_json(stored: dict[str, Any]) -> Change:
    return Change(
        event=stored["event"],
        incident=Incident.from_json(stored["incident"]),
        is_late=stored["is_late"],
        is_withdrawn=stored["is_withdrawn"],
        is_whole=stored["is_whole"],
    )
