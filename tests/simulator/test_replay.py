"""The whole replay: its days, its rows, and running it again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import psycopg
import pytest

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.flights import FEATURES, FlightHistory
from simulator.loading import LoadCounts, claim_simulation, create_raw_schema
from simulator.outcomes import band, is_late
from simulator.replay import (
    Plan,
    ReplayError,
    ReplayOptions,
    ReplayResult,
    expected_rows,
    plan_replay,
    replay,
    simulate,
)
from simulator.scenarios import Scenario, named_scenario

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CALM = named_scenario("none")


def test_a_shifted_replay_ends_yesterday_on_the_right_weekdays() -> None:
    plan = plan_replay(ReplayOptions(scenario=CALM), now=NOW)

    assert plan.served_until + plan.shift == datetime(2026, 11, 23, tzinfo=UTC)
    assert plan.shift % timedelta(weeks=1) == timedelta(0)
    served = plan.served_until - plan.served_from
    assert timedelta(weeks=8) <= served < timedelta(weeks=9)


@pytest.mark.parametrize("days", range(8))
def test_whatever_the_weekday_it_ends_yesterday(days: int) -> None:
    now = NOW + timedelta(days=days)
    plan = plan_replay(ReplayOptions(scenario=CALM), now=now)

    yesterday = plan.served_until + plan.shift - timedelta(days=1)
    assert yesterday.date() == now.date() - timedelta(days=1)


def test_an_unshifted_replay_keeps_2013_and_its_weeks() -> None:
    options = ReplayOptions(scenario=CALM, weeks=2, is_shifted=False)
    plan = plan_replay(options, now=NOW)

    assert plan.shift == timedelta(0)
    assert plan.served_from == datetime(2013, 2, 19, tzinfo=UTC)
    assert plan.served_until == datetime(2013, 3, 5, tzinfo=UTC)


def test_a_later_run_continues_with_the_shift_of_the_first() -> None:
    options = ReplayOptions(scenario=CALM)
    first = plan_replay(options, now=NOW)
    later = plan_replay(options, now=NOW + timedelta(days=30), held=first.simulation())

    assert later.shift == first.shift
    assert later.served_from == first.served_from
    assert later.served_until == first.served_until + timedelta(days=30)


def test_when_the_recorded_year_is_over_a_run_adds_no_more() -> None:
    options = ReplayOptions(scenario=CALM)
    first = plan_replay(options, now=NOW)
    later = plan_replay(
        options, now=NOW + timedelta(days=1000), held=first.simulation()
    )

    assert later.served_until == datetime(2014, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 14},
        {"scenario": replace(CALM, name="other")},
        {"is_shifted": False},
    ],
)
def test_another_simulation_in_the_same_warehouse_is_refused(
    change: dict[str, Any],
) -> None:
    options = ReplayOptions(scenario=CALM)
    held = plan_replay(options, now=NOW).simulation()

    with pytest.raises(ReplayError, match=r"seed 13 and .*fresh database"):
        plan_replay(replace(options, **change), now=NOW, held=held)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weeks": 0}, "--weeks is 0; give 1 to 45."),
        ({"weeks": 46}, "--weeks is 46; give 1 to 45."),
        ({"end_date": date(2026, 11, 23)}, "--end-date 2026-11-23 is not over yet"),
        (
            {"end_date": date(2013, 1, 31), "is_shifted": False},
            "No day is left to serve until 2013-01-31: the models serve from "
            "2013-02-19.",
        ),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReplayError) as refusal:
        plan_replay(ReplayOptions(scenario=CALM, **options), now=NOW)

    assert str(refusal.value).startswith(message)


def test_the_end_date_is_the_last_day_served() -> None:
    options = ReplayOptions(scenario=CALM, end_date=date(2026, 6, 30))
    plan = plan_replay(options, now=NOW)

    assert plan.served_until + plan.shift == datetime(2026, 7, 1, tzinfo=UTC)


def test_the_same_plan_gives_the_same_rows(
    week: Plan, history: FlightHistory, rows: Any, collected: Callable[..., Any]
) -> None:
    assert collected(replay(week, history)) == rows


def test_another_seed_gives_other_rows(
    week: Plan, history: FlightHistory, calm: Any, collected: Callable[..., Any]
) -> None:
    other = collected(replay(replace(week, seed=14, scenario=CALM), history))

    assert len(other.predictions) == len(calm.predictions)
    assert other.predictions != calm.predictions


def test_a_plan_that_ends_later_gives_the_same_rows_and_more(
    week: Plan, history: FlightHistory, rows: Any, collected: Callable[..., Any]
) -> None:
    days = timedelta(days=2, hours=7)
    longer = collected(
        replay(replace(week, served_until=week.served_until + days), history)
    )

    assert set(rows.predictions) < set(longer.predictions)
    assert set(rows.labels) < set(longer.labels)
    assert rows.baseline == longer.baseline


def test_a_shift_moves_times_and_identifiers_and_nothing_else(
    week: Plan, history: FlightHistory, rows: Any, collected: Callable[..., Any]
) -> None:
    shift = timedelta(weeks=700)
    shifted = collected(replay(replace(week, shift=shift), history))

    for moved, kept in zip(shifted.predictions, rows.predictions, strict=True):
        assert moved.predicted_at == kept.predicted_at + shift
        assert moved[4:] == kept[4:]
    ids = {row.prediction_id for row in rows.predictions}
    assert ids.isdisjoint(row.prediction_id for row in shifted.predictions)


def test_every_flight_of_the_week_is_asked_once_of_each_model_in_order_of_time(
    week: Plan, history: FlightHistory, calm: Any
) -> None:
    rows = calm
    flights = history.between(week.served_from, week.served_until)
    by_model = Counter(row.model_name for row in rows.predictions)

    assert set(by_model.values()) == {len(flights)}
    assert len({row.prediction_id for row in rows.predictions}) == 3 * len(flights)
    for name in by_model:
        times = [row.predicted_at for row in rows.predictions if row.model_name == name]
        assert times == sorted(times)
        assert week.served_from <= times[0] and times[-1] < week.served_until


def test_features_are_flat_and_complete_with_null_for_what_is_missing(
    rows: Any,
) -> None:
    features = [orjson.loads(row.features) for row in rows.predictions]

    assert all(set(each) == set(FEATURES) for each in features)
    assert any(each["dep_delay"] is None for each in features)


def test_predictions_have_the_shape_of_their_task(rows: Any) -> None:
    classes = {
        "flight_delayed": {"false", "true"},
        "flight_delay_band": {"early", "on_time", "late", "very_late"},
    }
    for row in rows.predictions:
        if row.prediction is None:
            continue
        value = orjson.loads(row.prediction)
        if row.model_name == "flight_delay":
            assert isinstance(value, float)
            continue
        scores = value["scores"]
        assert set(scores) == classes[row.model_name]
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        assert scores[value["label"]] == max(scores.values())


def test_labels_come_after_the_prediction_and_before_the_end(
    rows: Any, week: Plan
) -> None:
    asked_at = {row.prediction_id: row.predicted_at for row in rows.predictions}

    assert rows.labels
    for label in rows.labels:
        assert asked_at[label.prediction_id] < label.observed_at < week.served_until


def test_cancelled_and_diverted_flights_never_get_a_label(
    calm: Any, week: Plan, history: FlightHistory
) -> None:
    rows = calm
    labelled = {label.prediction_id for label in rows.labels}
    cancelled = {
        row.prediction_id
        for row in rows.predictions
        if orjson.loads(row.features)["dep_delay"] is None
    }
    flights = history.between(week.served_from, week.served_until)
    landed = flights["landed_at"] < week.served_until

    assert cancelled and labelled.isdisjoint(cancelled)
    assert flights["arrival_delay"].isna().sum() > len(cancelled) / 3
    assert len(labelled) == len(rows.labels) == 3 * landed.sum()


def test_labels_of_the_three_models_agree(calm: Any) -> None:
    by_flight: dict[str, dict[str, Any]] = {}
    for label in calm.labels:
        model, flight = label.prediction_id.split(":", 1)
        by_flight.setdefault(flight, {})[model] = orjson.loads(label.actual)

    for actual in by_flight.values():
        minutes = actual["flight_delay"]
        assert actual["flight_delayed"] == ("true" if minutes > 15 else "false")
        expected = (
            "early"
            if minutes < -10
            else "on_time"
            if minutes <= 15
            else "late"
            if minutes <= 60
            else "very_late"
        )
        assert actual["flight_delay_band"] == expected


def test_bands_and_lateness_are_exact_at_their_edges() -> None:
    minutes = np.array([-11.0, -10, 15, 16, 60, 61])

    assert band(minutes) == [
        "early",
        "on_time",
        "on_time",
        "late",
        "late",
        "very_late",
    ]
    assert is_late(minutes) == ["false", "false", "false", "true", "true", "true"]


def test_the_baseline_is_what_each_version_predicted_before_it_served(
    rows: Any, week: Plan
) -> None:
    by_version: dict[tuple[str, str], list[Any]] = {}
    for row in rows.baseline:
        by_version.setdefault((row.model_name, row.model_version), []).append(row)
    deployed_at: dict[tuple[str, str], datetime] = {}
    for each in rows.deployments:
        key = (each.model_name, each.model_version)
        deployed_at[key] = min(deployed_at.get(key, each.deployed_at), each.deployed_at)

    assert set(by_version) == set(deployed_at)
    assert ("flight_delayed", "2") in by_version
    for key, validated in by_version.items():
        times = [row.predicted_at for row in validated]
        assert deployed_at[key] - timedelta(weeks=3) <= min(times)
        assert max(times) < deployed_at[key]
        assert len({row.prediction_id for row in validated}) == len(validated)
        labelled = sum(row.actual is not None for row in validated)
        assert 0.8 < labelled / len(validated) < 1


def test_deployments_tell_the_canary_the_rollout_and_the_rollback(
    rows: Any, week: Plan
) -> None:
    told = [
        (each.model_version, each.deployed_at - week.served_from, each.note)
        for each in rows.deployments
        if each.model_name == "flight_delayed"
    ]

    assert told == [
        ("1", timedelta(0), "First version."),
        ("2", timedelta(days=4), "Canary: 10% of requests."),
        ("2", timedelta(days=5), "All requests."),
        ("1", timedelta(days=6), "Rolled back from version 2."),
    ]


def test_what_lies_beyond_the_end_is_not_told_yet(
    week: Plan, history: FlightHistory, collected: Callable[..., Any]
) -> None:
    short = replace(week, served_until=week.served_from + timedelta(days=2))
    rows = collected(replay(short, history))

    assert [row.incident_id for row in rows.incidents] == [
        "nulls",
        "kilometres",
        "carrier",
        "lost",
    ]
    assert {row.model_version for row in rows.baseline} == {"1"}
    assert len(rows.deployments) == 3


def test_latencies_are_skewed_and_higher_in_busy_hours(rows: Any) -> None:
    latencies: dict[bool, list[float]] = {True: [], False: []}
    for row in rows.predictions:
        if row.model_name == "flight_delay" and row.status_code == 200:
            hour = orjson.loads(row.features)["scheduled_hour"]
            latencies[6 <= hour <= 18].append(row.latency_ms)
    busy = np.array(latencies[True])

    assert busy.min() > 0
    assert busy.mean() > np.median(busy)
    assert np.median(busy) > 1.1 * np.median(latencies[False])


# Into the warehouse


@pytest.fixture(scope="module")
def first_run(
    module_database: ConnectionSettings, history: FlightHistory, every_kind: Scenario
) -> ReplayResult:
    with warehouse.connect(module_database, autocommit=True) as connection:
        return simulate(
            connection,
            ReplayOptions(scenario=every_kind, weeks=1),
            history,
            now=NOW,
        )


def fetched(settings: ConnectionSettings, query: str) -> list[Any]:
    with warehouse.connect(settings) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_run_loads_every_row_and_counts_it(
    first_run: ReplayResult, module_database: ConnectionSettings
) -> None:
    assert not first_run.is_continuation
    assert first_run.served_until == datetime(2026, 11, 23, tzinfo=UTC)
    for table, counts in first_run.counts.items():
        stored = fetched(module_database, f"select count(*) from raw.{table}")
        assert counts == LoadCounts(loaded=stored[0][0])
        assert counts.loaded > 0
    assert {skill.metric for skill in first_run.skills} == {
        "mae",
        "roc_auc",
        "accuracy",
    }


def test_a_run_on_the_same_day_adds_nothing_and_one_on_a_later_day_only_what_is_new(
    first_run: ReplayResult,
    module_database: ConnectionSettings,
    history: FlightHistory,
    every_kind: Scenario,
    collected: Callable[..., Any],
) -> None:
    options = ReplayOptions(scenario=every_kind, weeks=1)
    with warehouse.connect(module_database, autocommit=True) as connection:
        again = simulate(connection, options, history, now=NOW + timedelta(hours=9))
        later = NOW + timedelta(days=9)
        progress: list[tuple[int, int]] = []
        continued = simulate(
            connection,
            options,
            history,
            now=later,
            progress=lambda done, total: progress.append((done, total)),
        )

    assert again.is_continuation
    for table, counts in again.counts.items():
        assert counts == LoadCounts(duplicates=first_run.counts[table].loaded)
    assert continued.served_until == datetime(2026, 12, 2, tzinfo=UTC)
    assert continued.counts["prediction_logs"].loaded > 0
    assert continued.counts["ground_truth"].loaded > 0
    assert continued.counts["baseline_logs"].loaded == 0
    assert progress[-1][0] == pytest.approx(progress[-1][1], rel=0.01)

    # What two runs brought is what one run on the later day would have brought.
    held = plan_replay(options, now=NOW).simulation()
    plan = plan_replay(options, now=later, held=held)
    whole = collected(replay(plan, history))
    stored = fetched(
        module_database,
        "select prediction_id, predicted_at, latency_ms from raw.prediction_logs",
    )
    assert set(stored) == {
        (row.prediction_id, row.predicted_at, row.latency_ms)
        for row in whole.predictions
    }
    labels = fetched(
        module_database, "select prediction_id, observed_at from raw.ground_truth"
    )
    assert Counter(labels) == Counter(
        (row.prediction_id, row.observed_at) for row in whole.labels
    )
    assert max(Counter(row[0] for row in stored).values()) == 2


def test_a_run_with_another_seed_is_refused_before_it_loads_anything(
    connection: psycopg.Connection, history: FlightHistory
) -> None:
    create_raw_schema(connection)
    options = ReplayOptions(scenario=CALM, weeks=1)
    claim_simulation(connection, plan_replay(options, now=NOW).simulation())

    with pytest.raises(ReplayError, match="already holds"):
        simulate(connection, replace(options, seed=14), history, now=NOW)

    assert connection.execute("select count(*) from raw.loads").fetchone() == (0,)


def test_the_expected_rows_are_the_rows(
    week: Plan, history: FlightHistory, rows: Any, calm: Any
) -> None:
    def count(rows: Any) -> int:
        return len(rows.predictions) + len(rows.labels) + len(rows.baseline)

    quiet = replace(week, scenario=CALM)
    assert expected_rows(quiet, history) == count(calm)
    assert expected_rows(week, history) == pytest.approx(count(rows), rel=0.005)
