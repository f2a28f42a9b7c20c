"""Loading into the raw schema: COPY, duplicates dropped, bad lines quarantined.

Every line is accounted for: received = loaded + duplicates + quarantined, which the
table ``raw.loads`` enforces. Loading a file again adds nothing but its rows there.

A connection given to these functions must not be inside a transaction: each batch is a
transaction of its own, so that memory and locks stay bounded whatever the file's size.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple

import psycopg
from psycopg import sql

from simulator.reading import BATCH_LINES, BadLine, Batch, batch_of, read_batches
from simulator.records import (
    BaselinePrediction,
    Label,
    LoggedPrediction,
    Record,
    Target,
)

# Fewer new rows than this change no plan.
_ROWS_WORTH_ANALYZING = 10_000

_TABLES = (
    "prediction_logs",
    "prediction_logs_default",
    "ground_truth",
    "baseline_logs",
    "deployments",
    "simulated_incidents",
    "simulations",
    "quarantine",
    "loads",
)

# Columns that tables of earlier versions lack, and functions that their schema lacks.
_LATER_COLUMNS = (("simulated_incidents", "level"), ("simulations", "served_until"))
_LATER_FUNCTIONS = ("raw.make_month(timestamptz)", "raw.analyze_table(text)")

_COLUMN_TYPES = {
    "prediction_id": "text not null",
    "model_name": "text not null",
    "model_version": "text not null",
    "predicted_at": "timestamptz not null",
    "observed_at": "timestamptz not null",
    "features": "jsonb not null",
    "prediction": "jsonb",
    "actual": "jsonb",
    "latency_ms": "double precision",
    "status_code": "integer",
    "error": "text",
}

_RECORD_TYPES: dict[Target, type[Record]] = {
    Target.PREDICTION_LOGS: LoggedPrediction,
    Target.GROUND_TRUTH: Label,
    Target.BASELINE_LOGS: BaselinePrediction,
}

# What makes a staged row one that is there already.
_IDENTITY = {
    Target.PREDICTION_LOGS: ("prediction_id", "predicted_at"),
    Target.GROUND_TRUTH: ("prediction_id", "actual", "observed_at"),
    Target.BASELINE_LOGS: ("prediction_id",),
}

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class LoadCounts:
    """What became of the lines that came: ``received`` is the sum of the others."""

    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def received(self) -> int:
        """Every line that came, blank ones apart."""
        return self.loaded + self.duplicates + self.quarantined

    def __add__(self, other: "LoadCounts") -> "LoadCounts":
        return LoadCounts(
            loaded=self.loaded + other.loaded,
            duplicates=self.duplicates + other.duplicates,
            quarantined=self.quarantined + other.quarantined,
        )


class Deployment(NamedTuple):
    """A row of ``raw.deployments``."""

    model_name: str
    model_version: str
    deployed_at: datetime
    note: str


class SimulatedIncident(NamedTuple):
    """A row of ``raw.simulated_incidents``."""

    incident_id: str
    scenario: str
    kind: str
    model_name: str | None
    model_version: str | None
    column_name: str | None
    started_at: datetime
    ended_at: datetime
    family: str
    size: str
    description: str
    level: str | None = None


class Simulation(NamedTuple):
    """The row of ``raw.simulations``: which simulation a warehouse holds."""

    seed: int
    scenario: str
    scenario_digest: str
    is_shifted: bool
    shift_weeks: int
    served_from: datetime


def create_raw_schema(connection: psycopg.Connection) -> None:
    """Make the schema ``raw``, its tables and their columns where they are missing."""
    _require_idle(connection)
    with connection.transaction():
        # Two that make the same schema at once fail, "if not exists" or not.
        _lock(connection, "schema")
        missing = connection.execute(
            "select 1 from unnest(%s::text[]) as expected(name)"
            " where to_regclass('raw.' || name) is null"
            " union all"
            " select 1 from unnest(%s::text[], %s::text[]) as expected(name, attname)"
            " where not exists ("
            "select from pg_attribute as present"
            " where present.attrelid = to_regclass('raw.' || expected.name)"
            " and present.attname = expected.attname)"
            " union all"
            " select 1 from unnest(%s::text[]) as expected(signature)"
            " where to_regprocedure(signature) is null"
            " limit 1",
            [
                list(_TABLES),
                *map(list, zip(*_LATER_COLUMNS, strict=True)),
                list(_LATER_FUNCTIONS),
            ],
        ).fetchone()
        # The script takes locks that would wait for every load that is under way.
        if missing:
            script = files("simulator").joinpath("raw_schema.sql").read_bytes()
            connection.execute(script)


def load_lines(
    connection: psycopg.Connection,
    stream: io.BufferedReader,
    *,
    target: Target,
    source: str,
    progress: Progress | None = None,
    batch_lines: int = BATCH_LINES,
) -> LoadCounts:
    """Load JSON lines, plain or gzipped, from ``stream``.

    Each batch of at most ``batch_lines`` lines is one transaction. ``progress`` is
    called with the number of lines done so far. A stream that cannot be read to its end
    loses nothing of what could be read; its end is one line in quarantine, which says
    why.
    """
    create_raw_schema(connection)
    counts = LoadCounts()
    for batch in read_batches(stream, target, batch_lines):
        counts += _load_batch(connection, batch, target=target, source=source)
        if progress is not None:
            progress(counts.received)
    analyze_if_grown(connection, target, counts)
    return counts


def load_records(
    connection: psycopg.Connection,
    records: Sequence[Record],
    *,
    target: Target,
    source: str,
) -> LoadCounts:
    """Load records whose types already promise what the parser checks.

    They must be of the record type of ``target``. The planner's statistics are the
    caller's affair, who may load many parts: see :func:`analyze_if_grown`.
    """
    counts = LoadCounts()
    for start in range(0, len(records), BATCH_LINES):
        counts += _load_batch(
            connection,
            batch_of(records[start : start + BATCH_LINES], target),
            target=target,
            source=source,
        )
    return counts


def load_deployments(
    connection: psycopg.Connection, deployments: Sequence[Deployment], *, source: str
) -> LoadCounts:
    """Record deployments; those that are there already are duplicates."""
    return _insert_few(connection, "deployments", deployments, source=source)


def load_simulated_incidents(
    connection: psycopg.Connection,
    incidents: Sequence[SimulatedIncident],
    *,
    source: str,
) -> LoadCounts:
    """Record what was injected; incidents that are there already are duplicates."""
    return _insert_few(connection, "simulated_incidents", incidents, source=source)


def claim_simulation(
    connection: psycopg.Connection, simulation: Simulation
) -> Simulation:
    """Record the warehouse's simulation, or return the one that it holds already."""
    _require_idle(connection)
    columns = Simulation._fields
    with connection.transaction():
        connection.execute(
            sql.SQL(
                "insert into raw.simulations ({}) values ({}) on conflict do nothing"
            ).format(
                _names(columns), sql.SQL(", ").join(sql.Placeholder() * len(columns))
            ),
            simulation,
        )
        held = connection.execute(
            sql.SQL("select {} from raw.simulations").format(_names(columns))
        ).fetchone()
    assert held is not None
    return Simulation(*held)


