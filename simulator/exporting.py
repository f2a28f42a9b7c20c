"""Writing the rows of a replay as JSON lines, such as a service would send them."""

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from simulator.flights import FlightHistory
from simulator.replay import Plan, Progress, expected_rows, replay

_JSON_COLUMNS = frozenset({"features", "prediction", "actual"})


def export_replay(
    plan: Plan,
    history: FlightHistory,
    directory: Path,
    *,
    progress: Progress | None = None,
) -> dict[Path, int]:
    """Write one gzipped file a table into ``directory``; the lines in each.

    The same plan writes the same bytes. ``simulator load`` takes the files of
    predictions, labels and baselines.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: dict[Path, int] = {}
    done = 0
    expected = expected_rows(plan, history)
    with ExitStack() as stack:
        streams: dict[Path, gzip.GzipFile] = {}
        for part in replay(plan, history):
            path = directory / f"{part.target}.jsonl.gz"
            if path not in streams:
                file = stack.enter_context(path.open("wb"))
                # A name or a time in the header would differ from run to run.
                streams[path] = stack.enter_context(
                    gzip.GzipFile("", "wb", compresslevel=5, fileobj=file, mtime=0)
                )
            streams[path].write(b"".join(map(_line, part.rows)))
            written[path] = written.get(path, 0) + len(part.rows)
            done += len(part.rows)
            if progress is not None:
                progress(done, expected)
    return written


def _line(row: Any) -> bytes:
    content = {
        key: orjson.Fragment(value) if value and key in _JSON_COLUMNS else value
        for key, value in zip(row._fields, row, strict=True)
    }
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
