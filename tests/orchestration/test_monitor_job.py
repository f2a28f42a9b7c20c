"""The whole pipeline on a week of flights: through Dagster, then as one function."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import warehouse
from orchestration.judgements import read_judgements
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
    failed = [check.check_name for check in checks if not check.passed]
    assert [name for name in failed if not is_judgement(name)] == []


def is_judgement(check_name: str) -> bool:
    return any(check_name.endswith(f"_{monitor}") for monitor in MONITORS)


def test_each_monitor_is_judged_by_its_name_and_only_warned_of(
    demo: dg.ExecuteInProcessResult,
) -> None:
    checks = {check.check_name: check for check in demo.get_asset_check_evaluations()}

    for monitor in MONITORS:
        # It is of 2013, however new its rows are.
        fresh = checks[f"freshness_{monitor}"]
        assert not fresh.passed
        assert fresh.severity == dg.AssetCheckSeverity.WARN
        service = checks[f"service_{monitor}"]
        assert service.passed, service.description
        for name in ("value", "threshold", "sample_count"):
            assert isinstance(service.metadata[name].value, float | int), name
        assert checks[f"evaluated_{monitor}"].passed
    assert {name.removesuffix("_flight_delayed") for name in checks} >= {
        "volume", "data_quality", "drift", "labels", "performance",
    }  # fmt: skip


def test_an_open_incident_fails_the_check_of_its_subject(
    demo: dg.ExecuteInProcessResult, module_database: ConnectionSettings
) -> None:
    with warehouse.connect(module_database) as connection:
        connection.execute(
            """
            insert into intermediate.int_alert_episodes (
                incident_id, monitor, rule_id, model_version, segment, segment_value,
                column_name, grain, family, metric, started_at, opened_at, severity,
                alert_count, last_alert_at, strength, reason, window_length
            )
            select
                'i1', 'flight_delay', 'null_rate', 'all', 'all', 'all', 'humidity',
                'day', 'data_quality', 'null_rate', '2013-02-01Z', '2013-02-02Z', 2,
                1, '2013-02-02Z', 3, 'half of it is null', interval '1 day'
            """
        )
        connection.execute(
            """
            insert into marts.alerts (
                rule_id, monitor, model_version, segment, segment_value, grain,
                window_start, window_end, family, column_name, metric, value, expected,
                threshold, warning_bound, critical_bound, sample_count, severity,
                status, reason, incident_id
            )
            values (
                'null_rate', 'flight_delay', 'all', 'all', 'all', 'day',
                '2013-02-01Z', '2013-02-02Z', 'data_quality', 'humidity', 'null_rate',
                0.5, 0, 0.3, 0.05, 0.3, 900, 'critical', 'open', 'half of it is null',
                'i1'
            )
            """
        )
        found = {
            (each.monitor, each.subject): each
            for each in read_judgements(connection, ["data_quality", "labels"])
        }
        connection.rollback()

    bad = found["flight_delay", "data_quality"]
    assert (bad.open_count, bad.severity, bad.incident_id) == (1, 2, "i1")
    assert (bad.value, bad.threshold, bad.sample_count) == (0.5, 0.3, 900)
    assert bad.reason == "half of it is null"
    assert found["flight_delay", "labels"].open_count == 0
    assert found["flight_delayed", "data_quality"].open_count == 0


def test_models_show_their_rows_columns_and_lineage(
    demo: dg.ExecuteInProcessResult, module_database: ConnectionSettings
) -> None:
    shown = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in demo.get_asset_materialization_events()
        if event.asset_key is not None
    }

    health = shown["intermediate/int_service_health"]
    rows = query(
        module_database, "select count(*) from intermediate.int_service_health"
    )
    # By statistics, of a small table exact.
    assert health["dagster/row_count"].value == rows[0][0]
    schema = health["dagster/column_schema"].value
    assert "request_count" in {column.name for column in schema.columns}  # type: ignore[union-attr]
    origins = shown["marts/incidents"]["dagster/column_lineage"].value
    assert {
        (dep.asset_key.to_user_string(), dep.column_name)
        for dep in origins.deps_by_column["severity"]  # type: ignore[union-attr]
    } == {("intermediate/int_incidents", "severity")}
    assert health["Execution Duration"].value is not None
    day = next(
        event.materialization.metadata
        for event in demo.get_asset_materialization_events()
        if event.asset_key == DRIFT_RESULTS and event.partition is not None
    )
    assert "distributions/flight_delay" in day


def test_a_run_is_found_by_the_monitors_that_it_worked_on(
    demo: dg.ExecuteInProcessResult, instance: dg.DagsterInstance
) -> None:
    run = instance.get_run_by_id(demo.run_id)

    assert run is not None
    assert {f"monitor/{name}": "evaluated" for name in MONITORS}.items() <= (
        run.tags.items()
    )


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


def test_a_backfill_refreshes_its_days_in_both_engines_and_makes_nothing_fresh(
    definitions: dg.Definitions,
    demo: dg.ExecuteInProcessResult,
    module_database: ConnectionSettings,
    instance: dg.DagsterInstance,
    state_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in module_database.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DRIFTLINE_HOME", str(state_directory))
    monkeypatch.setenv("DRIFTLINE_REPORT_DAYS", "0")
    newest = "select max(window_start at time zone 'UTC')::date::text from {}"
    (day,) = query(module_database, newest.format("evidently.drift_results"))[0]
    refresh = {"refresh_from": day, "only_monitors": ["flight_delay"]}
    ((before,),) = query(
        module_database, "select max(evaluated_at) from evidently.drift_results"
    )
    # Rows of old, that are loaded only now.
    with warehouse.connect(module_database, autocommit=True) as connection:
        connection.execute(
            "insert into raw.prediction_logs (prediction_id, model_name, "
            "model_version, predicted_at, features, prediction, latency_ms, "
            "status_code, loaded_at) "
            "select 'late-' || prediction_id, model_name, model_version, "
            "predicted_at, features, prediction, latency_ms, status_code, now() "
            "from raw.prediction_logs where model_name = 'flight_delay' "
            "order by predicted_at limit 200"
        )

    result = definitions.resolve_job_def("backfill").execute_in_process(
        instance=instance, run_config={"resources": {"refresh": {"config": refresh}}}
    )

    assert result.success
    refreshed = query(
        module_database,
        "select distinct monitor from intermediate.int_stale_windows "
        "where detected_at = (select max(detected_at) "
        "from intermediate.int_stale_windows)",
    )
    assert refreshed == [("flight_delay",)]
    evaluated = query(
        module_database,
        "select distinct monitor, (window_start at time zone 'UTC')::date::text "
        f"from evidently.drift_results where evaluated_at > '{before}' order by 2",
    )
    assert {monitor for monitor, _ in evaluated} == {"flight_delay"}
    assert day in {each for _, each in evaluated} and len(evaluated) <= 3
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["freshness_flight_delay"].passed
    (health,) = (
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["marts", "service_health"])
    )
    assert health["availability/flight_delay"].value == 1.0