def held_simulation(connection: psycopg.Connection) -> Simulation | None:
    """The simulation that the warehouse holds, if any; the schema must exist."""
    _require_idle(connection)
    with connection.transaction():
        held = connection.execute(
            sql.SQL("select {} from raw.simulations").format(_names(Simulation._fields))
        ).fetchone()
    return None if held is None else Simulation(*held)


def held_until(connection: psycopg.Connection) -> datetime | None:
    """Before which time the warehouse holds every row of its simulation.

    None if it holds none, or none whose first run is complete. The schema must exist.
    """
    _require_idle(connection)
    with connection.transaction():
        held = connection.execute("select served_until from raw.simulations").fetchone()
    return None if held is None else held[0]


def record_served_until(connection: psycopg.Connection, served_until: datetime) -> None:
    """Record that every row before a time was loaded; never takes a later one back."""
    _require_idle(connection)
    with connection.transaction():
        connection.execute(
            "update raw.simulations set served_until = greatest(served_until, %s)",
            [served_until],
        )


def analyze(connection: psycopg.Connection, target: Target) -> None:
    """Give the planner fresh statistics of a table."""
    _require_idle(connection)
    with connection.transaction():
        connection.execute("select raw.analyze_table(%s)", [target.value])


def analyze_if_grown(
    connection: psycopg.Connection, target: Target, counts: LoadCounts
) -> None:
    if counts.loaded >= _ROWS_WORTH_ANALYZING:
        analyze(connection, target)


