"""Runs that start by themselves, and what is told of those that fail."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration import warehouse
from orchestration.defs.automation.failures import tell_failed_runs
from orchestration.defs.automation.jobs import monitor
from orchestration.defs.automation.loads import new_loads
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.alerting import HttpReceiver, http_receiver


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as local:
        yield local


@pytest.fixture
def log(
    database: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> ConnectionSettings:
    """A warehouse whose log has no rows yet."""
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    write(database, "create schema raw; create table raw.prediction_logs (x int)")
    return database


def write(settings: ConnectionSettings, statement: str) -> None:
    with warehouse.connect(settings, autocommit=True) as connection:
        connection.execute(statement)
        # Else the server counts it after a second.
        connection.execute("select pg_stat_force_next_flush()")


class Ticks:
    """Evaluations of the sensor, each with the cursor that the one before left."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def __call__(self) -> str:
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor
        ) as context:
            result = new_loads(context)
            self.cursor = context.cursor
        if isinstance(result, dg.RunRequest):
            return "run"
        assert isinstance(result, dg.SkipReason)
        return result.skip_message or ""


def test_rows_that_arrived_are_monitored_once(
    log: ConnectionSettings, instance: dg.DagsterInstance
) -> None:
    tick = Ticks(instance)
    assert tick() == "run"
    assert tick() == "Nothing has arrived since."

    write(log, "insert into raw.prediction_logs values (1)")

    assert tick() == "run"
    assert tick() == "Nothing has arrived since."


def test_rows_that_arrive_during_a_run_wait_for_its_end_and_are_not_forgotten(
    log: ConnectionSettings,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tick = Ticks(instance)
    tick()
    run = instance.create_run_for_job(
        definitions.resolve_job_def(monitor.name), status=dg.DagsterRunStatus.STARTED
    )
    write(log, "insert into raw.prediction_logs values (1)")

    assert tick() == "The run before is still under way."
    instance.report_run_canceled(run)
    assert tick() == "The run before was less than five minutes ago."
    instance.delete_run(run.run_id)
    assert tick() == "run"


@dg.op
def breaks() -> None:
    try:
        raise RuntimeError("the <disk> is full\nand so is the cellar")
    except RuntimeError as error:
        raise ValueError("something failed") from error


@dg.job
def broken() -> None:
    breaks()


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def tell(instance: dg.DagsterInstance) -> str:
    """Fail a run, and have the sensor tell of it; gives the run's id."""
    result = broken.execute_in_process(instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    with dg.build_run_status_sensor_context(
        sensor_name="tell_failed_runs",
        dagster_instance=instance,
        dagster_run=run,
        dagster_event=result.get_run_failure_event(),
    ) as context:
        tell_failed_runs(context.for_run_failure())
    return run.run_id


def alerting_file(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(text)
    monkeypatch.setenv("DRIFTLINE_ALERTING", str(path))


def test_receivers_are_told_of_a_run_that_failed_without_any_warehouse(
    instance: dg.DagsterInstance,
    server: HttpReceiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alerting_file(
        tmp_path / "alerting.yml",
        f"receivers: [{{name: r1, type: webhook, url: '{server.url}'}}]",
        monkeypatch,
    )

    run_id = tell(instance)

    (request,) = server.requests
    assert request.json["changes"] == []
    assert request.json["message_id"] == f"run-{run_id}"
    assert request.json["notice"].splitlines() == [
        f"the run {run_id[:8]} of the job broken failed in breaks",
        "RuntimeError: the <disk> is full",
        "and so is the cellar",
    ]
    assert request.json["summary"].startswith("Driftline: the run ")


def test_only_those_that_the_file_names_are_told(
    instance: dg.DagsterInstance,
    server: HttpReceiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alerting_file(
        tmp_path / "alerting.yml",
        f"receivers: [{{name: r1, type: webhook, url: '{server.url}'}}, "
        "{name: log, type: stdout}]\nfailed_runs: [log]",
        monkeypatch,
    )

    tell(instance)

    assert server.requests == []


def test_a_receiver_that_is_down_does_not_fail_the_sensor(
    instance: dg.DagsterInstance,
    server: HttpReceiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.status = 503
    alerting_file(
        tmp_path / "alerting.yml",
        f"receivers: [{{name: r1, type: webhook, url: '{server.url}'}}]",
        monkeypatch,
    )

    tell(instance)

    assert len(server.requests) == 1


def test_the_sensor_of_failed_runs_is_on_and_that_of_loads_is_not(
    definitions: dg.Definitions,
) -> None:
    told = definitions.resolve_sensor_def("tell_failed_runs")
    assert told.default_status == dg.DefaultSensorStatus.RUNNING
    loads = definitions.resolve_sensor_def("new_loads")
    assert loads.default_status == dg.DefaultSensorStatus.STOPPED
