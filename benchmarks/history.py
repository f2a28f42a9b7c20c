"""What a day, late labels, and nothing cost after a week and after a year."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import psycopg

from benchmarks import dbt_process
from benchmarks.bench import END, Bench
from benchmarks.builds import build_detail
from benchmarks.dashboards import measure_dashboards
from benchmarks.generate import Log, day_of_log, days_before, midnight
from benchmarks.measure import Figure, Worker
from benchmarks.project import copy_project
from benchmarks.tables import (
    WIDE_TABLES,
    analyze,
    load_history,
    load_now,
    load_wide_baseline,
)
from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings


def measure_history(bench: Bench, *, refreshes: bool, dashboards: bool) -> None:
    """What a day, labels of some days, and nothing cost after a week and a year.

    With ``dashboards``, also how long their queries take on the longest history: the
    only one that is built if ``refreshes`` are not asked for.
    """
    histories = bench.sizes.histories
    longest = max(histories, key=lambda name: histories[name])
    for name, count in histories.items():
        if refreshes or name == longest:
            with bench.database(name) as settings:
                days = days_before(END, count)
                _measure_after(bench, settings, name, days, refreshes=refreshes)
                if dashboards and name == longest:
                    measure_dashboards(bench, settings, count)


def _measure_after(
    bench: Bench,
    settings: ConnectionSettings,
    name: str,
    days: Sequence[date],
    *,
    refreshes: bool,
) -> None:
    sizes = bench.sizes
    project = copy_project(bench.directory / f"after_{name}", "wide")
    with (
        warehouse.connect(settings, autocommit=True) as connection,
        Worker(postmaster=bench.postmaster) as worker,
    ):
        connection.execute(WIDE_TABLES)
        bench.progress(f"loading {len(days)} days of history")
        for day in days:
            load_history(connection, _day(bench, day))
        load_wide_baseline(connection, bench.baseline())
        analyze(connection)
        worker.run(dbt_process.open_project, settings, project)
        builds = _Refreshes(
            bench=bench, name=name, days=len(days), project=project, worker=worker
        )
        builds.measure("first", "first build", [_nothing])
        if not refreshes:
            return
        builds.measure("nothing", "nothing new", [_nothing] * sizes.repetitions)
        added = [END + timedelta(days=number) for number in range(sizes.added_days)]
        builds.measure(
            "day",
            "one more day",
            [partial(load_now, connection, _day(bench, day)) for day in added],
            with_tests=True,
        )
        for count in sizes.label_windows:
            if count < len(days):
                label = partial(_label_late, connection, count)
                builds.measure(
                    f"labels_{count}",
                    f"late labels of {count} {'day' if count == 1 else 'days'}",
                    [label] * (sizes.repetitions if count == 1 else 1),
                )


def _nothing() -> None:
    """What happens before a build that finds nothing new."""


@dataclass(frozen=True, kw_only=True)
class _Refreshes:
    """Builds of one database, by a worker that has the project open."""

    bench: Bench
    name: str
    days: int
    project: Path
    worker: Worker

    def measure(
        self,
        key: str,
        title: str,
        events: Sequence[Callable[[], None]],
        *,
        with_tests: bool = False,
    ) -> None:
        """Build after each of the events, which are not timed, and report that."""
        title = f"{title}, {self.days} days of history"
        self.bench.progress(title)
        models, tests = [], []
        for happen in events:
            happen()
            models.append(
                self.worker.run(dbt_process.build, self.project, dbt_process.MODELS)
            )
            if with_tests:
                tests.append(
                    self.worker.run(dbt_process.build, self.project, dbt_process.TESTS)
                )
        self.bench.report(
            f"history.{self.name}.{key}",
            Figure(
                title=title,
                runs=tuple(finished.result.seconds for finished in models),
                processor=tuple(finished.processor for finished in models),
                memory=models[-1].memory,
                detail={
                    **build_detail(models[-1].result),
                    "executing_runs": [
                        finished.result.executing for finished in models
                    ],
                },
            ),
        )
        if with_tests:
            self.bench.report(
                f"history.{self.name}.{key}_tests",
                Figure(
                    title=f"data tests after {title}",
                    runs=tuple(finished.result.seconds for finished in tests),
                    processor=tuple(finished.processor for finished in tests),
                    detail=build_detail(tests[-1].result),
                ),
            )


def _day(bench: Bench, day: date) -> Log:
    """The rows of a day, the same whatever history is before it."""
    return day_of_log(
        bench.seed,
        day,
        bench.sizes.rows_of_history_day,
        first_version_until=END - timedelta(days=1),
    )


def _label_late(connection: psycopg.Connection, days: int) -> None:
    """Label ten predictions more in each of the last days before ``END``."""
    connection.execute(
        """
        insert into bench.outcomes (id, actual, observed_at)
        select unlabelled.id, 'true', unlabelled.predicted_at + interval '40 days'
        from generate_series(1, %(days)s) as back (days)
        cross join lateral (
            select predictions.id, predictions.predicted_at
            from bench.predictions as predictions
            where
                predictions.predicted_at >= %(end)s - back.days * interval '24 hours'
                and predictions.predicted_at
                < %(end)s - (back.days - 1) * interval '24 hours'
                and not exists (
                    select from bench.outcomes as outcomes
                    where outcomes.id = predictions.id
                )
            limit 10
        ) as unlabelled
        """,
        {"days": days, "end": midnight(END)},
    )
