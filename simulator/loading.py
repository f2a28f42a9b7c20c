"""Loading into the raw schema: COPY, duplicates dropped, bad lines quarantined.

Every line is accounted for: received = loaded + duplicates + quarantined, which the
table ``raw.loads`` enforces. Loading a file again adds nothing but its rows there.

A connection given to these functions must not be inside a transaction: each batch is a
transaction of its own, so that memory and locks stay bounded whatever the file's size.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import sql

from simulator.records import (
    PARSERS,
    BaselinePrediction,
    Label,
    LineError,
    LoggedPrediction,
    Record,
    Target,
)

BATCH_LINES = 50_000
BATCH_BYTES = 64 * 1024 * 1024
# A longer line is refused by the parser; of one longer than this not all is kept.
KEPT_LINE_BYTES = 16 * 1024 * 1024

_CHUNK_BYTES = 256 * 1024
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

# Columns that tables of earlier versions lack.
_LATER_COLUMNS = (("simulated_incidents", "level"), ("simulations", "served_until"))

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
_Item = TypeVar("_Item")
_END: Any = object()


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


class BadLine(NamedTuple):
    """A line for ``raw.quarantine``; ``line_number`` counts from 1."""

    line_number: int
    payload: bytes
    reason: str


@dataclass(frozen=True)
class _Damage:
    """The end of a stream that could not be read to its end."""

    payload: bytes
    reason: str


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
            " limit 1",
            [list(_TABLES), *map(list, zip(*_LATER_COLUMNS, strict=True))],
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
    for records, bad in one_ahead(_parsed_batches(stream, target, batch_lines)):
        counts += _load_batch(connection, records, bad, target=target, source=source)
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
    analyze: bool = True,
) -> LoadCounts:
    """Load records whose types already promise what the parser checks.

    They must be of the record type of ``target``. ``analyze=False`` spares the
    planner's statistics, for a caller that loads many parts and calls :func:`analyze`
    at the end.
    """
    counts = LoadCounts()
    for start in range(0, len(records), BATCH_LINES):
        counts += _load_batch(
            connection,
            records[start : start + BATCH_LINES],
            [],
            target=target,
            source=source,
        )
    if analyze:
        analyze_if_grown(connection, target, counts)
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


def one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, each made while the one before is in use.

    Making them and loading them take turns at Python, but the loader mostly waits for
    Postgres.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=1) as worker:
        coming = worker.submit(next, iterator, _END)
        while (item := coming.result()) is not _END:
            coming = worker.submit(next, iterator, _END)
            yield item


def analyze(connection: psycopg.Connection, target: Target) -> None:
    """Give the planner fresh statistics of a table."""
    _require_idle(connection)
    with connection.transaction():
        connection.execute(sql.SQL("analyze {}").format(_table(target)))


def analyze_if_grown(
    connection: psycopg.Connection, target: Target, counts: LoadCounts
) -> None:
    if counts.loaded >= _ROWS_WORTH_ANALYZING:
        analyze(connection, target)


# Reading lines


def _decompressed(stream: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    """The stream itself, or what is in it if it begins like a gzip file."""
    if stream.peek(2)[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=stream)
    return stream


def _lines(stream: io.BufferedReader | gzip.GzipFile) -> Iterator[bytes | _Damage]:
    """The lines of a stream without their ends, then why it could not be read on."""
    rest = b""
    left_out = 0
    try:
        while chunk := stream.read1(_CHUNK_BYTES):
            first, *others = chunk.split(b"\n")
            if left_out:
                left_out += len(first)
            else:
                rest += first
                left_out = max(0, len(rest) - KEPT_LINE_BYTES)
            for line in others:
                yield _whole(rest, left_out)
                rest, left_out = line, 0
    except (OSError, EOFError, zlib.error) as error:
        yield _Damage(
            payload=rest, reason=f"the file cannot be read beyond this line: {error}"
        )
        return
    if rest:
        yield _whole(rest, left_out)


def _whole(line: bytes, left_out: int) -> bytes | _Damage:
    if not left_out:
        return line
    return _Damage(
        payload=line[:KEPT_LINE_BYTES],
        reason=f"the line is longer than {KEPT_LINE_BYTES} bytes; its end is left out",
    )


def _parsed_batches(
    stream: io.BufferedReader, target: Target, batch_lines: int
) -> Iterator[tuple[list[Record], list[BadLine]]]:
    """The records of each batch, and the lines that are none."""
    lines = enumerate(_lines(_decompressed(stream)), start=1)
    while batch := _take_batch(lines, batch_lines):
        yield _parsed(batch, PARSERS[target])


def _take_batch(
    lines: Iterator[tuple[int, bytes | _Damage]], batch_lines: int
) -> list[tuple[int, bytes | _Damage]]:
    """The next lines, numbered; an empty list at the end of the stream."""
    batch = []
    size = 0
    for number, line in lines:
        batch.append((number, line))
        size += len(line.payload if isinstance(line, _Damage) else line)
        if len(batch) == batch_lines or size >= BATCH_BYTES:
            break
    return batch


def _parsed(
    batch: Iterable[tuple[int, bytes | _Damage]], parse: Callable[[bytes], Record]
) -> tuple[list[Record], list[BadLine]]:
    records: list[Record] = []
    bad: list[BadLine] = []
    for number, line in batch:
        if isinstance(line, _Damage):
            bad.append(BadLine(number, line.payload, line.reason))
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        stripped = line.strip()
        if not stripped:
            continue
        try:
            records.append(parse(stripped))
        except LineError as error:
            bad.append(BadLine(number, line, str(error)))
    return records, bad


# One batch, one transaction


def _load_batch(
    connection: psycopg.Connection,
    records: Sequence[Record],
    bad: Sequence[BadLine],
    *,
    target: Target,
    source: str,
) -> LoadCounts:
    """Move one batch into its table."""
    _require_idle(connection)
    with connection.transaction():
        started_at = _clock(connection)
        kept = list(_without_repeats(records, target))
        if target is Target.PREDICTION_LOGS:
            _lock(connection, target)
            _make_partitions(connection, kept)
        loaded_at = _clock(connection)
        loaded = _copy_new(connection, kept, target, loaded_at)
        if loaded is None:
            _stage(connection, kept, target)
            # Until the end of the transaction no other loader writes this table, so
            # what is not there now is not there when the rows are moved.
            _lock(connection, target)
            loaded_at = _clock(connection)
            loaded = _move(connection, target, loaded_at)
        load_id = _next_load_id(connection)
        quarantined = _quarantine(connection, bad, load_id, target, loaded_at)
        counts = LoadCounts(
            loaded=loaded,
            duplicates=len(records) - loaded + len(bad) - quarantined,
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


def _without_repeats(records: Iterable[Record], target: Target) -> Iterator[Record]:
    """The first record of each identity; of labels, the one observed last."""
    if target is Target.GROUND_TRUTH:
        latest: dict[str, Label] = {}
        for record in records:
            assert isinstance(record, Label)
            known = latest.get(record.prediction_id)
            if known is None or record.observed_at >= known.observed_at:
                latest[record.prediction_id] = record
        yield from latest.values()
        return
    seen: set[object] = set()
    has_time = target is Target.PREDICTION_LOGS
    for record in records:
        identity = (record[0], record[3]) if has_time else record[0]  # type: ignore[misc]
        if identity not in seen:
            seen.add(identity)
            yield record


def _copy_new(
    connection: psycopg.Connection,
    records: Sequence[Record],
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
            for record in records:
                copy.write_row((*record, loaded_at))
    except psycopg.errors.UniqueViolation:
        return None
    return len(records)


def _stage(
    connection: psycopg.Connection, records: Iterable[Record], target: Target
) -> None:
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
        for record in records:
            copy.write_row(record)


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
    connection: psycopg.Connection, predictions: Iterable[Record]
) -> None:
    """Make the months that predictions need and the table lacks."""
    months = set()
    for prediction in predictions:
        assert isinstance(prediction, LoggedPrediction)
        predicted_at = prediction.predicted_at.astimezone(UTC)
        months.add((predicted_at.year, predicted_at.month))
    for year, month in sorted(months):
        start = datetime(year, month, 1, tzinfo=UTC)
        end = start.replace(
            year=start.year + start.month // 12, month=start.month % 12 + 1
        )
        name = f"prediction_logs_{start:%Y_%m}"
        exists = connection.execute(
            "select to_regclass('raw.' || %s) is not null", [name]
        ).fetchone()
        if exists != (True,):
            _make_partition(connection, name, start, end)


def _make_partition(
    connection: psycopg.Connection, name: str, start: datetime, end: datetime
) -> None:
    names = {
        "partition": sql.Identifier("raw", name),
        "start": sql.Literal(start),
        "end": sql.Literal(end),
    }
    try:
        with connection.transaction():
            for statement in (
                # Rows that others wrote into this month are in the default partition,
                # which must give them up before the month can be attached.
                "lock table raw.prediction_logs_default in access exclusive mode",
                "create table {partition}"
                " (like raw.prediction_logs including defaults)",
                # As raw_schema.sql says of the whole; "like" does not copy it.
                "alter table {partition}"
                " alter column features set statistics 0,"
                " alter column prediction set statistics 0",
                "with moved as ("
                "delete from raw.prediction_logs_default"
                " where predicted_at >= {start} and predicted_at < {end} returning *"
                ") insert into {partition} select * from moved",
                "alter table raw.prediction_logs attach partition {partition}"
                " for values from ({start}) to ({end})",
            ):
                connection.execute(sql.SQL(statement).format(**names))
    except psycopg.errors.InvalidObjectDefinition:
        # Partitions that somebody made by another rule cover this time already.
        return


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
