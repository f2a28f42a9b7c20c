"""The loader of JSON lines against bare COPY of the same rows."""

from functools import partial
from importlib.resources import files
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.bench import Bench
from benchmarks.builds import measure_builds
from benchmarks.measure import Figure, Worker, timed, timed_with_server
from benchmarks.tables import (
    BLOCK_BYTES,
    write_baseline_lines,
    write_label_lines,
    write_prediction_lines,
)
from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.loading import load_lines
from simulator.records import PARSERS, Target


def measure_json(bench: Bench, *, build: bool) -> None:
    """Loading JSON lines against bare COPY, then everything from them to the marts."""
    log, baseline = bench.month(), bench.baseline()
    bench.progress("writing JSON lines")
    predictions = bench.directory / "predictions.jsonl"
    labels = bench.directory / "labels.jsonl"
    validated = bench.directory / "baseline.jsonl"
    write_prediction_lines(log, predictions)
    write_label_lines(log, labels)
    write_baseline_lines(baseline, validated)
    counts = {
        Target.PREDICTION_LOGS: len(log.predictions),
        Target.GROUND_TRUTH: len(log.labels),
    }
    del log, baseline
    with bench.database("json") as settings:
        files_of = {Target.PREDICTION_LOGS: predictions, Target.GROUND_TRUTH: labels}
        with Worker(postmaster=bench.postmaster) as worker:
            for target, path in files_of.items():
                bench.progress(f"loading {target} from JSON lines")
                finished = worker.run(load_file, settings, target, path)
                bench.report(
                    f"load.{target}",
                    Figure(
                        title=f"{target}: JSON lines by the loader",
                        runs=(finished.result,),
                        processor=(finished.processor,),
                        rows=counts[target],
                        memory=finished.memory,
                        detail={"file_bytes": path.stat().st_size},
                    ),
                )
            bench.progress("reading the same JSON lines without loading them")
            finished = worker.run(read_file, Target.PREDICTION_LOGS, predictions)
            bench.report(
                f"load.{Target.PREDICTION_LOGS}.read",
                Figure(
                    title=f"{Target.PREDICTION_LOGS}: JSON lines read and checked only",
                    runs=(finished.result,),
                    processor=(finished.processor,),
                    rows=counts[Target.PREDICTION_LOGS],
                ),
            )
            worker.run(load_file, settings, Target.BASELINE_LOGS, validated)
        for path in (predictions, labels, validated):
            path.unlink()
        for target in files_of:
            bench.progress(f"copying the same {target}")
            _measure_bare_copy(bench, settings, target)
        if build:
            measure_builds(bench, settings, "json")


def load_file(settings: ConnectionSettings, target: Target, path: Path) -> float:
    """Load a file as `python -m simulator load` does; the seconds it took."""

    def load() -> None:
        with path.open("rb") as stream:
            load_lines(connection, stream, target=target, source=path.name)

    with warehouse.connect(settings, autocommit=True) as connection:
        return timed(load)


def read_file(target: Target, path: Path) -> float:
    """Read and check the lines of a file as the loader does; the seconds it took."""

    def read() -> None:
        with path.open("rb") as stream:
            for line in stream:
                PARSERS[target](line)

    return timed(read)


def _measure_bare_copy(
    bench: Bench, settings: ConnectionSettings, target: Target
) -> None:
    """COPY what is in a raw table into one of the same definition, and into a heap."""
    columns = sql.SQL(", ").join(map(sql.Identifier, _columns_of(settings, target)))
    source = sql.Identifier("raw", target.value)
    script = files("simulator").joinpath("raw_schema.sql").read_text()
    path = bench.directory / f"{target}.copy"
    with warehouse.connect(settings, autocommit=True) as connection:
        with path.open("wb") as file, connection.cursor() as cursor:
            unload = sql.SQL("copy (select {} from {}) to stdout").format(
                columns, source
            )
            with cursor.copy(unload) as copy:
                for block in copy:
                    file.write(block)
        script = script.replace("raw.", "bare.").replace("schema raw", "schema bare")
        script = script.replace("schema if not exists raw", "schema bare")
        connection.execute(script.encode())
        if target is Target.PREDICTION_LOGS:
            _copy_partitions(connection)
        same = sql.Identifier("bare", target.value)
        heap = sql.Identifier("bare", "heap")
        connection.execute(
            sql.SQL("create table {} (like {} including defaults)").format(heap, same)
        )
        for name, table, title in (
            ("bare_copy", same, "bare COPY, same table and indexes"),
            ("heap_copy", heap, "bare COPY, no index"),
        ):
            statement = sql.SQL("copy {} ({}) from stdin").format(table, columns)
            seconds, used = timed_with_server(
                partial(_copy_file, connection, statement, path), bench.postmaster
            )
            rows = connection.execute(
                sql.SQL("select count(*) from {}").format(table)
            ).fetchone()
            assert rows is not None
            bench.report(
                f"load.{target}.{name}",
                Figure(
                    title=f"{target}: {title}",
                    runs=(seconds,),
                    processor=(used,),
                    rows=rows[0],
                ),
            )
        connection.execute("drop schema bare cascade")
    path.unlink()


def _copy_file(
    connection: psycopg.Connection, statement: sql.Composed, path: Path
) -> None:
    with (
        path.open("rb") as file,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        while block := file.read(BLOCK_BYTES):
            copy.write(block)


def _columns_of(settings: ConnectionSettings, target: Target) -> list[str]:
    with warehouse.connect(settings, autocommit=True) as connection:
        rows = connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass"
            " and attnum > 0 and not attisdropped order by attnum",
            [f"raw.{target}"],
        ).fetchall()
    return [name for (name,) in rows]


def _copy_partitions(connection: psycopg.Connection) -> None:
    """Make the partitions that the loader made."""
    found = connection.execute(
        "select relname, pg_get_expr(relpartbound, pg_class.oid) from pg_class"
        " join pg_inherits on inhrelid = pg_class.oid"
        " where inhparent = 'raw.prediction_logs'::regclass"
        " and relname <> 'prediction_logs_default'"
    ).fetchall()
    for name, bounds in found:
        connection.execute(
            sql.SQL("create table {} partition of bare.prediction_logs {}").format(
                sql.Identifier("bare", name), sql.SQL(bounds)
            )
        )
