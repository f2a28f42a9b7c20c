"""What each kind of incident does to the rows, and what it leaves alone."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from simulator.flights import FlightHistory
from simulator.records import Label, LoggedPrediction
from simulator.replay import Plan
from simulator.scenarios import Scenario

Pairs = list[tuple[LoggedPrediction, LoggedPrediction]]
During = Callable[[str], Callable[[LoggedPrediction], bool]]


@pytest.fixture(scope="module")
def pairs(rows: Any, calm: Any) -> Pairs:
    """Each prediction under every kind of incident, beside the same one without."""
    harmed: dict[str, LoggedPrediction] = {}
    for row in rows.predictions:
        # What is logged twice comes first as it would anyway.
        harmed.setdefault(row.prediction_id, row)
    return [(harmed[row.prediction_id], row) for row in calm.predictions]


@pytest.fixture(scope="module")
def during(
    pairs: list[tuple[LoggedPrediction, LoggedPrediction]],
    week: Plan,
    every_kind: Scenario,
) -> During:
    """Whether a prediction falls into an incident of a name, and is of its model."""
    incidents = {incident.id: incident for incident in every_kind.incidents}

    def of(name: str) -> Callable[[LoggedPrediction], bool]:
        incident = incidents[name]
        start = week.served_from + incident.start
        return lambda row: (
            incident.touches(row.model_name)
            and start <= row.predicted_at < start + incident.duration
        )

    return of


def feature(row: LoggedPrediction, name: str) -> Any:
    return orjson.loads(row.features)[name]


def test_nothing_differs_outside_of_incidents(
    pairs: Pairs, during: During, every_kind: Scenario
) -> None:
    tests = [during(incident.id) for incident in every_kind.incidents]
    outside = [
        (harmed, calm)
        for harmed, calm in pairs
        if not any(test(calm) for test in tests)
    ]

    assert len(outside) > 5_000
    assert all(harmed == calm for harmed, calm in outside)


def test_nulls_are_in_their_share_of_rows_at_their_time(
    pairs: Pairs, during: During
) -> None:
    inside = [harmed for harmed, _ in pairs if during("nulls")(harmed)]
    missing = [feature(row, "humidity") is None for row in inside]

    assert np.mean(missing) == pytest.approx(0.5, abs=0.08)
    assert {row.model_name for row in inside} == {
        "flight_delay",
        "flight_delayed",
        "flight_delay_band",
    }


def test_incidents_of_all_models_touch_the_same_requests_of_each(
    pairs: Pairs, during: During
) -> None:
    touched: dict[str, set[str]] = {}
    for row, _ in pairs:
        if during("nulls")(row) and feature(row, "humidity") is None:
            flight = row.prediction_id.split(":", 1)[1]
            touched.setdefault(row.model_name, set()).add(flight)

    assert len(touched) == 3
    assert touched["flight_delay"] == touched["flight_delayed"]
    assert touched["flight_delay"] == touched["flight_delay_band"]


def test_a_unit_changes_for_its_model_only_and_moves_its_predictions(
    pairs: Pairs, during: During
) -> None:
    inside = [pair for pair in pairs if during("kilometres")(pair[1])]

    assert {row.model_name for row, _ in inside} == {"flight_delay"}
    for harmed, calm in inside:
        expected = round(feature(calm, "distance") * 1.609344, 2)
        assert feature(harmed, "distance") == pytest.approx(expected, abs=0.011)
    assert any(harmed.prediction != calm.prediction for harmed, calm in inside)


def test_a_new_category_takes_its_share(pairs: Pairs, during: During) -> None:
    inside = [harmed for harmed, _ in pairs if during("carrier")(harmed)]
    unknown = [feature(row, "carrier") == "ZW" for row in inside]

    assert np.mean(unknown) == pytest.approx(0.25, abs=0.06)


def test_a_latency_regression_multiplies_latencies(
    pairs: Pairs, during: During
) -> None:
    inside = [pair for pair in pairs if during("slow")(pair[1])]

    assert inside
    for harmed, calm in inside:
        assert harmed.latency_ms is not None and calm.latency_ms is not None
        assert harmed.latency_ms == pytest.approx(10 * calm.latency_ms, abs=0.01)


def test_in_an_outage_most_requests_fail_without_a_prediction(
    pairs: Pairs, during: During
) -> None:
    inside = [harmed for harmed, _ in pairs if during("outage")(harmed)]
    failed = [row for row in inside if row.status_code == 503]

    assert 0.75 < len(failed) / len(inside) < 1
    for row in failed:
        assert row.prediction is None
        assert row.error == "upstream timed out after 1000 ms"
        assert row.latency_ms is not None and row.latency_ms > 1000


def test_errors_outside_of_outages_are_rare(calm: Any) -> None:
    failed = [row for row in calm.predictions if row.status_code != 200]

    assert 0 < len(failed) < 0.002 * len(calm.predictions)
    assert all(
        row.status_code == 500 and row.error and row.prediction is None
        for row in failed
    )


def test_a_bad_version_serves_a_canary_then_all_then_nothing(
    pairs: Pairs, during: During, week: Plan
) -> None:
    inside = [harmed for harmed, _ in pairs if during("version-2")(harmed)]
    everywhere_from = week.served_from + timedelta(days=5)
    canary = [
        row.model_version == "2" for row in inside if row.predicted_at < everywhere_from
    ]
    everywhere = [
        row.model_version == "2"
        for row in inside
        if row.predicted_at >= everywhere_from
    ]

    assert np.mean(canary) == pytest.approx(0.1, abs=0.05)
    assert all(everywhere)
    versions_outside = {
        row.model_version for row, _ in pairs if not during("version-2")(row)
    }
    assert versions_outside == {"1"}


def test_a_bad_version_validates_well_and_serves_badly(
    rows: Any, pairs: Pairs, during: During
) -> None:
    actual = {label.prediction_id: orjson.loads(label.actual) for label in rows.labels}

    def recall(predicted: list[tuple[Any, str | None]]) -> float:
        """Share of late flights that were called late."""
        hits = [
            orjson.loads(prediction)["label"] == "true"
            for outcome, prediction in predicted
            if outcome == "true" and prediction is not None
        ]
        assert len(hits) > 50
        return float(np.mean(hits))

    validated = recall(
        [
            (orjson.loads(row.actual), row.prediction)
            for row in rows.baseline
            if row.model_version == "2" and row.actual is not None
        ]
    )
    inside = [pair for pair in pairs if pair[0].model_version == "2"]
    served = recall(
        [(actual.get(row.prediction_id), row.prediction) for row, _ in inside]
    )
    sound = recall(
        [(actual.get(row.prediction_id), row.prediction) for _, row in inside]
    )
    # The features that are logged are right: only the service misreads them.
    assert all(harmed.features == calm.features for harmed, calm in inside)
    assert validated > 0.6
    assert sound > 0.5
    assert served < 0.2


def test_nothing_is_asked_or_labelled_otherwise_outside_of_incidents(
    rows: Any, calm: Any, pairs: Pairs, during: During
) -> None:
    usual = {row.prediction_id: row for row in calm.predictions}
    counts = Counter(row.prediction_id for row in rows.predictions)
    again = [usual[name] for name in counts if name in usual and counts[name] > 1]
    assert all(during("twice")(row) for row in again)
    assert all(
        during("surge")(row)
        for row in rows.predictions
        if row.prediction_id not in usual
    )

    relabelled = set(rows.labels) ^ set(calm.labels)
    assert {label.prediction_id for label in relabelled} <= {
        row.prediction_id
        for row in rows.predictions
        if any(during(name)(row) for name in ("lost", "concept", "surge", "late"))
    }


def test_a_stuck_sensor_keeps_the_last_value_in_its_share(
    rows: Any, pairs: Pairs, during: During, week: Plan, history: FlightHistory
) -> None:
    start = week.served_from + timedelta(days=2, hours=12)
    before = history.between(week.served_from, start)["dep_delay"].dropna().iloc[-1]
    inside = [pair for pair in pairs if during("stuck")(pair[1])]
    stuck = [feature(harmed, "dep_delay") == before for harmed, _ in inside]

    assert np.mean(stuck) == pytest.approx(0.5, abs=0.06)
    assert all(
        harmed.features == calm.features
        for (harmed, calm), is_stuck in zip(inside, stuck, strict=True)
        if not is_stuck
    )
    assert any(harmed.prediction != calm.prediction for harmed, calm in inside)
    recorded = {row.incident_id: row.description for row in rows.incidents}
    assert recorded["stuck"] == (
        f"dep_delay stays at {before:g}, its last value, in 50% of requests."
    )


def test_a_value_out_of_range_takes_its_share(pairs: Pairs, during: During) -> None:
    inside = [pair for pair in pairs if during("range")(pair[1])]
    broken = [feature(harmed, "humidity") == 999 for harmed, _ in inside]

    assert np.mean(broken) == pytest.approx(0.3, abs=0.08)
    assert all(
        harmed.features == calm.features
        for (harmed, calm), is_broken in zip(inside, broken, strict=True)
        if not is_broken
    )


def test_a_surge_asks_again_in_the_same_minute_under_other_names(
    rows: Any, calm: Any, during: During
) -> None:
    usual = {row.prediction_id: row for row in calm.predictions}
    inside = [row for row in calm.predictions if during("surge")(row)]
    more = [row for row in rows.predictions if row.prediction_id not in usual]
    asked = Counter(row.prediction_id.rpartition(":")[0] for row in more)

    # 2.5 times as many: each once more, and half of them twice more.
    assert set(asked) == {row.prediction_id for row in inside}
    assert len({row.prediction_id for row in more}) == len(more)
    assert Counter(asked.values()).keys() == {1, 2}
    assert len(more) / len(inside) == pytest.approx(1.5, abs=0.06)
    for row in more:
        first = usual[row.prediction_id.rpartition(":")[0]]
        assert row.predicted_at.replace(
            second=0, microsecond=0
        ) == first.predicted_at.replace(second=0, microsecond=0)
        assert row.features == first.features
        assert row.prediction == first.prediction
        assert row.latency_ms != first.latency_ms


def test_latencies_of_a_surge_are_as_usual(
    rows: Any, calm: Any, during: During
) -> None:
    usual = {row.prediction_id: row for row in calm.predictions}
    before = np.log(
        [row.latency_ms for row in calm.predictions if during("surge")(row)]
    )
    more = np.log(
        [row.latency_ms for row in rows.predictions if row.prediction_id not in usual]
    )

    assert more.mean() == pytest.approx(before.mean(), abs=0.08)
    assert more.std() == pytest.approx(before.std(), rel=0.15)


def test_every_request_of_a_surge_gets_the_label_of_its_flight(
    rows: Any, calm: Any
) -> None:
    usual = {row.prediction_id for row in calm.predictions}
    labels = {label.prediction_id: label for label in rows.labels}
    more = [
        row.prediction_id for row in rows.predictions if row.prediction_id not in usual
    ]

    assert sum(name in labels for name in more) > 0.8 * len(more)
    for name in more:
        first = labels.get(name.rpartition(":")[0])
        assert labels.get(name) == (first and first._replace(prediction_id=name))


def test_duplicates_are_the_same_answer_some_seconds_later(
    rows: Any, calm: Any, during: During
) -> None:
    inside = [row for row in calm.predictions if during("twice")(row)]
    logged: dict[str, list[LoggedPrediction]] = {}
    for row in rows.predictions:
        logged.setdefault(row.prediction_id, []).append(row)
    twice = [
        logged[row.prediction_id]
        for row in inside
        if len(logged[row.prediction_id]) > 1
    ]

    assert len(twice) / len(inside) == pytest.approx(0.3, abs=0.05)
    for first, second in twice:
        wait = second.predicted_at - first.predicted_at
        assert timedelta(seconds=1) <= wait <= timedelta(seconds=30)
        assert second.latency_ms != first.latency_ms
        assert second == first._replace(
            predicted_at=second.predicted_at, latency_ms=second.latency_ms
        )
    labelled = Counter(label.prediction_id for label in rows.labels)
    assert set(labelled.values()) == {1}


@pytest.fixture(scope="module")
def relabelled(
    rows: Any, calm: Any, during: During
) -> Callable[[str], list[tuple[Label | None, Label]]]:
    """The labels of an incident's predictions, beside those without it."""

    def of(name: str) -> list[tuple[Label | None, Label]]:
        inside = {row.prediction_id for row in calm.predictions if during(name)(row)}
        labels = {label.prediction_id: label for label in rows.labels}
        return [
            (labels.get(label.prediction_id), label)
            for label in calm.labels
            if label.prediction_id in inside
        ]

    return of


