"""Random scenarios, whatever the seed."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.incidents import KINDS, Incident
from simulator.levels import LEVELS, strengths
from simulator.random_incidents import GAP, HORIZON, LEAD_IN, QUIET
from simulator.scenarios import Scenario, ScenarioError, named_scenario
from simulator.serving import MODEL_NAMES

seeds = st.integers(min_value=0, max_value=10**12)


def drawn(seed: int) -> Scenario:
    return named_scenario(f"random-{seed}")


@given(seeds)
def test_a_seed_always_gives_the_same_scenario(seed: int) -> None:
    scenario = drawn(seed)

    assert scenario == drawn(seed)
    assert scenario.name == f"random-{seed}"
    assert scenario.digest != drawn(seed + 1).digest


@given(seeds)
def test_a_model_is_left_alone_at_first_and_between_its_incidents(seed: int) -> None:
    for name in MODEL_NAMES:
        own = sorted(
            (each for each in drawn(seed).incidents if each.touches(name)),
            key=lambda each: each.start,
        )
        assert own[0].start >= LEAD_IN
        assert own[-1].end <= HORIZON
        assert all(later.start - earlier.end >= GAP for earlier, later in pairwise(own))


@given(seeds)
def test_every_kind_happens_within_sixteen_weeks(seed: int) -> None:
    early = [
        each.kind for each in drawn(seed).incidents if each.end <= timedelta(weeks=16)
    ]

    assert set(early) == set(KINDS)


@given(seeds)
def test_no_kind_is_left_behind(seed: int) -> None:
    counts = Counter(each.kind for each in drawn(seed).incidents)

    assert max(counts.values()) - min(counts[kind] for kind in KINDS) <= 1


@given(seeds)
def test_every_kind_has_every_level_before_the_year_is_over(seed: int) -> None:
    levels = {(each.kind, each.level) for each in drawn(seed).incidents}

    assert levels == {(kind, level) for kind in KINDS for level in LEVELS}


@given(seeds)
def test_now_and_then_all_models_are_well_for_two_weeks(seed: int) -> None:
    incidents = sorted(drawn(seed).incidents, key=lambda each: each.start)
    quiet = []
    end = timedelta(0)
    for incident in incidents:
        quiet.append(incident.start - end)
        end = max(end, incident.end)

    assert sum(span >= QUIET for span in quiet) >= 3


@given(seeds)
def test_what_takes_hours_happens_while_there_is_traffic(seed: int) -> None:
    for incident in drawn(seed).incidents:
        if incident.duration < timedelta(days=1):
            into_the_day = incident.start % timedelta(days=1)
            assert into_the_day >= timedelta(hours=12)
            assert into_the_day + incident.duration <= timedelta(hours=20)


@given(seeds)
def test_columns_are_those_where_the_level_can_be_seen(seed: int) -> None:
    for incident in drawn(seed).incidents:
        known = strengths()[incident.kind]
        if known.columns:
            assert incident.column in known.columns


@given(seeds)
def test_incidents_are_numbered_in_order_of_time(seed: int) -> None:
    incidents: tuple[Incident, ...] = drawn(seed).incidents

    starts = [incident.start for incident in incidents]
    assert starts == sorted(starts)
    numbers = [int(incident.id.partition("-")[0]) for incident in incidents]
    assert numbers == list(range(1, len(incidents) + 1))


def test_seeds_differ_in_kinds_models_and_columns() -> None:
    firsts = {
        (first.kind, first.model, first.column, first.level)
        for first in (drawn(seed).incidents[0] for seed in range(40))
    }

    assert len(firsts) > 20


@pytest.mark.parametrize("name", ["random-", "random--1", "random-x"])
def test_a_seed_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match=rf"^The scenario {name} cannot be read"):
        named_scenario(name)
