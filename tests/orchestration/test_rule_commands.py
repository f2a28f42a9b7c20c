"""``driftline rules`` and ``scorecard``, on marts that are made by hand."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.alerting import AlertWarehouse

Command = Callable[..., Result]

_SCORECARD = """
    create table marts.detection_scorecard (
        incident_id text, monitor text, kind text, size text, family text,
        column_name text, started_at timestamptz, is_noticed boolean,
        is_right_family boolean, detected_family text, detected_rule_id text,
        detected_column_name text, detected_severity text, delay_windows integer
    );
    insert into marts.detection_scorecard values
    (
        'a', 'churn', 'nulls', 'obvious', 'data_quality', 'age', '2026-03-01Z', true,
        true, 'data_quality', 'null_rate', 'age', 'critical', 0
    ),
    (
        'b', 'churn', 'unit_change', 'subtle', 'drift', 'income', '2026-03-05Z', false,
        false, null, null, null, null, null
    );
    create table marts.false_alarms (
        monitor text, family text, week_start timestamptz, quiet_day_count bigint,
        alarm_count bigint, critical_count bigint, rule_ids text[], column_names text[]
    );
    insert into marts.false_alarms values
    ('churn', 'drift', '2026-03-02Z', 7, 2, 1, '{psi_rise}', '{age,all}'),
    ('churn', 'drift', '2026-03-09Z', 7, 1, 0, '{slow_drift}', '{income}'),
    ('churn', 'data_quality', '2026-03-02Z', 7, 0, 0, '{}', '{}');
"""


@pytest.fixture
def command(database: ConnectionSettings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command on the test's database."""
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def alerts(database: ConnectionSettings) -> AlertWarehouse:
    return AlertWarehouse(database)


def row_of(shown: str, *words: str) -> str:
    (row,) = (
        line for line in shown.splitlines() if all(each in line for each in words)
    )
    return row


@pytest.mark.usefixtures("alerts")
def test_rules_are_listed_once_where_monitors_share_them(command: Command) -> None:
    shown = command("rules").stdout

    assert "│ all " in row_of(shown, "error_rate")
    assert "static: above none, 0.1; 50 rows" in row_of(shown, "error_rate")
    assert "flight_delay, flight_delayed" in row_of(shown, "above 6, 12")
    assert "│ churn " in row_of(shown, "learned ratio: above 9, 12")
    assert "latency_p50_ms, hour (service health)" in row_of(shown, "above 9, 12")
    assert "after 2, 3" in row_of(shown, "above 9, 12")


@pytest.mark.usefixtures("alerts")
def test_rules_of_one_monitor_are_listed_alone(command: Command) -> None:
    rules = json.loads(command("rules", "--monitor", "churn", "--json").stdout)

    assert [(rule["rule_id"], rule["warning"]) for rule in rules] == [
        ("errors", None),
        ("latency", 9),
    ]
    unknown = command("rules", "--monitor", "chum")
    assert unknown.exit_code == 1
    assert "there are churn, flight_delay, flight_delayed" in unknown.stderr


@pytest.mark.parametrize(
    "arguments", [["rules"], ["rules", "test"], ["scorecard"]], ids=" ".join
)
def test_before_the_first_build_it_is_said_what_to_do(
    arguments: list[str], command: Command
) -> None:
    result = command(*arguments)

    assert result.exit_code == 1
    assert "run `driftline monitor`" in " ".join(result.stderr.split())


def test_the_scorecard_says_what_was_noticed_and_what_was_not(
    alerts: AlertWarehouse, command: Command
) -> None:
    alerts.execute(_SCORECARD)

    shown = command("scorecard").stdout

    assert "1 of 2 noticed, 1 in the right family" in shown
    assert "data quality null_rate of age" in row_of(shown, "obvious")
    assert "nobody" in row_of(shown, "subtle")


def test_the_scorecard_counts_alarms_while_nothing_was_injected(
    alerts: AlertWarehouse, command: Command
) -> None:
    alerts.execute(_SCORECARD)

    shown = command("scorecard").stdout

    row = row_of(shown, "psi_rise")
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "churn", "drift", "3", "1", "1.50", "psi_rise, slow_drift (of age, income)",
    ]  # fmt: skip
    assert "0.00" in row_of(shown, "data quality", "0.00")
    whole = json.loads(command("scorecard", "--json").stdout)
    assert whole["false_alarms"][1]["alarm_count"] == 3
    assert whole["detections"][0]["started_at"] == "2026-03-01T00:00:00+00:00"


def test_a_warehouse_without_simulation_has_alarms_only(
    alerts: AlertWarehouse, command: Command
) -> None:
    alerts.execute(_SCORECARD)
    alerts.execute("delete from marts.detection_scorecard")

    assert "Nothing was injected" in command("scorecard").stdout
