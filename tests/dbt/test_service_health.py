"""Latency sketches, merged windows, and traffic that stays away."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from psycopg.rows import dict_row

from orchestration import warehouse
from orchestration.project import PROJECT_DIR, Dbt
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import Rows, assert_same_marts, read_mart

FreshDatabase = Callable[[], AbstractContextManager[ConnectionSettings]]

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
# Those whose longer windows are sums of finer ones. The p-values of drift are adjusted
# for as many tests as there are windows of all lengths.
MERGED = (
    *("service_health", "status_codes", "data_quality", "model_performance"),
    *("model_performance_by_class", "calibration", "distributions", "fairness"),
)
QUANTILES = [number / 100 for number in range(1, 100)] + [0.001, 0.999, 0.9999]


def blocks(**changes: object) -> dict[str, Any]:
    """The variable of the example's monitors, whose first is plain but for changes."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    first = {
        "name": "flight_delay",
        "predictions": "stg_flights__flight_delay",
        "task": "regression",
        "features": {"dep_delay": "numerical"},
        "baseline": {"relation": "stg_flights__flight_delay_baseline"},
    }
    return {"monitors": [first | changes, *project["vars"]["monitors"][1:]]}


def write_requests(
    settings: ConnectionSettings,
    requests: Sequence[tuple[str, datetime, float | None, int]],
) -> None:
    """Version, time, latency and status code of each."""
    with warehouse.connect(settings) as connection, connection.cursor() as cursor:
        create_raw_schema(connection)
        with cursor.copy(
            "copy raw.prediction_logs (prediction_id, model_name, model_version, "
            "predicted_at, features, prediction, latency_ms, status_code) from stdin"
        ) as copy:
            for number, (version, at, latency_ms, code) in enumerate(requests):
                key = (str(number), "flight_delay", version, at)
                copy.write_row((*key, "{}", "1", latency_ms, code))
        connection.commit()


def latencies_of_all_kinds(generator: np.random.Generator) -> dict[str, Any]:
    """2,000 of each kind, by name."""
    count = 2_000
    magnitudes = 10 ** generator.uniform(-99, 99, count)
    return {
        "heavy tail": 1 + generator.pareto(0.4, count),
        "tied": generator.choice([0.1, 5, 5.05, 250, 1e6], count),
        "tiny": 10 ** generator.uniform(-99, -90, count),
        "huge": 10 ** generator.uniform(90, 99, count),
        "constant": np.full(count, 42.0),
        "all magnitudes": magnitudes,
        "many zeros": magnitudes * (generator.random(count) < 0.3),
        "usual": generator.lognormal(3, 1, count),
        "powers of the base": (1.01 / 0.99) ** generator.integers(-50, 50, count),
    }


@pytest.fixture(scope="module")
def latency_log(
    fresh_database: FreshDatabase, target_path: Path
) -> Iterator[ConnectionSettings]:
    """Latencies of each kind as a version of its own, over two weeks."""
    generator = np.random.default_rng(3)
    requests = [
        (kind, MONDAY + timedelta(hours=int(hour)), float(latency), 200)
        for kind, latencies in latencies_of_all_kinds(generator).items()
        for hour, latency in zip(
            generator.choice([0, 1, 30, 167, 168, 335], len(latencies)),
            latencies,
            strict=True,
        )
    ]
    with fresh_database() as settings:
        write_requests(settings, requests)
        Dbt(settings, target_path=target_path).build(MODELS_ONLY, variables=blocks())
        yield settings


