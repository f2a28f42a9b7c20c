"""What changed alert rules would have found, beside what today's rules found."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration import warehouse
from orchestration.alerting.rules import Replay, RulesError, compare, read_rules, replay
from orchestration.project import PROJECT_DIR, Dbt, DbtError
from orchestration.warehouse import ConnectionSettings

SEED = PROJECT_DIR / "seeds" / "alert_rules.csv"

Rules = list[dict[str, str]]


def query(settings: ConnectionSettings, statement: str) -> list[tuple[object, ...]]:
    with warehouse.connect(settings, autocommit=True) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def changed_rules(tmp_path: Path) -> Callable[[Callable[[Rules], Rules]], Path]:
    """Writes the project's rules with a change to another file."""

    def write(change: Callable[[Rules], Rules]) -> Path:
        path = tmp_path / "rules.csv"
        with SEED.open() as file:
            reader = csv.DictReader(file)
            rules = change(list(reader))
            names = list(reader.fieldnames or [])
        with path.open("w") as file:
            writer = csv.DictWriter(file, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rules)
        return path

    return write


def strict(rules: Rules) -> Rules:
    """A rule that fires for any null, and none that looks for invalid values."""
    kept = [rule for rule in rules if rule["rule_id"] != "invalid_rate"]
    (example,) = (rule for rule in rules if rule["rule_id"] == "unseen_rate")
    return [
        *kept,
        example
        | {
            "rule_id": "any_null",
            "metric": "null_rate",
            "roles": "feature",
            "warning": "-1",
            "critical": "",
        },
    ]


def test_the_same_rules_find_the_same_and_leave_nothing_behind(
    built_log: ConnectionSettings,
) -> None:
    relations = "select relnamespace::regnamespace::text, relname, oid from pg_class"
    before = query(built_log, relations)

    result = replay(built_log)

    assert len(result.rules) > 20
    for each in result.rules:
        assert each.window_count == each.new_window_count, each
        assert each.episode_count == each.new_episode_count, each
    assert result.incidents == ()
    assert result.incident_count == result.new_incident_count
    assert {*query(built_log, relations)} == {*before}


def test_changed_rules_are_compared_rule_by_rule_and_incident_by_incident(
    built_log: ConnectionSettings,
    changed_rules: Callable[[Callable[[Rules], Rules]], Path],
) -> None:
    result = replay(built_log, file=changed_rules(strict))

    found = [each for each in result.rules if each.rule_id == "any_null"]
    assert {each.window_count for each in found} == {0}
    assert sum(each.new_window_count for each in found) > 0
    assert sum(each.new_episode_count for each in found) > 0
    gone = [each for each in result.rules if each.rule_id == "invalid_rate"]
    assert {each.new_window_count for each in gone} == {0}
    assert any(each.is_new and "any_null" in each.rule_ids for each in result.incidents)
    # What is in force is what it was.
    with warehouse.connect(built_log) as connection:
        assert "any_null" not in {rule.rule_id for rule in read_rules(connection)}


def test_what_happened_before_or_to_others_is_left_out(
    built_log: ConnectionSettings,
) -> None:
    monitor = str(query(built_log, "select max(monitor) from marts.monitors")[0][0])

    def compared(**options: Any) -> Replay:
        # Today's rules with themselves.
        with warehouse.connect(built_log) as connection:
            return compare(connection, "intermediate", **options)

    everything = compared(since=None, monitor=None)
    chosen = compared(since=datetime(2100, 1, 1, tzinfo=UTC), monitor=monitor)

    assert {each.monitor for each in chosen.rules} == {monitor}
    assert len({each.monitor for each in everything.rules}) > 1
    assert any(each.window_count for each in everything.rules)
    assert not any(each.window_count for each in chosen.rules)


def test_a_rule_that_dbt_refuses_is_told_and_leaves_nothing_behind(
    built_log: ConnectionSettings,
    changed_rules: Callable[[Callable[[Rules], Rules]], Path],
) -> None:
    file = changed_rules(lambda rules: [rules[0] | {"metric": "typo"}])

    with pytest.raises(DbtError, match="'typo' is no figure of service_health"):
        replay(built_log, file=file)

    assert replays(built_log) == []


def test_a_file_with_other_columns_is_told(
    built_log: ConnectionSettings, tmp_path: Path
) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(SEED.read_text().replace("warning,", "warn,", 1))

    with pytest.raises(RulesError, match="lacks 'warning'; has the unknown 'warn'"):
        replay(built_log, file=file)
    with pytest.raises(RulesError, match="can't be read"):
        replay(built_log, file=tmp_path / "none.csv")


def test_a_monitor_that_is_unknown_is_told(built_log: ConnectionSettings) -> None:
    with pytest.raises(RulesError, match="no monitor 'typo' that has rules; there are"):
        replay(built_log, monitor="typo")


def test_what_a_killed_replay_left_is_dropped_by_the_next(
    built_log: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.connect(built_log, autocommit=True) as other:
        other.execute("create schema driftline_replay_left")
        other.execute("create schema driftline_replay_held")
        other.execute("select pg_advisory_lock(hashtext('driftline_replay_held'))")
        monkeypatch.setattr(Dbt, "build", _failing)

        with pytest.raises(ZeroDivisionError):
            replay(built_log)

        assert replays(built_log) == [("driftline_replay_held",)]
        other.execute("drop schema driftline_replay_held")


def replays(settings: ConnectionSettings) -> list[tuple[object, ...]]:
    return query(
        settings,
        "select nspname from pg_namespace where nspname like 'driftline%replay%'",
    )


def _failing(*_: object, **__: object) -> None:
    raise ZeroDivisionError
