"""A bare scan of a wide table, and everything that Driftline makes of it."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

import pandas as pd
import psycopg
from sqlalchemy import create_engine

from benchmarks import evaluation
from benchmarks.bench import END, Bench
from benchmarks.builds import measure_builds
from benchmarks.generate import CATEGORIES, NUMBERS, days_before, midnight
from benchmarks.measure import Figure, Worker, timed, timed_with_server
from benchmarks.tables import (
    WIDE_TABLES,
    analyze,
    fill_day,
    load_history,
    load_wide_baseline,
)
from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings


def measure_wide(bench: Bench, *, evaluate: bool, read_sql: bool) -> None:
    """A bare scan of a wide table, and everything from it to the marts."""
    log, baseline = bench.month(), bench.baseline()
    with bench.database("wide") as settings:
        with warehouse.connect(settings, autocommit=True) as connection:
            bench.progress("loading the wide tables")
            connection.execute(WIDE_TABLES)
            seconds = timed(partial(load_history, connection, log))
            load_wide_baseline(connection, baseline)
            analyze(connection)
            rows = len(log.predictions)
            title = "wide tables by COPY, to make ready"
            bench.report("wide.load", Figure(title=title, runs=(seconds,), rows=rows))
            bench.progress("scanning")
            _measure_scan(bench, connection, rows)
        measure_builds(bench, settings, "wide")
        if evaluate:
            _measure_evaluation(bench, settings)
        if read_sql:
            _measure_read_sql(bench, settings)
        if evaluate:
            _measure_big_day(bench, settings)


def _measure_scan(bench: Bench, connection: psycopg.Connection, rows: int) -> None:
    sums = [f"sum({name})" for name in NUMBERS]
    counts = [f"count({name})" for name in CATEGORIES]
    statement = f"select {', '.join(sums + counts)} from bench.predictions".encode()
    connection.execute(statement)
    scan = partial(connection.execute, statement)
    times = [timed_with_server(scan, bench.postmaster) for _ in range(3)]
    plan = connection.execute(b"explain (format json) " + statement).fetchone()
    assert plan is not None
    bench.report(
        "scan",
        Figure(
            title="bare scan: sums of the numbers, counts of the texts",
            runs=tuple(seconds for seconds, _ in times),
            processor=tuple(used for _, used in times),
            rows=rows,
            detail={"workers_planned": _workers(plan[0])},
        ),
    )


def _workers(plan: object) -> int:
    text = json.dumps(plan)
    _, found, rest = text.partition('"Workers Planned": ')
    return int(rest.split(",")[0].strip("} ]")) if found else 0


def _measure_evaluation(bench: Bench, settings: ConnectionSettings) -> None:
    """Driftline's own Evidently step, which reads samples of one day after another."""
    days = days_before(END, bench.sizes.added_days)
    bench.progress("evaluating samples with Evidently, as Driftline does")
    title = f"Driftline's Evidently step, {len(days)} days sampled"
    _evaluate(bench, settings, "evaluation", title, days)


def _measure_big_day(bench: Bench, settings: ConnectionSettings) -> None:
    """The same for one day with all rows of the month, many times."""
    rows = bench.sizes.rows * bench.sizes.copies_in_a_day
    bench.progress(f"filling a day with {rows:,} predictions")
    with warehouse.connect(settings, autocommit=True) as connection:
        fill_day(connection, END, copies=bench.sizes.copies_in_a_day)
    bench.progress("evaluating a sample of it with Evidently")
    title = f"Driftline's Evidently step, a day of {rows:,} rows"
    _evaluate(bench, settings, "evaluation.big_day", title, [END])


def _evaluate(
    bench: Bench,
    settings: ConnectionSettings,
    key: str,
    title: str,
    days: Sequence[date],
) -> None:
    with Worker(postmaster=bench.postmaster) as worker:
        finished = worker.run(evaluation.evaluate, settings, days)
    bench.report(
        key,
        Figure(
            title=title,
            runs=(finished.result,),
            processor=(finished.processor,),
            memory=finished.memory,
        ),
    )


def _measure_read_sql(bench: Bench, settings: ConnectionSettings) -> None:
    bench.progress("reading the same rows into pandas")
    days = days_before(END, bench.sizes.days)
    with Worker(postmaster=bench.postmaster) as worker:
        finished = worker.run(read_days, settings, days)
    bench.report(
        "read_sql",
        Figure(
            title="the same rows into pandas, day by day, by read_sql",
            runs=(finished.result,),
            processor=(finished.processor,),
            rows=bench.sizes.rows,
            memory=finished.memory,
        ),
    )


def read_days(settings: ConnectionSettings, days: Sequence[date]) -> float:
    """Read the predictions of each day into a frame; the seconds it took."""
    engine = create_engine(settings.url())

    def read() -> None:
        for day in days:
            pd.read_sql(
                "select * from bench.predictions"
                " where predicted_at >= %(start)s and predicted_at < %(end)s",
                engine,
                params={
                    "start": midnight(day),
                    "end": midnight(day + timedelta(days=1)),
                },
            )

    try:
        return timed(read)
    finally:
        engine.dispose()
