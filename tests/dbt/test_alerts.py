"""What rules find, and how it becomes incidents, is what plain Python finds."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from tests.dbt.recomputed import agrees
from tests.dbt.recomputed.alerts import (
    Watched,
    episodes,
    evaluated_monitors,
    incidents,
)

Blocks = Sequence[Mapping[str, Any]]
KEYS = (
    *("monitor", "rule_id", "model_version", "segment", "segment_value"),
    *("column_name", "grain"),
)


def rows(settings: ConnectionSettings, query: str) -> list[dict[str, Any]]:
    with (
        warehouse.connect(settings) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        cursor.execute(query.encode())
        return cursor.fetchall()


def assert_evaluations(settings: ConnectionSettings, blocks: Blocks) -> list[Watched]:
    """Compare every evaluation, episode and incident with those of plain Python."""
    monitors = evaluated_monitors(settings, blocks)
    stored = {
        (*(row[name] for name in KEYS), row["window_start"]): row
        for row in rows(settings, "select * from intermediate.int_rule_evaluations")
    }
    expected = {
        (watched.name, *series, window.start): window
        for watched in monitors
        for series, windows in watched.evaluations.items()
        for window in windows
    }
    found = [f"missing {key}" for key in expected.keys() - stored.keys()]
    found += [f"extra {key}" for key in stored.keys() - expected.keys()]
    for key in expected.keys() & stored.keys():
        window, row = expected[key], stored[key]
        figures = {
            "severity": window.severity,
            "value": window.value,
            "is_provisional": not window.is_settled,
            "window_end": window.end,
        }
        if window.severity is not None:
            figures |= {
                "expected": window.expected,
                "warning_bound": window.bounds[0],
                "critical_bound": window.bounds[1],
                "reason": None,
            }
        elif row["reason"] is None:
            found.append(f"{key}: nobody says why it was not judged")
        found += [
            f"{key}: {name} is {row[name]!r}, not {value!r}"
            for name, value in figures.items()
            if not agrees(row[name], value)
        ]
    assert not found, "\n".join([f"{len(found)} differences", *sorted(found)[:20]])
    assert_episodes(settings, monitors)
    return monitors


def assert_episodes(settings: ConnectionSettings, monitors: Sequence[Watched]) -> None:
    stored = {
        (*(row[name] for name in KEYS), row["started_at"]): row
        for row in rows(settings, "select * from intermediate.int_alert_episodes")
    }
    expected = {
        (watched.name, *episode.series, episode.started_at): episode
        for watched in monitors
        for episode in episodes(watched)
    }
    assert stored.keys() == expected.keys()
    for key, episode in expected.items():
        row = stored[key]
        assert {
            "opened_at": row["opened_at"],
            "closed_at": row["closed_at"],
            "end_reason": row["end_reason"],
            "severity": row["severity"],
            "alert_count": row["alert_count"],
            "last_alert_at": row["last_alert_at"],
        } == {
            "opened_at": episode.opened_at,
            "closed_at": episode.closed_at,
            "end_reason": episode.end_reason,
            "severity": max(window.severity or 0 for window in episode.fired),
            "alert_count": len(episode.fired),
            "last_alert_at": episode.fired[-1].end,
        }, key

    together = {
        frozenset(
            (watched.name, *episode.series, episode.started_at) for episode in incident
        )
        for watched in monitors
        for incident in incidents(watched)
    }
    by_incident: dict[str, set[tuple[object, ...]]] = {}
    for key, row in stored.items():
        by_incident.setdefault(row["incident_id"], set()).add(key)
    assert {frozenset(keys) for keys in by_incident.values()} == together
    assert_incidents(settings, by_incident, stored)


def assert_incidents(
    settings: ConnectionSettings,
    by_incident: Mapping[str, set[tuple[object, ...]]],
    stored: Mapping[tuple[object, ...], Mapping[str, Any]],
) -> None:
    """The mart, and the alerts that belong to each incident."""
    shown = {
        row["incident_id"]: row
        for row in rows(settings, "select * from marts.incidents")
    }
    counts: dict[str, int] = {}
    for alert in rows(settings, "select * from marts.alerts"):
        assert (alert["incident_id"] is None) == (alert["status"] == "pending")
        if alert["incident_id"] is not None:
            counts[alert["incident_id"]] = counts.get(alert["incident_id"], 0) + 1
    assert shown.keys() == by_incident.keys() == counts.keys()
    for incident_id, keys in by_incident.items():
        own = [stored[key] for key in keys]
        row = shown[incident_id]
        closings = [each["closed_at"] for each in own]
        assert row["alert_count"] == counts[incident_id]
        assert row["started_at"] == min(each["started_at"] for each in own)
        assert row["opened_at"] == min(each["opened_at"] for each in own)
        assert row["closed_at"] == (None if None in closings else max(closings))
        assert row["state"] == ("open" if None in closings else "resolved")
        worst = max(each["severity"] for each in own)
        assert row["severity"] == ("critical" if worst == 2 else "warning")
        assert row["families"] == sorted({each["family"] for each in own})
        assert row["rule_ids"] == sorted({each["rule_id"] for each in own})


def test_evaluations_of_the_small_log_are_those_of_plain_python(
    built_log: ConnectionSettings, monitor_blocks: list[dict[str, object]]
) -> None:
    monitors = assert_evaluations(built_log, monitor_blocks)

    assert any(watched.evaluations for watched in monitors)