Relabelled = Callable[[str], list[tuple[Label | None, Label]]]


def test_a_concept_change_moves_what_comes_true_and_nothing_else(
    relabelled: Relabelled, pairs: Pairs, during: During, week: Plan
) -> None:
    labels = relabelled("concept")

    assert len(labels) > 500
    for harmed, calm in labels:
        observed_at = calm.observed_at + timedelta(minutes=45)
        assert harmed == calm._replace(
            actual=str(int(calm.actual) + 45), observed_at=observed_at
        )
    assert all(harmed == calm for harmed, calm in pairs if during("concept")(calm))


def test_late_labels_are_the_same_labels_late(
    relabelled: Relabelled, week: Plan
) -> None:
    labels = relabelled("late")
    delay = timedelta(days=1, hours=12)
    late = [harmed is None or harmed != calm for harmed, calm in labels]

    assert np.mean(late) == pytest.approx(0.5, abs=0.06)
    for (harmed, calm), is_late in zip(labels, late, strict=True):
        if is_late:
            observed_at = calm.observed_at + delay
            assert harmed == (
                calm._replace(observed_at=observed_at)
                if observed_at < week.served_until
                else None
            )
    # Some have arrived, and some are still to come.
    assert {
        harmed is None
        for (harmed, _), is_late in zip(labels, late, strict=True)
        if is_late
    } == {True, False}


