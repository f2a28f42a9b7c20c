"""JSON lines as batches that COPY can take: read, checked, and rid of repeats.

Nothing here touches a database.
"""

import gc
import gzip
import io
import multiprocessing
import os
import signal
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import wait
from typing import NamedTuple

from simulator.records import PARSERS, Label, LineError, Record, Target

BATCH_LINES = 50_000
BATCH_BYTES = 64 * 1024 * 1024
# A longer line is refused by the parser; of one longer than this not all is kept.
KEPT_LINE_BYTES = 16 * 1024 * 1024

_CHUNK_BYTES = 256 * 1024


class BadLine(NamedTuple):
    """A line for ``raw.quarantine``; ``line_number`` counts from 1."""

    line_number: int
    payload: bytes
    reason: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one transaction loads.

    ``rows`` are the ``row_count`` records that are left without repeats, as lines of
    COPY's text format, the columns in the order of the record type; ``record_count``
    counts the repeats too. ``months`` are those, in UTC, in which predictions lie.
    """

    rows: bytes
    row_count: int
    record_count: int
    months: frozenset[tuple[int, int]]
    bad: tuple[BadLine, ...] = ()

    def rows_with(self, loaded_at: datetime) -> bytes:
        """The rows with one more column."""
        return self.rows.replace(b"\n", f"\t{loaded_at.isoformat()}\n".encode())


@dataclass(frozen=True)
class _Damage:
    """The end of a stream that could not be read to its end."""

    payload: bytes
    reason: str


_NumberedLine = tuple[int, bytes | _Damage]


def read_batches(
    stream: io.BufferedReader, target: Target, batch_lines: int
) -> Iterator[Batch]:
    """Batches of at most ``batch_lines`` lines, plain or gzipped.

    The lines of all but small files are checked by a process of their own, which works
    on the next batches while the caller loads one: in a thread it would take turns at
    Python with the loader, and loading would take as long as both.
    """
    lines = enumerate(_lines(_decompressed(stream)), start=1)
    first = _take_batch(lines, batch_lines)
    second = _take_batch(lines, batch_lines)
    if not second:
        if first:
            yield _checked(first, target)
        return
    with ProcessPoolExecutor(
        max_workers=1,
        # A fork would have the parent's connection to Postgres.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    ) as worker:
        coming: deque[Future[Batch]] = deque(
            worker.submit(_checked, lines_of_batch, target)
            for lines_of_batch in (first, second)
        )
        while coming:
            batch = coming.popleft().result()
            if lines_of_batch := _take_batch(lines, batch_lines):
                coming.append(worker.submit(_checked, lines_of_batch, target))
            yield batch


def batch_of(
    records: Sequence[Record], target: Target, bad: Iterable[BadLine] = ()
) -> Batch:
    """A batch of records whose types already promise what the parsers check."""
    kept = list(_without_repeats(records, target))
    months = frozenset[tuple[int, int]]()
    if target is Target.PREDICTION_LOGS:
        times = {record[3].astimezone(UTC) for record in kept}  # type: ignore[misc]
        months = frozenset((time.year, time.month) for time in times)
    return Batch(
        rows="".join(map(_copy_line, kept)).encode(),
        row_count=len(kept),
        record_count=len(records),
        months=months,
        bad=tuple(bad),
    )


def _follow_parent() -> None:
    """Let the parent answer Ctrl-C, and end when it does, however it is ended."""
    # Records hold no cycles, and looking for some takes a tenth of the time.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


# Lines


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


def _take_batch(
    lines: Iterator[_NumberedLine], batch_lines: int
) -> list[_NumberedLine]:
    """The next lines, numbered; an empty list at the end of the stream."""
    batch = []
    size = 0
    for number, line in lines:
        batch.append((number, line))
        size += len(line.payload if isinstance(line, _Damage) else line)
        if len(batch) == batch_lines or size >= BATCH_BYTES:
            break
    return batch


def _checked(lines: Iterable[_NumberedLine], target: Target) -> Batch:
    """The records of some lines, and the lines that are none."""
    parse: Callable[[bytes], Record] = PARSERS[target]
    records: list[Record] = []
    bad: list[BadLine] = []
    for number, line in lines:
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
    return batch_of(records, target, bad)


# Rows


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


def _copy_line(record: Record) -> str:
    return "\t".join(map(_copy_field, record)) + "\n"


def _copy_field(value: str | datetime | float | int | None) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        # The backslash first, since the others become one.
        return (
            value.replace("\\", "\\\\")
            .replace("\t", "\\t")
            .replace("\n", "\\n")
            .replace("\r", "\\r")
        )
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
