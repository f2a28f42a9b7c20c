"""What Dagster shows: assets, their lineage, jobs, and the Evidently asset's runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml

from orchestration import drift, project
from orchestration.days import DayRange
from orchestration.defs import retries
from orchestration.defs.refresh import Refresh
from orchestration.drift import evaluate_days
from tests.orchestration.conftest import DAY, SmallWarehouse, monitor

DRIFT_RESULTS = dg.AssetKey(["evidently", "drift_results"])
PARTITION = DAY.date().isoformat()
SECOND = DAY + timedelta(days=1)
RESOURCES = {"refresh": Refresh()}


@pytest.fixture
def two_days(
    # The definitions first: they look where the warehouse is when they are loaded.
    definitions: dg.Definitions,
    small_warehouse: SmallWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> SmallWarehouse:
    """Two days of predictions, in the warehouse that Dagster finds."""
    small_warehouse.add_baseline(2000)
    small_warehouse.add_predictions(DAY, 300)
    small_warehouse.add_predictions(DAY + timedelta(days=1), 200)
    small_warehouse.refresh_ledger()
    for name, value in small_warehouse.settings.environ().items():
        monkeypatch.setenv(name, value)
    # They take seconds.
    monkeypatch.setenv("DRIFTLINE_REPORT_DAYS", "0")
    return small_warehouse


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def user_strings(keys: object) -> list[str]:
    return sorted(key.to_user_string() for key in keys)  # type: ignore[attr-defined]


def test_every_model_and_source_is_an_asset(definitions: dg.Definitions) -> None:
    manifest = project.read_manifest()
    models = [
        f"{node['schema']}/{node['name']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
    ]
    sources = [
        f"{source['source_name']}/{source['name']}"
        for source in manifest["sources"].values()
    ]

    graph = definitions.resolve_asset_graph()

    assert user_strings(graph.get_all_asset_keys()) == sorted([*models, *sources])
    assert {
        "evidently/drift_results",
        "marts/drift",
        "raw/ground_truth",
        "raw/prediction_logs",
    } <= set(user_strings(graph.get_all_asset_keys()))


def test_the_assets_have_no_cycle_and_evidently_stands_between_dbt_models(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()

    levels = graph.toposorted_asset_keys_by_level

    place = {key: level for level, keys in enumerate(levels) for key in keys}
    assert place.keys() == graph.get_all_asset_keys()
    for key in place:
        assert all(place[parent] < place[key] for parent in graph.get(key).parent_keys)
    upstream = user_strings(graph.get(DRIFT_RESULTS).parent_keys)
    assert "intermediate/int_window_ledger" in upstream
    assert "staging/stg_flights__flight_delayed_baseline" in upstream
    assert "marts/drift" in user_strings(graph.get(DRIFT_RESULTS).child_keys)


def test_groups_are_layers_and_staging_models_have_owners(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()

    for key in graph.get_all_asset_keys():
        assert graph.get(key).group_name == key.path[0]
        assert graph.get(key).owners == ["team:team-flights"]
        assert "postgres" in graph.get(key).kinds
    assert graph.get(dg.AssetKey(["marts", "drift"])).kinds == {"dbt", "postgres"}
    assert graph.get(DRIFT_RESULTS).kinds == {"evidently", "postgres"}


def test_only_dbts_own_tests_stop_a_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {key.name: graph.get(key).blocking for key in graph.asset_check_keys}

    assert blocking["not_null_alerts_status"]
    assert not any(blocking[name] for name in checks_of("flight_delay"))


def test_each_monitor_has_checks_of_its_own(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {key.name: key.asset_key.path[-1] for key in graph.asset_check_keys}

    for block in project.read_monitors():
        names = checks_of(block.name)
        assert {name: found.get(name) for name in names} == names


def checks_of(name: str) -> dict[str, str]:
    """The checks of a monitor, and what they are of."""
    return {
        f"freshness_{name}": "monitors",
        f"volume_{name}": "service_health",
        f"service_{name}": "service_health",
        f"data_quality_{name}": "data_quality",
        f"labels_{name}": "model_performance",
        f"performance_{name}": "model_performance",
        f"drift_{name}": "drift",
        f"evaluated_{name}": "drift_results",
    }


def test_monitor_runs_in_order_and_never_simulates(
    definitions: dg.Definitions,
) -> None:
    def steps(job: str) -> list[str]:
        graph = definitions.resolve_job_def(job)
        names = [node.name for node in graph.nodes_in_topological_order]
        return [name for name in names if "_by_" not in name]

    assert steps("monitor") == [
        "dbt_models",
        "evidently__drift_results",
        "dbt_models_2",
        "monitors_can_be_read",
    ]
    assert steps("backfill") == steps("monitor")
    assert steps("demo") == ["simulated_traffic", *steps("monitor")]
    assert steps("drift") == ["evidently__drift_results"]


def test_two_runs_of_dbt_wait_for_each_other(definitions: dg.Definitions) -> None:
    for job in ("monitor", "backfill", "demo"):
        nodes = definitions.resolve_job_def(job).nodes
        pools = {node.name: node.definition.pools for node in nodes}
        assert pools["dbt_models"] == pools["dbt_models_2"] == {"dbt"}
        assert pools["evidently__drift_results"] == set()


def test_raw_tables_are_only_watched_in_a_warehouse_of_ones_own(
    two_days: SmallWarehouse, instance: dg.DagsterInstance
) -> None:
    from orchestration.defs.ingestion import raw

    two_days.execute("create schema raw")
    two_days.execute("create table raw.loads as select 1 as load_id")
    two_days.execute("select pg_stat_force_next_flush()")
    watched = raw._observed(raw._LOG)

    assert not watched.is_materializable
    job = dg.define_asset_job("watch", dg.AssetSelection.assets(["raw", "loads"]))
    watching = dg.Definitions(assets=[watched], jobs=[job]).resolve_job_def("watch")
    result = watching.execute_in_process(instance=instance)
    (observation,) = result.get_asset_observation_events()
    assert observation.asset_key == dg.AssetKey(["raw", "loads"])
    metadata = observation.asset_observation_data.asset_observation.metadata
    assert metadata["estimated_row_count"].value == 1


def test_sources_of_ones_own_are_watched_beside_the_simulated_log() -> None:
    from orchestration.defs.ingestion import raw

    own = dg.AssetKey(["shop", "orders"])
    source = {
        "description": "", "source_name": "shop", "schema": "shop",
        "identifier": "orders",
    }  # fmt: skip
    simulated, watched = raw._simulated(), raw._observed({own: source})

    assert {key.path[0] for key in simulated.keys} == {"raw"}
    job = dg.define_asset_job("demo", dg.AssetSelection.groups("raw"))
    definitions = dg.Definitions(assets=[simulated, watched], jobs=[job])
    assert definitions.resolve_job_def("demo").name == "demo"


def test_the_code_location_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from orchestration.definitions import defs\n"
        "defs()\n"
        "heavy = {'evidently', 'sklearn', 'scipy', 'pandas', 'numpy', 'dbt.cli'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )

    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )

    assert finished.stdout.strip() == "[]"


def test_partitions_reach_from_2013_to_today() -> None:
    from orchestration.defs.monitoring.evidently import DAYS

    today = datetime.now(UTC).date()
    assert DAYS.get_first_partition_key() == "2013-01-01"
    assert DAYS.get_last_partition_key() == today.isoformat()


@pytest.mark.parametrize("job", ["monitor", "backfill", "demo"])
def test_the_schedule_skips_while_a_run_is_under_way(
    definitions: dg.Definitions, tmp_path: Path, job: str
) -> None:
    from orchestration.defs.automation.jobs import hourly

    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance) as context,
    ):
        assert isinstance(hourly(context), dg.RunRequest)
        run = instance.create_run_for_job(
            definitions.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED
        )
        assert isinstance(hourly(context), dg.SkipReason)
        instance.report_run_canceled(run)
        assert isinstance(hourly(context), dg.RunRequest)


def test_once_a_day_all_windows_are_compared_with_the_log() -> None:
    from orchestration.defs.automation.jobs import daily

    with dg.build_schedule_context() as context:
        request = daily(context)

    assert isinstance(request, dg.RunRequest)
    assert request.run_config["resources"]["refresh"]["config"]["reconcile"] is True


def test_schedules_run_by_themselves_only_in_a_warehouse_of_ones_own() -> None:
    code = (
        "from orchestration.defs.automation.jobs import daily, hourly\n"
        "print(hourly.default_status.value, daily.default_status.value)\n"
    )

    def statuses(**variables: str) -> str:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            check=True,
        ).stdout.strip()

    assert statuses(PGHOST="warehouse.example.org") == "RUNNING RUNNING"
    assert statuses() == "STOPPED STOPPED"


def test_one_range_of_days_is_for_both_engines() -> None:
    refresh = Refresh(
        refresh_from="2026-01-05", refresh_to="2026-01-12", only_monitors=["flights"]
    )

    assert refresh.dbt_arguments() == [
        "--vars",
        '{"refresh_from": "2026-01-05", "refresh_to": "2026-01-12", '
        '"only_monitors": ["flights"]}',
    ]
    assert refresh.days == DayRange(start=date(2026, 1, 5), end=date(2026, 1, 12))
    assert refresh.includes("flights") and not refresh.includes("others")
    assert (Refresh().dbt_arguments(), Refresh().days) == ([], None)
    assert Refresh(full_refresh=True).dbt_arguments() == ["--full-refresh"]
    assert date(1999, 1, 1) in (Refresh(full_refresh=True).days or [])


def test_a_monitor_that_cant_be_read_fails_its_check_and_no_other(
    two_days: SmallWarehouse, instance: dg.DagsterInstance
) -> None:
    from orchestration.defs.monitoring.isolation import monitors_can_be_read

    two_days.execute("create schema if not exists marts")
    two_days.execute(
        "create table marts.monitors as"
        " select monitor, null::timestamptz as unreadable_since, null as reason"
        " from unnest(array['flight_delay', 'flight_delay_band']) as monitor"
    )
    two_days.execute(
        "update marts.monitors set unreadable_since = now(), reason = 'it is gone'"
        " where monitor = 'flight_delay'"
    )

    job = dg.Definitions(
        asset_checks=[monitors_can_be_read]
    ).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance)

    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == {
        "relations_flight_delay": False,
        "relations_flight_delay_band": True,
        # The mart does not have it.
        "relations_flight_delayed": False,
    }
    gone = checks["relations_flight_delay"]
    assert gone.description == "it is gone"
    assert gone.severity is dg.AssetCheckSeverity.ERROR


@pytest.fixture
def drift_results() -> dg.AssetsDefinition:
    """The asset, for a monitor that works and one that doesn't."""
    from orchestration.defs.monitoring.evidently import evidently_asset

    broken = monitor("broken", predictions="no_such_table")
    return evidently_asset([broken, monitor()])