def test_lost_labels_never_come(relabelled: Relabelled) -> None:
    labels = relabelled("lost")

    assert np.mean([harmed is None for harmed, _ in labels]) == pytest.approx(
        0.4, abs=0.06
    )
    assert all(harmed in (None, calm) for harmed, calm in labels)


def test_incidents_are_recorded_with_what_they_touch(rows: Any, week: Plan) -> None:
    recorded = {row.incident_id: row for row in rows.incidents}

    assert {name: row.family for name, row in recorded.items()} == {
        "nulls": "data_quality",
        "kilometres": "drift",
        "carrier": "data_quality",
        "slow": "service_health",
        "outage": "service_health",
        "version-2": "model_performance",
        "lost": "model_performance",
        "stuck": "drift",
        "range": "data_quality",
        "concept": "model_performance",
        "surge": "service_health",
        "twice": "data_quality",
        "late": "model_performance",
    }
    nulls = recorded["nulls"]
    assert (nulls.model_name, nulls.column_name) == (None, "humidity")
    assert nulls.started_at == week.served_from + timedelta(hours=12)
    assert nulls.ended_at == week.served_from + timedelta(hours=18)
    assert (nulls.size, nulls.level) == ("50% of values", None)
    assert nulls.description == "humidity is null in 50% of requests."
    assert recorded["twice"].column_name == "prediction_id"
    version = recorded["version-2"]
    assert (version.model_name, version.model_version) == ("flight_delayed", "2")
