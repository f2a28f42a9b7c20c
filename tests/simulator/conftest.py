"""Flights read once, and one small replay that several modules look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

import psycopg
import pytest

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.flights import FlightHistory, data_directory, read_flights
from simulator.loading import Deployment, SimulatedIncident
from simulator.records import BaselinePrediction, Label, LoggedPrediction, Target
from simulator.replay import Part, Plan, ReplayOptions, plan_replay, replay
from simulator.scenarios import Scenario, parse_scenario

# One incident of each kind, all within the first served week.
EVERY_KIND = """
name: every-kind
incidents:
  - {id: nulls, kind: nulls, start: 12h, duration: 6h, column: humidity, share: 0.5}
  - id: kilometres
    kind: unit_change
    start: 1d
    duration: 12h
    model: flight_delay
    column: distance
    factor: 1.609344
  - id: carrier
    kind: new_category
    start: 1d 12h
    duration: 12h
    column: carrier
    value: ZW
    share: 0.25
  - id: slow
    kind: latency_regression
    start: 2d
    duration: 1d
    model: flight_delay_band
    factor: 10
  - {id: outage, kind: outage, start: 3d 15h, duration: 1h, share: 0.9}
  - id: version-2
    kind: bad_deployment
    start: 4d
    duration: 2d
    model: flight_delayed
    version: "2"
    canary_share: 0.1
    canary_duration: 1d
    column: dep_delay
    factor: 0.01
  - id: lost
    kind: lost_labels
    start: 1d
    duration: 1d
    model: flight_delay_band
    share: 0.4
  - id: stuck
    kind: stuck_sensor
    start: 2d 12h
    duration: 12h
    model: flight_delay
    column: dep_delay
    share: 0.5
  - id: range
    kind: out_of_range
    start: 3d 17h
    duration: 6h
    model: flight_delay
    column: humidity
    value: 999
    share: 0.3
  - id: concept
    kind: concept_change
    start: 4d
    duration: 1d
    model: flight_delay
    minutes: 45
  - id: surge
    kind: traffic_surge
    start: 4d 12h
    duration: 6h
    model: flight_delay
    factor: 2.5
  - id: twice
    kind: duplicates
    start: 5d 12h
    duration: 10h
    model: flight_delay
    share: 0.3
  - id: late
    kind: late_labels
    start: 5d
    duration: 1d
    model: flight_delay_band
    delay: 1d 12h
    share: 0.5
"""


@dataclass(frozen=True)
class Rows:
    """Everything that a replay yields, by table."""

    predictions: list[LoggedPrediction]
    labels: list[Label]
    baseline: list[BaselinePrediction]
    deployments: list[Deployment]
    incidents: list[SimulatedIncident]


def _collected(parts: Iterator[Part]) -> Rows:
    rows = Rows([], [], [], [], [])
    lists = {
        Target.PREDICTION_LOGS.value: rows.predictions,
        Target.GROUND_TRUTH.value: rows.labels,
        Target.BASELINE_LOGS.value: rows.baseline,
        "deployments": rows.deployments,
        "simulated_incidents": rows.incidents,
    }
    for part in parts:
        cast(list[object], lists[str(part.target)]).extend(part.rows)
    return rows


@pytest.fixture(scope="session")
def collected() -> Callable[[Iterator[Part]], Rows]:
    """Sorts the parts of a replay by table."""
    return _collected


@pytest.fixture(scope="session")
def history() -> FlightHistory:
    """All flights of the year."""
    return read_flights(data_directory())


@pytest.fixture(scope="session")
def every_kind() -> Scenario:
    """A scenario with one incident of each kind."""
    return parse_scenario(EVERY_KIND, place="every-kind.yml")


@pytest.fixture(scope="session")
def week(every_kind: Scenario) -> Plan:
    """The plan of one week of 2013 under every kind of incident."""
    return plan_replay(
        ReplayOptions(scenario=every_kind, weeks=1, is_shifted=False),
        now=datetime(2026, 11, 23, 12, tzinfo=UTC),
    )


@pytest.fixture(scope="session")
def rows(week: Plan, history: FlightHistory) -> Rows:
    """The rows of that week."""
    return _collected(replay(week, history))


@pytest.fixture(scope="session")
def calm(week: Plan, history: FlightHistory) -> Rows:
    """The rows of the same week without incidents."""
    return _collected(replay(replace(week, scenario=Scenario(name="none")), history))


@pytest.fixture
def connection(database: ConnectionSettings) -> Iterator[psycopg.Connection]:
    """A connection to an empty database."""
    with warehouse.connect(database, autocommit=True) as opened:
        yield opened
