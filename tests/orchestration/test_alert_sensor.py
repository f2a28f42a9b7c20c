"""The sensor `deliver_alerts`: cheap while nothing happens, and never in the way."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.alerting import ledger
from orchestration.alerting.configuration import AlertingError
from orchestration.defs.automation.alerts import deliver_alerts
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.alerting import (
    AlertWarehouse,
    HttpReceiver,
    http_receiver,
    incident,
    resolved,
)


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def alerting_file(tmp_path: Path, server: HttpReceiver) -> Path:
    path = tmp_path / "alerting.yml"
    path.write_text(f"receivers: [{{name: r1, type: webhook, url: '{server.url}'}}]")
    return path


class Ticks:
    """Evaluations of the sensor, each with the cursor that the one before left."""

    def __init__(self) -> None:
        self.cursor: str | None = None

    def __call__(self) -> str:
        with dg.build_sensor_context(cursor=self.cursor) as context:
            result = deliver_alerts(context)
            self.cursor = context.cursor
        assert isinstance(result, dg.SkipReason)
        return result.skip_message or ""


@pytest.fixture
def tick(
    database: ConnectionSettings, alerting_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Ticks:
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DRIFTLINE_ALERTING", str(alerting_file))
    return Ticks()


@pytest.fixture
def alerts(database: ConnectionSettings) -> AlertWarehouse:
    return AlertWarehouse(database)


def test_it_runs_every_minute_unless_it_is_turned_off(
    definitions: dg.Definitions,
) -> None:
    sensor = definitions.resolve_sensor_def("deliver_alerts")

    assert sensor.minimum_interval_seconds == 60
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_before_the_first_build_it_says_what_to_do(tick: Ticks) -> None:
    assert "run `driftline monitor`" in tick()


def test_what_no_ledger_holds_is_looked_for_again(
    alerts: AlertWarehouse,
    tick: Ticks,
    server: HttpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alerts.hold(incident())
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record", lambda *_, **__: 1 / 0)
        assert "unexpected ZeroDivisionError" in tick()

    assert tick() == "r1: sent 1 change."


def test_it_tells_a_change_once_and_then_only_looks(
    alerts: AlertWarehouse, tick: Ticks, server: HttpReceiver
) -> None:
    alerts.hold(incident())
    assert tick() == "r1: sent 1 change."
    assert tick() == "Nothing has happened since."

    alerts.hold(resolved())
    assert tick() == "r1: sent 1 change."
    assert tick() == "Nothing has happened since."
    assert len(server.requests) == 2


def test_a_receiver_that_is_down_fails_no_evaluation_and_is_tried_again(
    alerts: AlertWarehouse, tick: Ticks, server: HttpReceiver
) -> None:
    alerts.hold(incident())
    server.status, server.answer = 503, b"down"

    assert "r1: failed: answered 503: down (tried again from" in tick()
    assert tick() == "Nothing has happened since."
    # As a minute later.
    alerts.execute("update operations.deliveries set next_attempt_at = now()")
    server.status = 200
    assert tick() == "r1: sent 1 change."
    assert len(server.requests) == 2


def test_a_new_receiver_is_noticed(
    alerts: AlertWarehouse, tick: Ticks, alerting_file: Path
) -> None:
    alerts.hold(incident())
    tick()
    with http_receiver() as second:
        alerting_file.write_text(
            f"receivers: [{{name: r2, type: webhook, url: '{second.url}'}}]"
        )

        assert tick() == "r2: sent 1 change."


@pytest.mark.usefixtures("alerts")
def test_a_wrong_file_makes_the_evaluation_red(
    tick: Ticks, alerting_file: Path
) -> None:
    alerting_file.write_text("receivers: []")

    with pytest.raises(AlertingError, match="list at least one"):
        tick()