def materialised_days(instance: dg.DagsterInstance) -> list[str]:
    return sorted(instance.get_materialized_partitions(DRIFT_RESULTS))


def test_a_run_without_a_day_evaluates_the_stale_days_and_records_each(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    result = dg.materialize([drift_results], instance=instance, resources=RESOURCES)

    assert result.success
    assert materialised_days(instance) == ["2026-03-01", "2026-03-02"]
    assert len(two_days.results("column_name")) == 16
    again = dg.materialize([drift_results], instance=instance, resources=RESOURCES)
    (event,) = again.get_asset_materialization_events()
    assert event.partition is None
    assert event.materialization.metadata["evaluated_day_count"].value == 0


def test_days_that_were_evaluated_outside_of_dagster_are_recognised(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    evaluate_days(two_days.settings, {"flights": [DAY.date()]}, [monitor()])

    result = dg.materialize([drift_results], instance=instance, resources=RESOURCES)

    assert materialised_days(instance) == ["2026-03-01", "2026-03-02"]
    assert len(result.get_asset_materialization_events()) == 3


def test_a_run_with_a_day_evaluates_it_in_any_case_and_no_other(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    for _ in range(2):
        result = dg.materialize(
            [drift_results],
            instance=instance,
            partition_key=PARTITION,
            resources={"refresh": Refresh(only_monitors=["flights"])},
        )
        (event,) = result.get_asset_materialization_events()
        assert event.partition == PARTITION
        assert event.materialization.metadata["evaluated_day_count"].value == 1
        assert event.materialization.metadata["drifted_share/flights"].value == 0.0

    assert materialised_days(instance) == [PARTITION]
    assert set(two_days.results("window_start")) == {(DAY,)}


def test_a_run_with_a_range_evaluates_the_days_that_hold_rows(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    evaluate_days(
        two_days.settings, {"flights": [DAY.date(), SECOND.date()]}, [monitor()]
    )
    refresh = Refresh(refresh_from="2026-03-02", only_monitors=["flights"])

    result = dg.materialize(
        [drift_results], instance=instance, resources={"refresh": refresh}
    )

    metadata = [
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.partition is None
    ]
    assert metadata[0]["evaluated_day_count"].value == 1


def test_a_day_shows_its_distributions(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    two_days.execute("create schema marts")
    two_days.execute(
        "create table marts.distributions (monitor text, grain text, segment text, "
        "model_version text, window_start timestamptz, column_name text, bin bigint, "
        "share double precision, baseline_share double precision)"
    )
    two_days.execute(
        "insert into marts.distributions select 'flights', 'day', 'all', 'all', %s, "
        "'distance', bin, 0.1, 0.1 from generate_series(0, 9) as bin",
        DAY,
    )

    result = dg.materialize(
        [drift_results],
        instance=instance,
        partition_key=PARTITION,
        resources=RESOURCES,
    )

    (event,) = result.get_asset_materialization_events()
    picture = event.materialization.metadata["distributions/flights"].value
    assert str(picture).startswith("![Distributions of flights on 2026-03-01](data:")
    assert event.materialization.metadata["classifier_area/flights"].value is not None


def test_a_database_that_is_away_for_a_while_is_tried_again(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "_FIRST_WAIT_SECONDS", 0)
    tries: list[int] = []
    evaluate = drift.evaluate_days

    def failing(*arguments: Any, **options: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return evaluate(*arguments, **options)

    monkeypatch.setattr(drift, "evaluate_days", failing)

    result = dg.materialize(
        [drift_results],
        instance=instance,
        partition_key=PARTITION,
        resources=RESOURCES,
    )

    assert result.success
    assert len(tries) == 2
    assert materialised_days(instance) == [PARTITION]


def test_an_error_that_stays_is_not_tried_again(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    def failing(*_: object, **__: object) -> None:
        tries.append(1)
        raise psycopg.errors.InsufficientPrivilege("permission denied for table")

    monkeypatch.setattr(drift, "evaluate_days", failing)

    result = dg.materialize(
        [drift_results],
        instance=instance,
        partition_key=PARTITION,
        resources=RESOURCES,
        raise_on_error=False,
    )

    assert not result.success
    assert len(tries) == 1


def test_a_monitor_that_fails_is_red_and_the_run_succeeds(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    result = dg.materialize(
        [drift_results],
        instance=instance,
        partition_key=PARTITION,
        resources=RESOURCES,
    )

    assert result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["evaluated_flights"].passed
    assert checks["evaluated_flights"].metadata["sample_count"].value == 300
    failed = checks["evaluated_broken"]
    assert not failed.passed
    assert "no_such_table" in (failed.description or "")
    assert failed.metadata["value"].value == 1
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    tags = run.tags
    assert tags["monitor/flights"] == "evaluated"
    assert tags["monitor/broken"] == "failed"
    statuses = two_days.execute(
        "select monitor, array_agg(distinct status) from evidently.drift_results "
        "group by 1 order by 1"
    )
    assert statuses == [("broken", ["not_computable"]), ("flights", ["ok"])]


def test_dagster_finds_and_accepts_the_definitions() -> None:
    finished = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), "definitions", "validate"],
        cwd=project.PROJECT_DIR.parent,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert "All code locations passed validation" in finished.stdout + finished.stderr


def test_a_deployments_instance_differs_by_its_storage_alone() -> None:
    here, there = (
        yaml.safe_load((project.PROJECT_DIR.parent / path).read_text())
        for path in ("orchestration/dagster.yaml", "deploy/dagster.yaml")
    )

    assert there == {**here, "storage": there["storage"]}


@pytest.mark.parametrize("path", ["orchestration/dagster.yaml", "deploy/dagster.yaml"])
def test_instances_have_a_queue_watch_their_runs_and_send_no_telemetry(
    path: str, tmp_path: Path
) -> None:
    settings = yaml.safe_load((project.PROJECT_DIR.parent / path).read_text())
    # It needs a server, which is the deployment's.
    storage = settings.pop("storage", None)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))

    # It refuses what it does not know.
    with dg.DagsterInstance.from_config(str(tmp_path)):
        pass
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}
    assert settings["run_monitoring"]["enabled"]
    assert settings["concurrency"]["pools"] == {
        "granularity": "run",
        "default_limit": 1,
    }
    if storage is not None:
        server = storage["postgres"]["postgres_db"]
        assert server.pop("scheme") == "postgresql+psycopg2"
        variables = server.values()
        assert {each["env"].rpartition("_")[0] for each in variables} == {
            "DAGSTER_POSTGRES"
        }
