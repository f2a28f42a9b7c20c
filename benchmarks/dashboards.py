"""How long Grafana waits: each query of the dashboards and alert rules on a year."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

import psycopg

from benchmarks.bench import END, Bench
from benchmarks.generate import midnight
from benchmarks.measure import Figure, timed_with_server
from benchmarks.results import DASHBOARD_QUERY_SECONDS
from grafana.queries import (
    alert_queries,
    interpolated,
    opened,
    queries,
    read_dashboards,
)
from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings

# What a dashboard shows when it is opened.
_SHOWN_DAYS = 30


def measure_dashboards(bench: Bench, settings: ConnectionSettings, days: int) -> None:
    """Every query of panels, variables, annotations and alert rules.

    ``settings`` are those of a warehouse whose marts hold ``days``. All columns are
    chosen, and once the time range of a dashboard that was just opened, once all days.
    """
    end = midnight(END) + timedelta(days=bench.sizes.added_days)
    for key, shown in (("opened", _SHOWN_DAYS), ("all_days", days)):
        bench.progress(f"the dashboards' queries of {shown} days")
        # Seconds, and those of the processor, of each run of each query.
        times: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        with warehouse.connect(settings, autocommit=True) as connection:
            connection.execute("set timezone = 'UTC'")
            for name, sql in _asked(connection, end - timedelta(days=shown), end):
                ask = partial(_rows, connection, sql)
                runs = [
                    timed_with_server(ask, bench.postmaster)
                    for _ in range(bench.sizes.repetitions)
                ]
                seconds, processor = zip(*runs, strict=True)
                times[name] = (seconds, processor)
        medians = {name: median(seconds) for name, (seconds, _) in times.items()}
        slowest_first = sorted(medians, key=medians.__getitem__, reverse=True)
        seconds, processor = times[slowest_first[0]]
        bench.report(
            f"dashboards.{key}",
            Figure(
                title=f"slowest of {len(times)} queries of the dashboards,"
                f" {shown} of {days} days shown",
                runs=seconds,
                processor=processor,
                detail={
                    "over_budget": [
                        name
                        for name in slowest_first
                        if medians[name] > DASHBOARD_QUERY_SECONDS
                    ],
                    "medians": {name: medians[name] for name in slowest_first},
                    "processor": {
                        name: median(times[name][1]) for name in slowest_first
                    },
                },
            ),
        )


def _asked(
    connection: psycopg.Connection, start: datetime, end: datetime
) -> Iterator[tuple[str, str]]:
    """Where each query stands, and its SQL for the first monitor and All columns."""

    def expanded(sql: str, values: Mapping[str, Sequence[str]]) -> str:
        return interpolated(sql, values, start=start, end=end)

    def options_of(sql: str, values: Mapping[str, Sequence[str]]) -> list[str]:
        found = _rows(connection, expanded(sql, values))
        # A log without an incident has none to choose.
        return [row[0] for row in found] or ["none"]

    for name, dashboard in read_dashboards().items():
        values = opened(dashboard, options_of)
        for query in queries(dashboard):
            yield f"{name}, {query.place}", expanded(query.sql, values)
    for query in alert_queries():
        yield query.place, expanded(query.sql, {})


def _rows(connection: psycopg.Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql.encode()).fetchall()