@pytest.mark.parametrize(("grain", "hours"), [("hour", 1), ("day", 24), ("week", 168)])
def test_every_quantile_of_a_sketch_is_within_one_percent_also_of_merged_windows(
    latency_log: ConnectionSettings, grain: str, hours: int
) -> None:
    with warehouse.connect(latency_log) as connection:
        found = connection.execute(
            """
            with exact as (

                select
                    model_version,
                    date_bin(%(length)s, predicted_at, %(origin)s) as window_start,
                    percentile_disc(%(quantiles)s::float8[])
                        within group (order by latency_ms) as latencies
                from raw.prediction_logs
                group by 1, 2

            ),

            merged as (

                select
                    model_version,
                    date_bin(%(length)s, window_start, %(origin)s) as window_start,
                    bucket,
                    sum(bucket_count) as bucket_count
                from intermediate.int_latency_buckets
                where grain = 'hour'
                group by 1, 2, 3

            ),

            cumulated as (

                select
                    *,
                    sum(bucket_count) over up_to as count_up_to,
                    sum(bucket_count) over whole as total_count
                from merged
                window
                    whole as (partition by model_version, window_start),
                    up_to as (partition by model_version, window_start order by bucket)

            )

            select
                exact.model_version,
                quantiles.share,
                quantiles.latency,
                (
                    select case
                        when min(bucket) = -2147483648 then 0
                        else 0.99 * power(1.01 / 0.99::float8, min(bucket))
                    end
                    from cumulated
                    where
                        cumulated.model_version = exact.model_version
                        and cumulated.window_start = exact.window_start
                        and cumulated.count_up_to
                        >= quantiles.share * cumulated.total_count
                ) as estimate
            from exact
            cross join unnest(%(quantiles)s::float8[], exact.latencies)
                as quantiles (share, latency)
            """,
            {
                "length": timedelta(hours=hours),
                "origin": MONDAY,
                "quantiles": QUANTILES,
            },
        ).fetchall()
        stored = connection.execute(
            """
            select
                health.latency_count,
                health.latency_p50_ms,
                health.latency_p95_ms,
                health.latency_p99_ms,
                percentile_disc(array[0.5, 0.95, 0.99])
                    within group (order by logs.latency_ms)
            from marts.service_health as health
            inner join raw.prediction_logs as logs
                on
                    health.model_version in (logs.model_version, 'all')
                    and health.window_start <= logs.predicted_at
                    and health.window_end > logs.predicted_at
            where health.grain = %s
            group by 1, 2, 3, 4, health.model_version, health.window_start
            """,
            [grain],
        ).fetchall()

    windows = {"hour": 6, "day": 5, "week": 2}[grain]
    assert len(found) == 9 * windows * len(QUANTILES)
    assert len(stored) == 10 * windows
    found += [
        (str(count), share, exact, estimate)
        for count, *estimates, exacts in stored
        for share, exact, estimate in zip(
            (0.5, 0.95, 0.99), exacts, estimates, strict=True
        )
    ]
    # What the logarithm rounds is far below the bound.
    assert [
        row for row in found if not abs(row[3] - row[2]) <= 0.01 * (1 + 1e-9) * row[2]
    ] == []


def test_windows_that_were_computed_apart_add_up_to_those_computed_at_once(
    copied_log: ConnectionSettings, dbt: Dbt, monitor_blocks: list[dict[str, Any]]
) -> None:
    def longer_windows(traffic: str, columns: str) -> dict[str, Rows]:
        for block in monitor_blocks:
            block["windows"] = {"traffic": traffic, "columns": columns}
        dbt.build(MODELS_ONLY, variables={"monitors": monitor_blocks})
        return {
            mart: {
                key: row
                for key, row in read_mart(copied_log, mart).items()
                if key[4] in ("day", "week")
            }
            for mart in MERGED
        }

    apart, at_once = longer_windows("5 minutes", "hour"), longer_windows("day", "day")
    for quality in (apart["data_quality"], at_once["data_quality"]):
        for row in quality.values():
            # Repetitions are counted within the finest window.
            del row["duplicate_count"], row["duplicate_rate"]

    # Counts to the bit, and figures as sums of doubles allow.
    assert all(apart[mart] for mart in MERGED)
    assert_same_marts(apart, at_once)
    to_the_bit = [
        name
        for name in next(iter(at_once["service_health"].values()))
        # Sums of doubles depend on the order of the rows.
        if name != "latency_mean_ms"
    ]
    assert "latency_p99_ms" in to_the_bit
    for key, row in at_once["service_health"].items():
        other = apart["service_health"][key]
        assert [other[name] for name in to_the_bit] == [
            row[name] for name in to_the_bit
        ]
    assert apart["status_codes"] == at_once["status_codes"]


