"""The whole pipeline on a week of flights: through Dagster, then as one function."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import warehouse
from orchestration.pipeline import Progress, run_monitor
from orchestration.warehouse import ConnectionSettings

DRIFT_RESULTS = dg.AssetKey(["evidently", "drift_results"])
MONITORS = ["flight_delay", "flight_delay_band", "flight_delayed"]


def query(settings: ConnectionSettings, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.connect(settings, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture(scope="module")
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def demo(
    definitions: dg.Definitions,
    module_database: ConnectionSettings,
    instance: dg.DagsterInstance,
    state_directory: Path,
) -> dg.ExecuteInProcessResult:
    """A week of 2013, simulated and monitored by the job of that name."""
    simulation = {"weeks": 1, "shift": False, "scenario": "none"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in module_database.environ().items():
            patch.setenv(name, value)
        patch.setenv("DRIFTLINE_HOME", str(state_directory))
        return definitions.resolve_job_def("demo").execute_in_process(
            instance=instance,
            run_config={"ops": {"simulated_traffic": {"config": simulation}}},
        )


def test_the_job_fills_the_marts_with_both_engines(
    demo: dg.ExecuteInProcessResult, module_database: ConnectionSettings
) -> None:
    assert demo.success
    rows = query(
        module_database,
        "select engine, array_agg(distinct monitor order by monitor) "
        "from marts.drift group by 1 order by 1",
    )
    assert rows == [("evidently", MONITORS), ("sql", MONITORS)]
    days = query(
        module_database,
        "select count(distinct window_start) from evidently.drift_results",
    )
    assert days[0][0] in (7, 8)


def test_each_evaluated_day_is_a_partition(
    demo: dg.ExecuteInProcessResult,
    instance: dg.DagsterInstance,
    module_database: ConnectionSettings,
) -> None:
    days = query(
        module_database,
        "select distinct (window_start at time zone 'UTC')::date::text "
        "from evidently.drift_results order by 1",
    )

    partitions = sorted(instance.get_materialized_partitions(DRIFT_RESULTS))

    assert partitions == [day for (day,) in days]


def test_the_newest_day_of_each_monitor_has_a_report(
    demo: dg.ExecuteInProcessResult,
    module_database: ConnectionSettings,
    state_directory: Path,
) -> None:
    newest = query(
        module_database,
        "select monitor || '/' || max(window_start at time zone 'UTC')::date "
        "from evidently.drift_results group by monitor order by monitor",
    )

    pages = state_directory.glob("reports/*/*.html")

    assert sorted(f"{page.parent.name}/{page.stem}" for page in pages) == [
        name for (name,) in newest
    ]
    index = (state_directory / "reports" / "index.html").read_text()
    for page in state_directory.glob("reports/*/*.html"):
        assert f'href="{page.parent.name}/{page.name}"' in index
        assert "No plots" not in page.read_text()


def test_the_tests_of_dbt_are_checks_and_pass(
    demo: dg.ExecuteInProcessResult,
) -> None:
    checks = demo.get_asset_check_evaluations()

    assert {check.asset_key.path[0] for check in checks} >= {"intermediate", "marts"}
    assert [check.check_name for check in checks if not check.passed] == []


def test_the_loaded_rows_are_told(demo: dg.ExecuteInProcessResult) -> None:
    loaded = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in demo.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path[0] == "raw"
    }

    counts = {
        name: count.value for name, count in loaded["raw/prediction_logs"].items()
    }
    assert counts["loaded_count"] == counts["received_count"] != 0


def test_run_as_a_function_it_finds_nothing_to_do(
    demo: dg.ExecuteInProcessResult,
    module_database: ConnectionSettings,
    tmp_path: Path,
) -> None:
    seen: list[Progress] = []
    before = query(module_database, "select * from evidently.drift_results")

    run = run_monitor(module_database, progress=seen.append, target_path=tmp_path)

    assert run.days == ()
    assert query(module_database, "select * from evidently.drift_results") == before
    assert {node.status for node in run.before.outcomes} <= {"success", "pass"}
    assert "drift" in {node.name for node in run.after.outcomes}
    assert "drift" not in {node.name for node in run.before.outcomes}
    # Each step says how much there is to do, and then does that much.
    for step in ("dbt", "dbt after evidently"):
        reports = [report for report in seen if report.step == step]
        assert [report.done for report in reports] == list(range(len(reports)))
        assert reports[-1].done == reports[-1].total > 0
