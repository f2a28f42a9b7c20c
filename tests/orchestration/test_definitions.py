"""What Dagster shows: assets, their lineage, jobs, and the Evidently asset's runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration import project
from orchestration.drift import evaluate_days
from tests.orchestration.conftest import DAY, SmallWarehouse, monitor

DRIFT_RESULTS = dg.AssetKey(["evidently", "drift_results"])
PARTITION = DAY.date().isoformat()


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
    delayed = graph.get(dg.AssetKey(["staging", "stg_flights__flight_delayed"]))
    assert delayed.owners == ["team:team-flights"]
    assert graph.get(DRIFT_RESULTS).owners == ["team:team-flights"]


def test_monitor_runs_in_order_and_never_simulates(
    definitions: dg.Definitions,
) -> None:
    def steps(job: str) -> list[str]:
        graph = definitions.resolve_job_def(job)
        return [node.name for node in graph.nodes_in_topological_order]

    assert steps("monitor") == [
        "dbt_models",
        "evidently__drift_results",
        "dbt_models_2",
        "monitors_can_be_read",
    ]
    assert steps("demo") == ["simulated_traffic", *steps("monitor")]
    assert steps("drift") == ["evidently__drift_results"]


def test_raw_tables_are_only_watched_in_a_warehouse_of_ones_own(
    two_days: SmallWarehouse, instance: dg.DagsterInstance
) -> None:
    from orchestration.defs.ingestion import raw

    two_days.execute("create schema raw")
    two_days.execute("create table raw.loads (load_id int)")
    watched = raw._observed(raw._LOG)

    assert not watched.is_materializable
    job = dg.define_asset_job("watch", dg.AssetSelection.assets(["raw", "loads"]))
    watching = dg.Definitions(assets=[watched], jobs=[job]).resolve_job_def("watch")
    result = watching.execute_in_process(instance=instance)
    (observation,) = result.get_asset_observation_events()
    assert observation.asset_key == dg.AssetKey(["raw", "loads"])
    metadata = observation.asset_observation_data.asset_observation.metadata
    assert metadata["estimated_row_count"].value == 0


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


def test_the_code_location_loads_without_evidently_or_scikit_learn() -> None:
    code = (
        "import sys\n"
        "from orchestration.definitions import defs\n"
        "defs()\n"
        "print(sorted({'evidently', 'sklearn', 'scipy'} & set(sys.modules)))\n"
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


def test_the_schedule_skips_while_a_run_is_under_way(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    from orchestration.defs.automation.jobs import hourly

    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance) as context,
    ):
        assert isinstance(hourly(context), dg.RunRequest)
        instance.create_run_for_job(
            definitions.resolve_job_def("monitor"), status=dg.DagsterRunStatus.STARTED
        )
        assert isinstance(hourly(context), dg.SkipReason)


@pytest.fixture
def drift_results(monkeypatch: pytest.MonkeyPatch) -> dg.AssetsDefinition:
    """The asset, for a monitor that works and one that doesn't."""
    from orchestration.defs.monitoring import evidently

    broken = monitor("broken", predictions="no_such_table")
    monkeypatch.setattr(evidently, "MONITORS", (broken, monitor()))
    return evidently.drift_results


def materialised_days(instance: dg.DagsterInstance) -> list[str]:
    return sorted(instance.get_materialized_partitions(DRIFT_RESULTS))


def test_a_run_without_a_day_evaluates_the_stale_days_and_records_each(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    result = dg.materialize([drift_results], instance=instance)

    assert result.success
    assert materialised_days(instance) == ["2026-03-01", "2026-03-02"]
    assert len(two_days.results("column_name")) == 16
    again = dg.materialize([drift_results], instance=instance)
    (event,) = again.get_asset_materialization_events()
    assert event.partition is None
    assert event.materialization.metadata["evaluated_day_count"].value == 0


def test_days_that_were_evaluated_outside_of_dagster_are_recognised(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    evaluate_days(two_days.settings, {"flights": [DAY.date()]}, [monitor()])

    result = dg.materialize([drift_results], instance=instance)

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
            run_config=dg.RunConfig(
                {"evidently__drift_results": {"config": {"only_monitors": ["flights"]}}}
            ),
        )
        (event,) = result.get_asset_materialization_events()
        assert event.partition == PARTITION
        assert event.materialization.metadata["evaluated_day_count"].value == 1
        assert event.materialization.metadata["drifted_share/flights"].value == 0.0

    assert materialised_days(instance) == [PARTITION]
    assert set(two_days.results("window_start")) == {(DAY,)}


def test_a_monitor_that_fails_is_red_and_the_run_succeeds(
    two_days: SmallWarehouse,
    drift_results: dg.AssetsDefinition,
    instance: dg.DagsterInstance,
) -> None:
    result = dg.materialize([drift_results], instance=instance, partition_key=PARTITION)

    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description is not None
    assert "no_such_table" in check.description
    assert check.metadata["failed_monitors"].value == ["broken"]
    statuses = two_days.execute(
        "select monitor, array_agg(distinct status) from evidently.drift_results "
        "group by 1 order by 1"
    )
    assert statuses == [("broken", ["not_computable"]), ("flights", ["ok"])]