def requests_until(
    end: datetime, *, weeks: int, per_hour: int
) -> list[tuple[str, datetime, float | None, int]]:
    """As many in each hour."""
    return [
        ("1", end - timedelta(hours=hour, minutes=minute + 1), 20.0, 200)
        for hour in range(168 * weeks)
        for minute in range(per_hour)
    ]


def monitor_row(settings: ConnectionSettings) -> dict[str, Any]:
    with (
        warehouse.connect(settings) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        row = cursor.execute(
            "select * from marts.monitors where monitor = 'flight_delay'"
        ).fetchone()
    assert row is not None
    return row


def test_a_monitor_is_late_by_what_it_would_have_been_asked_in_other_weeks(
    database: ConnectionSettings, target_path: Path
) -> None:
    dbt = Dbt(database, target_path=target_path)
    now = datetime.now(UTC)
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    write_requests(
        database,
        [
            *requests_until(this_hour - timedelta(hours=3), weeks=3, per_hour=5),
            # A clock gone wrong hides nothing.
            ("1", now + timedelta(days=90), 20.0, 200),
        ],
    )

    def freshness(limit: str | None) -> dict[str, Any]:
        dbt.build(MODELS_ONLY, variables=blocks(freshness=limit))
        return monitor_row(database)

    learned = freshness(None)
    # Three whole hours, or four if the clock has just struck.
    assert learned["expected_request_count_since_last"] in (15, 20)
    assert learned["freshness_status"] == "warning"
    assert learned["freshness_reason"].endswith(" hours, 15 were expected since")
    assert 3 * 3600 < learned["seconds_since_last_prediction"] < 5 * 3600

    assert freshness("1 day")["freshness_status"] == "ok"
    assert freshness("2 hours")["freshness_status"] == "warning"
    late = freshness("90 minutes")
    assert late["freshness_status"] == "critical"
    assert late["freshness_reason"].endswith(" hours, 1.5 are allowed")
    assert late["freshness_limit_seconds"] == 5400


def test_without_an_earlier_week_or_any_prediction_nobody_is_late(
    database: ConnectionSettings, target_path: Path
) -> None:
    dbt = Dbt(database, target_path=target_path)
    variables = blocks()
    write_requests(database, [])
    dbt.build(MODELS_ONLY, variables=variables)

    row = monitor_row(database)
    assert row["freshness_status"] == "not_computable"
    assert row["freshness_reason"] == "no prediction yet"

    end = datetime.now(UTC) - timedelta(days=2)
    write_requests(
        database, [("1", end - timedelta(hours=hour), 20.0, 200) for hour in range(99)]
    )
    dbt.build(MODELS_ONLY, variables=variables)

    row = monitor_row(database)
    assert row["expected_request_count_since_last"] is None
    assert row["freshness_status"] == "not_computable"
    assert row["freshness_reason"] == "no earlier week to compare with"


def test_a_service_that_nobody_reached_for_hours_is_no_gap_in_the_figures(
    database: ConnectionSettings, target_path: Path
) -> None:
    """Down for two hours of the fourth week, hardly reached in a third."""
    end = MONDAY + timedelta(weeks=4)
    outage = [end - timedelta(hours=hours) for hours in (50, 49, 48)]
    write_requests(
        database,
        [
            request
            for request in requests_until(end, weeks=4, per_hour=59)
            if not outage[0] <= request[1] < outage[2]
            and not (
                outage[2] <= request[1] < outage[2] + timedelta(hours=1)
                and request[1].minute % 3
            )
        ],
    )
    Dbt(database, target_path=target_path).build(MODELS_ONLY, variables=blocks())

    flagged = {
        (key[4], key[5]): (row["request_count"], row["status"], row["reason"])
        for key, row in read_mart(database, "service_health").items()
        if row["status"] != "ok"
    }
    assert flagged == {
        ("hour", outage[0]): (0, "critical", "0 requests, 59 were expected"),
        ("hour", outage[1]): (0, "critical", "0 requests, 59 were expected"),
        ("hour", outage[2]): (19, "warning", "19 requests, 59 were expected"),
    }
    statuses = read_mart(database, "statuses")
    assert {
        key[4]: row["status"]
        for key, row in statuses.items()
        if key[2:4] == ("service_health", "hour") and key[4] in outage
    } == dict(zip(outage, ("critical", "critical", "warning"), strict=True))