# One batch, one transaction


def _load_batch(
    connection: psycopg.Connection,
    batch: Batch,
    *,
    target: Target,
    source: str,
) -> LoadCounts:
    """Move one batch into its table."""
    _require_idle(connection)
    with connection.transaction():
        started_at = _clock(connection)
        if target is Target.PREDICTION_LOGS:
            _lock(connection, target)
            _make_partitions(connection, batch.months)
        loaded_at = _clock(connection)
        loaded = _copy_new(connection, batch, target, loaded_at)
        if loaded is None:
            _stage(connection, batch, target)
            # Until the end of the transaction no other loader writes this table, so
            # what is not there now is not there when the rows are moved.
            _lock(connection, target)
            loaded_at = _clock(connection)
            loaded = _move(connection, target, loaded_at)
        load_id = _next_load_id(connection)
        quarantined = _quarantine(connection, batch.bad, load_id, target, loaded_at)
        counts = LoadCounts(
            loaded=loaded,
            duplicates=batch.record_count - loaded + len(batch.bad) - quarantined,
            quarantined=quarantined,
        )
        _record_load(
            connection,
            load_id=load_id,
            source=source,
            target=target,
            started_at=started_at,
            loaded_at=loaded_at,
            counts=counts,
        )
    return counts


def _copy_new(
    connection: psycopg.Connection,
    batch: Batch,
    target: Target,
    loaded_at: datetime,
) -> int | None:
    """Copy predictions straight into their table; none if one of them is there already.

    Nearly all logs are new, and staging them first would take twice as long. Of labels,
    the key does not say whether they are new: it has the time of the load in it.
    """
    if target is Target.GROUND_TRUTH:
        return None
    columns = (*_RECORD_TYPES[target]._fields, "loaded_at")
    try:
        with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy(
                sql.SQL("copy {} ({}) from stdin").format(
                    _table(target), _names(columns)
                )
            ) as copy,
        ):
            copy.write(batch.rows_with(loaded_at))
    except psycopg.errors.UniqueViolation:
        return None
    return batch.row_count


def _stage(connection: psycopg.Connection, batch: Batch, target: Target) -> None:
    columns = _RECORD_TYPES[target]._fields
    connection.execute(
        sql.SQL("create temporary table staged ({}) on commit drop").format(
            sql.SQL(", ").join(
                sql.SQL("{} " + _COLUMN_TYPES[column]).format(sql.Identifier(column))
                for column in columns
            )
        )
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(
            sql.SQL("copy staged ({}) from stdin").format(_names(columns))
        ) as copy,
    ):
        copy.write(batch.rows)


def _move(connection: psycopg.Connection, target: Target, loaded_at: datetime) -> int:
    """Insert the staged rows that are new; how many there were."""
    insert = _insertion(connection, target)
    try:
        with connection.transaction():
            return connection.execute(insert, [loaded_at]).rowcount
    except psycopg.errors.UniqueViolation:
        # Somebody who takes no lock, a service that writes its log itself, was quicker.
        # Asking for conflicts from the start would take half as long again.
        insert += sql.SQL(" on conflict do nothing")
        return connection.execute(insert, [loaded_at]).rowcount


