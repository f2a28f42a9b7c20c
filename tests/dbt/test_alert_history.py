"""Late labels, changed rules, a year of hours, failed tests: what alerts make of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestration import warehouse
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import assert_same_marts, read_marts
from tests.dbt.prediction_log import (
    START,
    Prediction,
    draw_predictions,
    insert_baseline,
    insert_labels,
    insert_predictions,
)
from tests.dbt.test_alerts import assert_evaluations, rows

Block = dict[str, Any]
ALERT_MODELS = (
    *("int_alert_rules", "int_rule_evaluations", "int_alert_episodes"),
    *("int_incidents", "alerts", "incidents", "detection_scorecard", "false_alarms"),
)
DAY = timedelta(days=1)


@pytest.fixture
def few_features(monitor_blocks: list[Block]) -> list[Block]:
    """The monitors, of three features."""
    for block in monitor_blocks:
        block |= {
            "features": {
                "dep_delay": "numerical",
                "humidity": "numerical",
                "carrier": "categorical",
            },
            "segments": [],
            "fairness": [],
        }
    return monitor_blocks


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    """Fourteen days. On the last four, humidity is never there."""
    drawn = draw_predictions(
        np.random.default_rng(11), model_name="flight_delayed", count=1400, days=14
    )
    return [
        replace(row, features={**row.features, "humidity": None})
        if row.predicted_at >= START + 10 * DAY
        else row
        for row in drawn
    ]


@pytest.fixture
def fortnight(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    predictions: list[Prediction],
    few_features: list[Block],
    target_path: Path,
) -> Iterator[tuple[ConnectionSettings, Dbt]]:
    """Its marts; of the sixth day no label has come."""
    with fresh_database() as settings:
        with warehouse.connect(settings) as connection:
            create_raw_schema(connection)
            insert_baseline(
                connection,
                draw_predictions(
                    np.random.default_rng(12),
                    model_name="flight_delayed",
                    count=600,
                    start=START - 20 * DAY,
                    prefix="b",
                ),
            )
            insert_predictions(connection, predictions)
            insert_labels(
                connection, [row for row in predictions if not is_of_day(row, 6)]
            )
        dbt = Dbt(settings, target_path=target_path)
        dbt.build(MODELS_ONLY, variables={"monitors": few_features})
        yield settings, dbt


def is_of_day(row: Prediction, day: int) -> bool:
    start = START + day * DAY
    return start <= row.predicted_at < start + DAY


def found(settings: ConnectionSettings) -> dict[tuple[str, str, object], str]:
    """What incidents are about: rule, column and first day, and their state."""
    return {
        (each["rule_id"], each["column_name"], each["started_at"]): each["state"]
        for each in rows(
            settings,
            """
            select episodes.rule_id, episodes.column_name, episodes.started_at,
                incidents.state
            from intermediate.int_alert_episodes as episodes
            inner join marts.incidents as incidents using (incident_id)
            where episodes.model_version = 'all'
            """,
        )
    }


def test_late_labels_close_an_old_incident_and_open_another(
    fortnight: tuple[ConnectionSettings, Dbt],
    predictions: list[Prediction],
    few_features: list[Block],
) -> None:
    settings, dbt = fortnight
    lost = ("label_coverage", "all", START + 6 * DAY)
    wrong = ("accuracy_collapse", "all", START + 7 * DAY)
    before = found(settings)
    assert before[lost] == "resolved"
    assert wrong not in before
    assert before["null_surge", "humidity", START + 10 * DAY] == "open"

    with warehouse.connect(settings) as connection:
        insert_labels(
            connection,
            [row for row in predictions if is_of_day(row, 6)],
            loaded_at=None,
        )
        # And those of the day after turn out to be the other way round.
        insert_labels(
            connection,
            [
                replace(row, actual="false" if row.actual == "true" else "true")
                for row in predictions
                if is_of_day(row, 7)
            ],
            loaded_at=None,
        )
    dbt.build(MODELS_ONLY, variables={"monitors": few_features})

    after = found(settings)
    assert lost not in after
    assert after[wrong] == "resolved"
    assert after["null_surge", "humidity", START + 10 * DAY] == "open"
    assert_evaluations(settings, few_features)
    refreshed = read_marts(settings)
    dbt.build([*MODELS_ONLY, "--full-refresh"], variables={"monitors": few_features})
    assert_same_marts(refreshed, read_marts(settings))


def test_late_labels_reopen_an_incident_that_was_over(
    fortnight: tuple[ConnectionSettings, Dbt],
    predictions: list[Prediction],
    few_features: list[Block],
) -> None:
    """The last day but one is all wrong and the last is not, until labels change."""
    settings, dbt = fortnight
    for block in few_features:
        del block["features"]["humidity"]

    def restated(day: int) -> dict[str, str]:
        with warehouse.connect(settings) as connection:
            insert_labels(
                connection,
                [
                    replace(row, actual="false" if row.actual == "true" else "true")
                    for row in predictions
                    if is_of_day(row, day)
                ],
                loaded_at=None,
            )
        dbt.build(MODELS_ONLY, variables={"monitors": few_features})
        return {
            each["incident_id"]: each["state"]
            for each in rows(settings, "select * from marts.incidents")
            if "accuracy_collapse" in each["rule_ids"]
        }

    over = restated(12)
    again = restated(13)

    assert [*over.values()] == ["resolved"]
    assert again == dict.fromkeys(over, "open")


def test_a_changed_rule_is_applied_to_all_history_and_nothing_else_is(
    fortnight: tuple[ConnectionSettings, Dbt], few_features: list[Block]
) -> None:
    settings, dbt = fortnight
    before = read_marts(settings)
    alerts = {
        "null_surge": False,
        "label_coverage": {"minimum_change": 2},
        "any_error": {
            "family": "service_health",
            "metric": "error_count",
            "method": "static",
            "grain": "day",
            "warning": 0,
        },
    }
    changed = [{**block, "alerts": alerts} for block in few_features]

    run = dbt.build(MODELS_ONLY, variables={"monitors": changed})

    assert run.messages == ("Driftline: nothing has arrived, no window was refreshed.",)
    after = read_marts(settings)
    rules = {key[1] for key in after["alerts"]}
    assert "any_error" in rules
    assert not {"null_surge", "label_coverage"} & rules
    alert_marts = {"int_rule_evaluations", "alerts", "incidents", "false_alarms"}
    assert_same_marts(
        *(
            {mart: marts[mart] for mart in marts if mart not in alert_marts}
            for marts in (after, before)
        )
    )
    assert_evaluations(settings, changed)
    dbt.build(MODELS_ONLY, variables={"monitors": few_features})
    assert_same_marts(read_marts(settings), before)


def test_a_year_of_hours_is_judged(
    copied_log: ConnectionSettings, dbt: Dbt, monitor_blocks: list[Block]
) -> None:
    """Of three monitors, by seasons and without: one window after the other."""
    with warehouse.connect(copied_log) as connection:
        connection.execute("delete from intermediate.int_service_health")
        connection.execute(
            """
            insert into intermediate.int_service_health
            select (jsonb_populate_record(
                null::intermediate.int_service_health,
                jsonb_build_object(
                    'monitor', monitors.name, 'model_version', 'all',
                    'segment', 'all', 'segment_value', 'all', 'grain', 'hour',
                    'window_start', hours.at,
                    'window_end', hours.at + interval '1 hour',
                    'request_count', counts.requests, 'known_count', counts.requests,
                    'latency_count', counts.requests, 'error_count', 0,
                    'slow_count', 0, 'error_rate', 0, 'availability', 1,
                    'error_severity', 1, 'slow_severity', 1,
                    'latency_p50_ms', counts.latency
                )
            )).*
            from unnest(array['flight_delay', 'flight_delayed', 'flight_delay_band'])
                with ordinality as monitors (name, place)
            cross join generate_series(0, 8735) as numbers (hour)
            cross join lateral (
                select timestamptz '2025-01-06 00:00:00+00'
                    + numbers.hour * interval '1 hour' as at
            ) as hours
            cross join lateral (
                select
                    -- A day's curve, and noise that is always the same.
                    round((
                        200 + 150 * sin(numbers.hour * 2 * pi() / 24)
                        + 20 * sin(numbers.hour * numbers.hour + monitors.place)
                    ) * case
                        when numbers.hour between 5000 and 5005 then 0.01 else 1
                    end) as requests,
                    20 + 2 * sin(numbers.hour * numbers.hour * monitors.place)
                    + case when numbers.hour between 7000 and 7010 then 60 else 0 end
                        as latency
            ) as counts
            where numbers.hour % 1000 != 999
            """
        )
        connection.commit()
    for block in monitor_blocks:
        block["alerts"] = {
            "hours_alike": {
                "family": "service_health",
                "metric": "latency_p50_ms",
                "method": "learned",
                "grain": "hour",
                "period": "7 days",
                "minimum_history": 24,
                "warning": 8,
            }
        }

    dbt.build(
        ["--select", *ALERT_MODELS, *MODELS_ONLY, "--full-refresh"],
        variables={"monitors": monitor_blocks},
    )

    assert_evaluations(copied_log, monitor_blocks)
    per_rule = {
        each["rule_id"]: (each["episode_count"], each["started_at"])
        for each in rows(
            copied_log,
            """
            select rule_id, count(*) as episode_count,
                extract(epoch from min(started_at) - '2025-01-06 00:00:00+00')::integer
                / 3600 as started_at
            from intermediate.int_alert_episodes
            where family = 'service_health'
            group by rule_id
            """,
        )
    }
    # The hour before had no request at all.
    assert per_rule["traffic_volume"] == (3, 4999)
    assert per_rule["latency_rise"] == (3, 7000)
    assert per_rule["hours_alike"] == (3, 7000)


def test_what_else_went_wrong_is_kept_for_incidents_to_name(
    copied_log: ConnectionSettings, dbt: Dbt, monitor_blocks: list[Block]
) -> None:
    monitor_blocks[0]["freshness"] = "2 hours"
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            insert into raw.prediction_logs (
                prediction_id, model_name, model_version, predicted_at, features,
                prediction
            )
            values ('stray', 'nobody_watches_it', '1', now(), '{}', '1')
            """
        )
        connection.commit()

    dbt.build(variables={"monitors": monitor_blocks})

    kept = {
        each["test_name"]: each
        for each in rows(copied_log, "select * from operations.failed_tests")
    }
    stray = kept["assert_logged_models_are_monitored"]
    assert (stray["status"], stray["failure_count"], stray["monitor"]) == (
        "warn",
        1,
        None,
    )
    stale = kept["freshness of flight_delay"]
    assert (stale["status"], stale["monitor"]) == ("critical", "flight_delay")
    assert stale["message"].startswith("there was no prediction for ")


