"""What the alerting of `orchestration` reads of the marts, on marts that dbt built."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orchestration import warehouse
from orchestration.alerting.configuration import STANDARD_OUTPUT_ONLY
from orchestration.alerting.delivery import deliver, describe
from orchestration.alerting.incidents import (
    acknowledge,
    find_incident,
    mute,
    read_alerts,
    read_incidents,
)
from orchestration.alerting.rules import read_rules
from orchestration.alerting.scorecard import read_detections, read_false_alarms
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings


@pytest.fixture
def connection(copied_log: ConnectionSettings) -> psycopg.Connection:
    """A copy of the small log, with one incident that is open."""
    opened = warehouse.connect(copied_log, autocommit=True)
    # The log is old: nothing of it is open by itself.
    opened.execute("update intermediate.int_incidents set closed_at = null")
    return opened


def test_the_commands_find_every_column_that_they_read(
    connection: psycopg.Connection,
) -> None:
    incidents = read_incidents(connection)

    assert incidents
    for each in incidents[:5]:
        alerts = read_alerts(connection, each.incident_id)
        assert {alert.rule_id for alert in alerts} == {*each.rule_ids}
    assert read_rules(connection)
    assert read_false_alarms(connection)
    # Nothing was injected into the small log.
    assert read_detections(connection) == []


def test_an_acknowledgement_and_a_mute_show_at_once(
    connection: psycopg.Connection,
) -> None:
    incident = read_incidents(connection)[0]

    acknowledge(connection, incident.incident_id, by="ada", note="on it")
    mute(
        connection,
        incident.monitor,
        rule_id=None,
        column_name=None,
        until=datetime.now(UTC) + timedelta(hours=1),
        by="ada",
        note=None,
    )

    seen = find_incident(connection, incident.incident_id[:8])
    assert (seen.state, seen.acknowledged_by) == ("acknowledged", "ada")
    assert seen.acknowledged_note == "on it"
    assert seen.is_muted


def test_an_acknowledgement_follows_an_incident_that_gets_another_id(
    connection: psycopg.Connection,
) -> None:
    incident, *others = read_incidents(connection)
    acknowledge(connection, incident.incident_id, by="ada", note=None)

    # As when a late row opens an episode of it before.
    for table in ("int_incidents", "int_alert_episodes"):
        connection.execute(
            f"update intermediate.{table} set incident_id = 'ffffffffffff' "
            "where incident_id = %s",
            [incident.incident_id],
        )

    renamed = find_incident(connection, "ffffffffffff")
    assert (renamed.state, renamed.acknowledged_by) == ("acknowledged", "ada")
    assert {
        each.incident_id: each.state
        for each in read_incidents(connection)
        if each != renamed
    } == {each.incident_id: each.state for each in others}

    acknowledge(connection, "ffffffffffff", by="bob", note=None, is_undone=True)
    assert find_incident(connection, "ffffffffffff").state == "open"


def test_what_dbt_found_is_told_once_also_after_a_full_refresh(
    copied_log: ConnectionSettings,
    dbt_for: Callable[[ConnectionSettings], Dbt],
) -> None:
    told: list[str] = []

    def outcome() -> str:
        (each,) = deliver(
            copied_log,
            STANDARD_OUTPUT_ONLY,
            environ={},
            clock=lambda: datetime.now(UTC),
            write=told.append,
        )
        return describe(each)

    first = outcome()
    assert "stdout: nothing new." not in first
    assert outcome() == "stdout: nothing new."

    dbt_for(copied_log).build(
        [
            *("--select", "alert_rules+", "int_rule_evaluations+"),
            *("--exclude-resource-type", "test"),
            "--full-refresh",
        ]
    )

    assert outcome() == "stdout: nothing new."