def _insertion(connection: psycopg.Connection, target: Target) -> sql.Composed:
    columns = _RECORD_TYPES[target]._fields
    same = [
        sql.SQL("present.{0} = staged.{0}").format(sql.Identifier(column))
        for column in _IDENTITY[target]
    ]
    if target is Target.PREDICTION_LOGS:
        # Bounds that the planner can see: it then leaves out the other partitions.
        earliest, latest = connection.execute(
            "select min(predicted_at), max(predicted_at) from staged"
        ).fetchone() or (None, None)
        same.append(
            sql.SQL("present.predicted_at between {} and {}").format(earliest, latest)
        )
    return sql.SQL(
        "insert into {table} ({columns}, loaded_at)"
        " select {staged}, %s from staged"
        " where not exists (select from {table} as present where {same})"
    ).format(
        table=_table(target),
        columns=_names(columns),
        staged=sql.SQL(", ").join(sql.Identifier("staged", name) for name in columns),
        same=sql.SQL(" and ").join(same),
    )


def _make_partitions(
    connection: psycopg.Connection, months: Iterable[tuple[int, int]]
) -> None:
    """Make the months that predictions need and the table lacks."""
    for year, month in sorted(months):
        connection.execute(
            "select raw.make_month(%s)", [datetime(year, month, 1, tzinfo=UTC)]
        )


def _quarantine(
    connection: psycopg.Connection,
    bad: Sequence[BadLine],
    load_id: int,
    target: Target,
    loaded_at: datetime,
) -> int:
    """Put bad lines into quarantine; how many were new there."""
    if not bad:
        return 0
    return connection.execute(
        "insert into raw.quarantine"
        " (load_id, target, line_number, payload, reason, loaded_at)"
        " select %s, %s, line_number, payload, reason, %s"
        " from unnest(%s::bigint[], %s::text[], %s::text[])"
        " as bad(line_number, payload, reason)"
        " on conflict do nothing",
        [
            load_id,
            target.value,
            loaded_at,
            [line.line_number for line in bad],
            [_storable(line.payload) for line in bad],
            [line.reason for line in bad],
        ],
    ).rowcount


def _storable(payload: bytes) -> str:
    return payload.decode("utf-8", errors="backslashreplace").replace("\x00", "\\x00")


def _insert_few(
    connection: psycopg.Connection,
    table: str,
    rows: Sequence[NamedTuple],
    *,
    source: str,
) -> LoadCounts:
    """Insert rows of a small table, each a named tuple of its columns."""
    _require_idle(connection)
    if not rows:
        return LoadCounts()
    columns: tuple[str, ...] = rows[0]._fields
    statement = sql.SQL(
        "insert into {} ({}) values ({}) on conflict do nothing"
    ).format(
        sql.Identifier("raw", table),
        _names(columns),
        sql.SQL(", ").join(sql.Placeholder() * len(columns)),
    )
    with connection.transaction():
        started_at = _clock(connection)
        loaded = sum(connection.execute(statement, row).rowcount for row in rows)
        counts = LoadCounts(loaded=loaded, duplicates=len(rows) - loaded)
        _record_load(
            connection,
            load_id=_next_load_id(connection),
            source=source,
            target=table,
            started_at=started_at,
            loaded_at=_clock(connection),
            counts=counts,
        )
    return counts


def _record_load(
    connection: psycopg.Connection,
    *,
    load_id: int,
    source: str,
    target: str,
    started_at: datetime,
    loaded_at: datetime,
    counts: LoadCounts,
) -> None:
    connection.execute(
        "insert into raw.loads (load_id, source, target, started_at, loaded_at,"
        " received_count, loaded_count, duplicate_count, quarantined_count)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            load_id,
            source,
            str(target),
            started_at,
            loaded_at,
            counts.received,
            counts.loaded,
            counts.duplicates,
            counts.quarantined,
        ],
    )


def _next_load_id(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select nextval(pg_get_serial_sequence('raw.loads', 'load_id'))"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _clock(connection: psycopg.Connection) -> datetime:
    """The server's time, now and not at the start of the transaction."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def _lock(connection: psycopg.Connection, name: str) -> None:
    """Wait for, and hold until the transaction's end, a lock that loaders share."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
        [f"driftline.raw.{name}"],
    )


def _require_idle(connection: psycopg.Connection) -> None:
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise ValueError(
            "Loading makes its own transactions; the connection is already in one."
        )


def _table(target: Target) -> sql.Identifier:
    return sql.Identifier("raw", target.value)


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
