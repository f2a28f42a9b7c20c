"""Scenario files: what they can say, and how they are refused."""

import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.durations import text_of
from simulator.incidents import KINDS
from simulator.levels import LEVELS, strengths
from simulator.scenarios import (
    Scenario,
    ScenarioError,
    named_scenario,
    parse_scenario,
)

CHECKOUT = Path(__file__).parents[2]

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


def test_the_default_scenario_is_a_story_of_eight_weeks() -> None:
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


def test_the_digest_of_what_could_always_be_said_stays() -> None:
    # Else a simulation that an earlier version began could not be continued.
    assert named_scenario("default").digest == (
        "fcf3741eb8af4e9f2c24cb2d35d7a673c14694d4e663eda5239c59ea317fa8ea"
    )


def test_the_catalogue_holds_every_kind_obvious_and_moderate_in_sixteen_weeks() -> None:
    incidents = named_scenario("catalogue").incidents

    assert Counter((each.kind, each.level) for each in incidents) == Counter(
        (kind, level) for kind in KINDS for level in ("obvious", "moderate")
    )
    assert min(each.start for each in incidents) >= timedelta(weeks=4)
    assert max(each.end for each in incidents) <= timedelta(weeks=16)


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
            "duration, id, kind, model, share, size, start.",
        ),
        (
            "    share: 0.5\n",
            "",
            "mine.yml, incident 'quiet': the key 'share' is missing; add it, or give a "
            "'size' instead of numbers.",
        ),
        (
            "kind: nulls",
            "kind: null",
            "mine.yml, incident 'quiet': the kind None is unknown; use one of "
            "bad_deployment, concept_change, duplicates, late_labels, "
            "latency_regression, lost_labels, new_category, nulls, out_of_range, "
            "outage, stuck_sensor, traffic_surge, unit_change.",
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


def test_random_is_drawn_by_the_seed_and_a_number_by_itself() -> None:
    assert named_scenario("random", seed=17) == named_scenario("random-17", seed=3)
    with pytest.raises(ScenarioError, match="'random-' with a number"):
        named_scenario("random")


SIZED = """
name: mine
incidents:
  - id: sized
    kind: {kind}
    size: {size}
    start: 1d
    {more}
"""


def sized(kind: str, size: str = "moderate", more: str = "") -> Scenario:
    text = SIZED.format(kind=kind, size=size, more=more)
    return parse_scenario(text, place="mine.yml")


def what_it_takes(kind: str) -> list[str]:
    """The keys that an incident of a kind and size needs besides, for each column."""
    if "version" in KINDS[kind].needs:
        return ['version: "2"\n    model: flight_delay']
    return [f"column: {name}" for name in strengths()[kind].columns] or [""]


def test_a_size_stands_for_the_numbers_of_its_level() -> None:
    by_size = sized("nulls", more="column: humidity").incidents[0]
    numbers = INCIDENT.replace("0.5", "0.1").replace("2h 30m", "3d")
    by_numbers = parse_scenario(numbers, place="mine.yml").incidents[0]

    assert (by_size.level, by_numbers.level) == ("moderate", None)
    assert replace(by_size, id="quiet", level=None) == by_numbers


def test_a_size_brings_what_its_column_takes() -> None:
    category = sized("new_category", more="column: carrier").incidents[0]
    own = sized("new_category", more="column: carrier\n    value: XX").incidents[0]
    deployed = sized("bad_deployment", more=what_it_takes("bad_deployment")[0])

    assert (category.value, own.value) == ("ZW", "XX")
    assert deployed.incidents[0].column == "dep_delay"
    assert deployed.incidents[0].factor == 0.25


def test_whatever_differs_in_an_incident_makes_another_simulation() -> None:
    obvious = sized("late_labels", "obvious")
    incident = obvious.incidents[0]
    others = [
        replace(incident, level=None),
        replace(incident, delay=timedelta(days=6)),
        replace(incident, minutes=1.0),
        replace(incident, share=0.1),
    ]

    digests = {replace(obvious, incidents=(other,)).digest for other in others}
    assert len(digests | {obvious.digest}) == 5


@pytest.mark.parametrize(
    ("kind", "size", "more", "message"),
    [
        (
            "nulls",
            "huge",
            "column: humidity",
            "'size' is 'huge'; use one of obvious, moderate, subtle.",
        ),
        (
            "nulls",
            "subtle",
            "column: humidity\n    share: 0.9",
            "'size' and 'share' both say how strong it is; leave one out.",
        ),
        (
            "nulls",
            "subtle",
            "column: dep_delay",
            "no size is known for nulls in 'dep_delay'; use one of humidity, "
            "temperature, visibility, wind_speed, or give numbers instead of 'size'.",
        ),
        ("nulls", "subtle", "", "the key 'column' is missing; add it."),
        (
            "nulls",
            "subtle",
            "column: humidity\n    duration: 2d",
            "'duration' is '2d', too short to be subtle; write at least 3d, or numbers "
            "instead of 'size'.",
        ),
        (
            "bad_deployment",
            "subtle",
            "model: flight_delay",
            "the key 'version' is missing; add it.",
        ),
        (
            "outage",
            "subtle",
            "column: humidity",
            "the key 'column' is unknown; use only duration, id, kind, model, share, "
            "size, start.",
        ),
    ],
)
def test_a_size_that_cannot_be_is_refused(
    kind: str, size: str, more: str, message: str
) -> None:
    with pytest.raises(ScenarioError) as refusal:
        sized(kind, size, more)

    assert str(refusal.value) == f"mine.yml, incident 'sized': {message}"


@pytest.mark.parametrize(
    ("kind", "numbers", "message"),
    [
        (
            "traffic_surge",
            "factor: 1",
            "'factor' is 1; write a number above 1, at most 20.",
        ),
        (
            "traffic_surge",
            "factor: 1000",
            "'factor' is 1000; write a number above 1, at most 20.",
        ),
        (
            "latency_regression",
            "factor: 0",
            "'factor' is 0; write a number above 0, at most 1e+06.",
        ),
        ("concept_change", "minutes: 2.5", "'minutes' is 2.5; write whole ones."),
        (
            "concept_change",
            "minutes: -5",
            "'minutes' is -5; write a number above 0, at most 1440.",
        ),
        (
            "late_labels",
            "delay: 0d\n    share: 0.5",
            "'delay' is '0d'; write a time such as 12d 6h 30m.",
        ),
        (
            "late_labels",
            "share: 0.5",
            "the key 'delay' is missing; add it, or give a 'size' instead of numbers.",
        ),
        (
            "out_of_range",
            "column: humidity\n    value: high\n    share: 0.5",
            "'value' is 'high'; write a number above -1e+09, at most 1e+09.",
        ),
        (
            "stuck_sensor",
            "column: carrier\n    share: 0.5",
            "'column' is 'carrier'; use one of dep_delay, distance, scheduled_hour, "
            "temperature, dew_point, humidity, wind_speed, precipitation, pressure, "
            "visibility.",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    kind: str, numbers: str, message: str
) -> None:
    text = SIZED.format(kind=kind, size="", more=f"duration: 2d\n    {numbers}")

    with pytest.raises(ScenarioError) as refusal:
        parse_scenario(text.replace("    size: \n", ""), place="mine.yml")

    assert str(refusal.value) == f"mine.yml, incident 'sized': {message}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_kind_has_every_size_wherever_it_is_said_to_mean_something(
    kind: str, level: str
) -> None:
    for more in what_it_takes(kind):
        incident = sized(kind, level, more).incidents[0]

        assert incident.level == level
        assert incident.size
        assert incident.description.endswith(".")
        # At least two whole windows of a day lie within three days.
        is_seen_by_day = incident.family != "service_health"
        assert incident.duration >= timedelta(days=3 if is_seen_by_day else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_in_order(kind: str) -> None:
    levels = [
        sized(kind, level, what_it_takes(kind)[0]).incidents[0] for level in LEVELS
    ]
    shares = [each.share for each in levels]
    factors = [abs(math.log(each.factor)) for each in levels]
    others = [(each.minutes, each.delay) for each in levels]

    assert shares == sorted(shares, reverse=True)
    assert factors == sorted(factors, reverse=True)
    assert others == sorted(others, reverse=True)
    assert len(set(zip(shares, factors, others, strict=True))) == 3


def test_a_stuck_weather_sensor_shows_in_quality_since_weather_always_drifts() -> None:
    of_distance = sized("stuck_sensor", more="column: distance").incidents[0]

    assert of_distance.family == "drift"
    assert replace(of_distance, column="pressure").family == "data_quality"


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_lists_every_size_as_it_is(kind: str) -> None:
    lines = (CHECKOUT / "docs" / "scenarios.md").read_text().splitlines()
    cells = [f"`{kind}`"]
    for level in LEVELS:
        incident = sized(kind, level, what_it_takes(kind)[0]).incidents[0]
        cells.append(f"{incident.size}; {text_of(incident.duration)}")

    assert f"| {' | '.join(cells)} |" in lines
    assert f"### {kind}" in lines
