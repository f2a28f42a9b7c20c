"""What the report reads, from marts as dbt builds them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from orchestration import warehouse
from orchestration.cli.report import write_report
from orchestration.errors import DriftlineError
from orchestration.project import Dbt
from orchestration.reporting.page import render
from orchestration.reporting.reading import read_report
from orchestration.warehouse import ConnectionSettings
from tests.dbt.prediction_log import START, write_small_log

NOW = START + timedelta(days=30)

# In the shape of the marts that alerting builds.
_INCIDENTS = """
    drop view if exists marts.incidents cascade;
    drop table if exists marts.alerts cascade;

    create table marts.incidents as
    select
        'a1b2c3d4e5f6' as incident_id,
        'flight_delay' as monitor,
        'flight_delay: latency is high' as title,
        'critical' as severity,
        'open' as state,
        false as is_muted,
        timestamptz '2026-03-03 00:00Z' as started_at,
        null::timestamptz as closed_at,
        array['service_health'] as families,
        array['all'] as column_names,
        3::bigint as alert_count,
        'p99 is 900 ms' as suspect_reason,
        null::text[] as possible_causes,
        null::text as acknowledged_by;

    create table marts.alerts as
    select
        'latency' as rule_id,
        'flight_delay' as monitor,
        'all' as model_version,
        'all' as segment,
        'service_health' as family,
        'latency_p99_ms' as metric,
        'all' as column_name,
        'hour' as grain,
        timestamptz '2026-03-03 00:00Z' as window_start,
        900::double precision as value,
        'critical' as severity,
        'p99 is 900 ms' as reason;
"""


@pytest.fixture(scope="module")
def marts(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ConnectionSettings]:
    """Marts of three models and three days; only to be read."""
    with fresh_database() as settings:
        write_small_log(settings)
        target_path = tmp_path_factory.mktemp("report-dbt")
        Dbt(settings, target_path=target_path).build(
            ("--exclude-resource-type", "test")
        )
        yield settings


@pytest.fixture
def connection(marts: ConnectionSettings) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back."""
    with warehouse.connect(marts) as opened:
        yield opened
        opened.rollback()


def test_every_part_of_the_report_has_rows(connection: psycopg.Connection) -> None:
    found = read_report(connection, now=NOW)

    assert [each.summary.monitor for each in found.monitors] == [
        "flight_delay",
        "flight_delay_band",
        "flight_delayed",
    ]
    for monitor in found.monitors:
        assert monitor.statuses
        assert any(each.figures for each in monitor.performance)
        assert monitor.service
        assert monitor.burn_rates
        assert monitor.drift
        assert monitor.quality
        assert monitor.histograms
        shares: dict[str, float] = {}
        for each in monitor.histograms:
            shares[each.column_name] = shares.get(each.column_name, 0) + each.share
        assert [*shares.values()] == pytest.approx([1] * len(shares))
    assert "flight_delay_band" in render(found)


def test_it_ends_with_the_newest_prediction_and_begins_no_earlier_than_the_first(
    connection: psycopg.Connection,
) -> None:
    whole = read_report(connection, now=NOW)
    part = read_report(connection, now=NOW, days=1)

    newest = max(
        each.summary.last_predicted_at
        for each in whole.monitors
        if each.summary.last_predicted_at
    )
    assert whole.since == START
    assert whole.until - timedelta(days=1) <= newest < whole.until
    assert part.until == whole.until
    assert part.since == part.until - timedelta(days=1)
    for monitor in part.monitors:
        assert all(each.window_start >= part.since for each in monitor.quality)


def test_only_the_monitors_that_were_named_are_read(
    connection: psycopg.Connection,
) -> None:
    found = read_report(connection, now=NOW, monitors=["flight_delayed"])

    assert [each.summary.monitor for each in found.monitors] == ["flight_delayed"]
    with pytest.raises(DriftlineError, match=r"no monitor 'churn'.*flight_delay, "):
        read_report(connection, now=NOW, monitors=["churn"])


def test_a_beginning_after_the_newest_prediction_is_refused(
    connection: psycopg.Connection,
) -> None:
    with pytest.raises(DriftlineError, match="No prediction is as new as 2030-01-01"):
        read_report(connection, now=NOW, since=datetime(2030, 1, 1, tzinfo=UTC))


def test_incidents_and_alerts_are_read_where_there_are_any(
    connection: psycopg.Connection,
) -> None:
    connection.execute("drop view if exists marts.incidents cascade")
    connection.execute("drop table if exists marts.alerts cascade")
    without = read_report(connection, now=NOW, monitors=["flight_delay"])
    connection.execute(_INCIDENTS)
    found = read_report(connection, now=NOW, monitors=["flight_delay"])

    assert without.monitors[0].incidents is None
    [incident] = found.monitors[0].incidents or ()
    assert incident.families == ("service_health",)
    assert incident.possible_causes == ()
    [alert] = found.monitors[0].alerts
    assert alert.value == 900


def test_a_file_is_written_whole_and_needs_no_folder_to_be_there(
    marts: ConnectionSettings, tmp_path: Path
) -> None:
    path = tmp_path / "reports" / "today.html"

    written = write_report(marts, path, monitors=["flight_delay"])

    assert written == path
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [each.name for each in path.parent.iterdir()] == ["today.html"]


def test_a_path_that_cannot_be_written_is_named(marts: ConnectionSettings) -> None:
    with pytest.raises(DriftlineError, match=r"can't be written to /dev/null/report"):
        write_report(marts, Path("/dev/null/report.html"))


def test_a_warehouse_without_marts_says_what_to_run(
    database: ConnectionSettings,
) -> None:
    with (
        warehouse.connect(database) as connection,
        pytest.raises(DriftlineError, match="run `driftline monitor`"),
    ):
        read_report(connection, now=NOW)