def test_the_scorecard_needs_no_simulator(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    def scored() -> list[dict[str, Any]]:
        dbt.build(
            ["--select", "detection_scorecard", "false_alarms", *MODELS_ONLY],
        )
        return rows(copied_log, "select * from marts.detection_scorecard")

    assert scored() == []
    with warehouse.connect(copied_log) as connection:
        connection.execute("delete from intermediate.int_alert_episodes")
        connection.execute(
            """
            insert into raw.simulated_incidents
            values (
                'storm', 'test', 'nulls', 'flight_delay', null, 'humidity',
                '2026-03-03 06:00:00+00', '2026-03-05 00:00:00+00', 'data_quality',
                'much', 'No humidity.'
            )
            """
        )
        connection.execute(
            """
            insert into intermediate.int_alert_episodes (
                incident_id, monitor, rule_id, model_version, segment, segment_value,
                column_name, grain, family, metric, started_at, opened_at, severity,
                alert_count, last_alert_at, window_length
            )
            select
                'abc', 'flight_delay', rule_id, 'all', 'all', 'all', column_name, 'day',
                family, 'null_rate', started_at::timestamptz,
                started_at::timestamptz + interval '24 hours', 1, 1,
                started_at::timestamptz + interval '24 hours', interval '24 hours'
            from (
                values
                ('before', 'humidity', 'data_quality', '2026-03-02 00:00:00+00'),
                ('elsewhere', 'pressure', 'data_quality', '2026-03-03 00:00:00+00'),
                ('effect', 'humidity', 'drift', '2026-03-03 00:00:00+00'),
                ('cause', 'humidity', 'data_quality', '2026-03-04 00:00:00+00')
            ) as episodes (rule_id, column_name, family, started_at)
            """
        )
        connection.commit()

    (row,) = scored()
    assert (row["is_noticed"], row["is_right_family"]) == (True, True)
    assert (row["detected_rule_id"], row["delay_windows"]) == ("cause", 1)
    assert row["first_noticed_at"] == START + 2 * DAY
    assert row["visible_at"] == START + 2 * DAY
    assert row["delay_seconds"] == 42 * 3600
    alarms = {
        (each["monitor"], each["family"]): each
        for each in rows(copied_log, "select * from marts.false_alarms")
    }
    false = alarms["flight_delay", "data_quality"]
    assert (false["alarm_count"], false["rule_ids"]) == (1, ["before"])
    assert (false["day_count"], false["quiet_day_count"]) == (3, 1)

    with warehouse.connect(copied_log) as connection:
        connection.execute("drop table raw.simulated_incidents cascade")
        connection.commit()
    assert scored() == []
