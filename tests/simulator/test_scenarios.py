"""Scenario files and what their incidents do to the rows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from simulator.flights import FlightHistory
from simulator.records import LoggedPrediction
from simulator.replay import Plan, replay
from simulator.scenarios import (
    Scenario,
    ScenarioError,
    named_scenario,
    parse_scenario,
)

INCIDENT = """
name: mine
incidents:
  - id: quiet
    kind: nulls
    start: 1d
    duration: 2h 30m
    column: humidity
    share: 0.5
"""


@pytest.fixture(scope="module")
def calm(
    week: Plan, history: FlightHistory, collected: Callable[..., Any]
) -> list[LoggedPrediction]:
    """The predictions of the same week without incidents."""
    plan = replace(week, scenario=named_scenario("none"))
    predictions: list[LoggedPrediction] = collected(replay(plan, history)).predictions
    return predictions


@pytest.fixture(scope="module")
def pairs(
    rows: Any, calm: list[LoggedPrediction]
) -> list[tuple[LoggedPrediction, LoggedPrediction]]:
    """Each prediction under every kind of incident, beside the same one without."""
    assert [row.prediction_id for row in rows.predictions] == [
        row.prediction_id for row in calm
    ]
    return list(zip(rows.predictions, calm, strict=True))


@pytest.fixture(scope="module")
def during(
    pairs: list[tuple[LoggedPrediction, LoggedPrediction]],
    week: Plan,
    every_kind: Scenario,
) -> Callable[[str], Callable[[LoggedPrediction], bool]]:
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


Pairs = list[tuple[LoggedPrediction, LoggedPrediction]]
During = Callable[[str], Callable[[LoggedPrediction], bool]]


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


def test_errors_outside_of_outages_are_rare(calm: list[LoggedPrediction]) -> None:
    failed = [row for row in calm if row.status_code != 200]

    assert 0 < len(failed) < 0.002 * len(calm)
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


def test_incidents_are_recorded_with_what_they_touch(rows: Any, week: Plan) -> None:
    recorded = {row.incident_id: row for row in rows.incidents}

    assert {name: row.family for name, row in recorded.items()} == {
        "nulls": "data_quality",
        "kilometres": "drift",
        "carrier": "data_quality",
        "slow": "service_health",
        "outage": "service_health",
        "version-2": "model_performance",
    }
    nulls = recorded["nulls"]
    assert (nulls.model_name, nulls.column_name) == (None, "humidity")
    assert nulls.started_at == week.served_from + timedelta(hours=12)
    assert nulls.ended_at == week.served_from + timedelta(hours=18)
    assert nulls.size == "50% of values"
    version = recorded["version-2"]
    assert (version.model_name, version.model_version) == ("flight_delayed", "2")


def test_the_default_scenario_holds_one_incident_of_each_kind() -> None:
    kinds = [incident.kind for incident in named_scenario("default").incidents]

    assert sorted(kinds) == [
        "bad_deployment",
        "latency_regression",
        "new_category",
        "nulls",
        "outage",
        "unit_change",
    ]
    weeks = timedelta(weeks=8)
    assert all(each.end < weeks for each in named_scenario("default").incidents)


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(INCIDENT)

    scenario = named_scenario(str(path))

    assert scenario.name == "mine"
    assert scenario.incidents[0].duration == timedelta(hours=2, minutes=30)
    assert scenario.digest == parse_scenario(INCIDENT, place="elsewhere").digest
    other = parse_scenario(INCIDENT.replace("0.5", "0.6"), place="mine")
    assert scenario.digest != other.digest


def test_a_scenario_without_incidents_is_calm() -> None:
    assert parse_scenario("name: calm", place="calm.yml").incidents == ()
    assert named_scenario("none").incidents == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "share: 0.5",
            "shere: 0.5",
            "mine.yml, incident 'quiet': the key 'shere' is unknown; use only column, "
            "duration, id, kind, model, share, start.",
        ),
        (
            "    share: 0.5\n",
            "",
            "mine.yml, incident 'quiet': the key 'share' is missing; add it.",
        ),
        (
            "kind: nulls",
            "kind: null",
            "mine.yml, incident 'quiet': the kind None is unknown; use one of "
            "bad_deployment, latency_regression, new_category, nulls, outage, "
            "unit_change.",
        ),
        (
            "share: 0.5",
            "share: 50",
            "mine.yml, incident 'quiet': 'share' is 50; write a number above 0, at "
            "most 1.",
        ),
        (
            "share: 0.5",
            "share: .nan",
            "mine.yml, incident 'quiet': 'share' is nan; write a number above 0, at "
            "most 1.",
        ),
        (
            "start: 1d",
            "start: 1 day",
            "mine.yml, incident 'quiet': 'start' is '1 day'; write a time such as "
            "12d 6h 30m.",
        ),
        (
            "duration: 2h 30m",
            "duration: 0m",
            "mine.yml, incident 'quiet': 'duration' is '0m'; write a time such as "
            "12d 6h 30m.",
        ),
        (
            "column: humidity",
            "column: humidty",
            "mine.yml, incident 'quiet': 'column' is 'humidty'; use one of dep_delay, "
            "distance, scheduled_hour, temperature, dew_point, humidity, wind_speed, "
            "precipitation, pressure, visibility, carrier, origin, destination.",
        ),
        (
            "share: 0.5",
            "share: 0.5\n    model: churn",
            "mine.yml, incident 'quiet': 'model' is 'churn'; use one of flight_delay, "
            "flight_delayed, flight_delay_band.",
        ),
        (
            "id: quiet",
            "id: [quiet]",
            "mine.yml, incident 1 needs an 'id' of lower-case letters, digits, '-' and "
            "'_'.",
        ),
        ("name: mine", "nam: mine", "mine.yml: the key 'nam' is unknown"),
        ("incidents:", "incidents: 5\n#", "mine.yml"),
        ("name: mine", "name: 'Mine!'", "mine.yml: 'name' must be lower-case"),
        ("name: mine", "- name", "mine.yml is not YAML"),
    ],
)
def test_a_wrong_scenario_is_refused_in_a_sentence_with_a_remedy(
    old: str, new: str, message: str
) -> None:
    assert old in INCIDENT
    with pytest.raises(ScenarioError) as refusal:
        parse_scenario(INCIDENT.replace(old, new), place="mine.yml")

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": '"1"'}, "version '1' serves from the start; choose another."),
        (
            {"version": "2"},
            "'version' is 2; write a text, in quotes if it is a number.",
        ),
        (
            {"canary_duration": "3d"},
            "'canary_duration' exceeds 'duration'; shorten it.",
        ),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(
    changes: dict[str, str], message: str
) -> None:
    keys = {
        "id": "bad",
        "kind": "bad_deployment",
        "start": "1d",
        "duration": "2d",
        "model": "flight_delayed",
        "version": '"2"',
        "canary_share": "0.1",
        "canary_duration": "1d",
        "column": "dep_delay",
        "factor": "0.1",
    } | changes
    listed = "\n    ".join(f"{key}: {value}" for key, value in keys.items())
    text = f"name: mine\nincidents:\n  - {listed}\n"

    with pytest.raises(ScenarioError) as refusal:
        parse_scenario(text, place="mine.yml")

    assert str(refusal.value) == f"mine.yml, incident 'bad': {message}"


def test_an_id_used_twice_is_refused() -> None:
    twice = INCIDENT + INCIDENT.split("incidents:\n")[1]

    with pytest.raises(ScenarioError, match=r"'quiet': the id is used twice"):
        parse_scenario(twice, place="mine.yml")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"/nowhere/mine\.yml cannot be read"):
        named_scenario("/nowhere/mine.yml")
