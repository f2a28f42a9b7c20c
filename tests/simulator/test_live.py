"""Traffic that keeps coming: what comes, when, and where it goes on after a stop."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.warehouse import ConnectionSettings
from simulator import live, loading
from simulator.flights import END_OF_DATA, FlightHistory
from simulator.live import (
    Arrivals,
    Ending,
    LiveOptions,
    LiveResult,
    Tick,
    go_live,
)
from simulator.replay import (
    Plan,
    ReplayError,
    ReplayOptions,
    plan_replay,
    replay,
    simulate,
)
from simulator.scenarios import Scenario

CHECKOUT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


class FakeClock:
    """A clock that goes on while somebody waits, for so many waits."""

    def __init__(self, *, waits: int = 1000, now: datetime = NOW) -> None:
        self._waits = waits
        self._start = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def seconds(self) -> float:
        return 500.0 + self._elapsed

    def wait(self, seconds: float) -> bool:
        if seconds:
            self._waits -= 1
            self._elapsed += seconds
        return self._waits <= 0


def everything(rows: Any) -> Counter[Any]:
    return Counter(
        [
            *rows.predictions,
            *rows.labels,
            *rows.baseline,
            *rows.deployments,
            *rows.incidents,
        ]
    )


def arrived(
    arrivals: Arrivals,
    since: datetime,
    end: datetime,
    *,
    step: timedelta,
    most: int = 10**9,
) -> Iterator[tuple[Any, datetime]]:
    """The parts until a time, and before which time they came."""
    reached = since
    while reached < end:
        aim = min(reached + step, end)
        while reached < aim:
            parts, reached = arrivals.until(aim, most=most)
            for part in parts:
                yield part, reached


# What arrives, and when


@pytest.mark.parametrize("step", [timedelta(minutes=37), timedelta(days=2)])
def test_what_arrives_until_a_time_is_what_a_replay_until_then_brings(
    step: timedelta,
    week: Plan,
    history: FlightHistory,
    rows: Any,
    collected: Callable[..., Any],
) -> None:
    whole_year = replace(week, served_until=END_OF_DATA)
    arrivals = Arrivals(whole_year, history, since=week.served_from)
    live_rows = collected(
        part
        for part, _ in arrived(arrivals, week.served_from, week.served_until, step=step)
    )

    assert everything(live_rows) == everything(rows)


@pytest.mark.parametrize(
    "passed",
    [timedelta(hours=1), timedelta(days=4, hours=13, minutes=37), timedelta(days=6)],
)
def test_a_later_start_brings_what_had_not_arrived_and_nothing_else(
    passed: timedelta,
    week: Plan,
    history: FlightHistory,
    rows: Any,
    collected: Callable[..., Any],
) -> None:
    since = week.served_from + passed
    earlier = collected(replay(replace(week, served_until=since), history))
    whole_year = replace(week, served_until=END_OF_DATA)
    arrivals = Arrivals(whole_year, history, since=since)
    later = collected(
        part
        for part, _ in arrived(
            arrivals, since, week.served_until, step=timedelta(hours=5), most=100
        )
    )

    assert everything(earlier) + everything(later) == everything(rows)
    assert later.labels


def test_rows_come_in_bounded_parts_and_in_order_of_time(
    week: Plan, history: FlightHistory
) -> None:
    whole_year = replace(week, served_until=END_OF_DATA)
    arrivals = Arrivals(whole_year, history, since=week.served_from)
    sizes: Counter[datetime] = Counter()
    latest = week.served_from
    for part, reached in arrived(
        arrivals,
        week.served_from,
        week.served_until,
        step=timedelta(days=3),
        most=500,
    ):
        if part.target == "baseline_logs":
            continue
        times = [live._due_at(row) for row in part.rows]
        assert latest <= min(times) and max(times) < reached
        sizes[reached] += len(part.rows)
        latest = max(latest, reached) if part.target == "ground_truth" else latest

    # Several may have the same time as the last.
    assert max(sizes.values()) < 550


def test_no_flight_takes_longer_than_a_start_looks_back(
    history: FlightHistory,
) -> None:
    flights = history.frame
    assert (flights["landed_at"] - flights["departed_at"]).max() < live._LONGEST_FLIGHT


# Into the warehouse


@pytest.fixture
def held(
    connection: psycopg.Connection, history: FlightHistory, every_kind: Scenario
) -> Plan:
    """A warehouse that holds the week until yesterday; its plan."""
    options = ReplayOptions(scenario=every_kind, weeks=1)
    simulate(connection, options, history, now=NOW)
    return plan_replay(options, now=NOW, held=loading.held_simulation(connection))


def gone_live(
    connection: psycopg.Connection,
    plan: Plan,
    history: FlightHistory,
    *,
    clock: FakeClock | None = None,
    told: Callable[[Tick], None] = lambda tick: None,
    most_rows: int = live.MOST_ROWS,
    **options: Any,
) -> LiveResult:
    return go_live(
        connection,
        plan,
        history,
        options=LiveOptions(**options),
        clock=clock or FakeClock(),
        told=told,
        most_rows=most_rows,
    )


def assert_holds_what_a_replay_brings(
    connection: psycopg.Connection,
    plan: Plan,
    history: FlightHistory,
    until: datetime,
    collected: Callable[..., Any],
) -> None:
    expected = collected(
        replay(replace(plan, served_until=until - plan.shift), history)
    )
    for table, columns, rows in (
        (
            "prediction_logs",
            "prediction_id, model_name, model_version, predicted_at, latency_ms",
            [(*row[:4], row.latency_ms) for row in expected.predictions],
        ),
        (
            "ground_truth",
            "prediction_id, actual::text, observed_at",
            [tuple(row) for row in expected.labels],
        ),
        ("baseline_logs", "prediction_id", [row[:1] for row in expected.baseline]),
        (
            "deployments",
            "model_name, model_version, deployed_at, note",
            [tuple(row) for row in expected.deployments],
        ),
        ("simulated_incidents", "incident_id", [row[:1] for row in expected.incidents]),
    ):
        stored = connection.execute(f"select {columns} from raw.{table}".encode())
        assert Counter(stored.fetchall()) == Counter(rows), table


def test_simulated_time_goes_at_the_speed(
    connection: psycopg.Connection,
    held: Plan,
    history: FlightHistory,
    collected: Callable[..., Any],
) -> None:
    ticks: list[Tick] = []
    result = gone_live(
        connection,
        held,
        history,
        speed=60,
        tick=timedelta(seconds=7),
        lasting=timedelta(minutes=2),
        told=ticks.append,
    )

    assert result.since == MIDNIGHT
    assert result.reached == MIDNIGHT + timedelta(hours=2)
    assert result.ending is Ending.LASTED
    steps = {
        later.reached - earlier.reached for earlier, later in itertools.pairwise(ticks)
    }
    assert steps == {timedelta(minutes=7), timedelta(minutes=1)}
    assert result.counts["ground_truth"].loaded > 0
    assert_holds_what_a_replay_brings(
        connection, held, history, result.reached, collected
    )


def test_the_present_is_never_overtaken(
    connection: psycopg.Connection,
    held: Plan,
    history: FlightHistory,
    collected: Callable[..., Any],
) -> None:
    clock = FakeClock(waits=30)
    ticks: list[Tick] = []
    result = gone_live(
        connection, held, history, speed=3600, clock=clock, told=ticks.append
    )

    assert result.ending is Ending.STOPPED
    assert [tick.is_present for tick in ticks] == sorted(
        tick.is_present for tick in ticks
    )
    assert result.reached == clock.now() - timedelta(seconds=5)
    assert_holds_what_a_replay_brings(
        connection, held, history, result.reached, collected
    )


def test_a_start_goes_on_where_the_last_one_stopped(
    connection: psycopg.Connection,
    held: Plan,
    history: FlightHistory,
    collected: Callable[..., Any],
) -> None:
    first = gone_live(connection, held, history, clock=FakeClock(waits=11), speed=600)
    second = gone_live(
        connection,
        held,
        history,
        speed=600,
        until=MIDNIGHT + timedelta(hours=11, minutes=30),
        most_rows=50,
    )

    assert first.ending is Ending.STOPPED
    assert first.reached == second.since == MIDNIGHT + timedelta(minutes=500)
    assert second.ending is Ending.REACHED
    for result in (first, second):
        assert all(counts.duplicates == 0 for counts in result.counts.values())
    assert_holds_what_a_replay_brings(
        connection, held, history, MIDNIGHT + timedelta(hours=11.5), collected
    )
    # And a run on a later day completes it.
    later = simulate(
        connection,
        ReplayOptions(scenario=held.scenario, weeks=1),
        history,
        now=NOW + timedelta(days=1),
    )
    assert loading.held_until(connection) == MIDNIGHT + timedelta(days=1)
    assert_holds_what_a_replay_brings(
        connection, held, history, later.served_until, collected
    )


def test_what_was_loaded_without_being_recorded_is_neither_lost_nor_doubled(
    connection: psycopg.Connection,
    held: Plan,
    history: FlightHistory,
    collected: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise psycopg.OperationalError("terminating connection")

    with monkeypatch.context() as patch:
        patch.setattr(loading, "record_served_until", killed)
        with pytest.raises(psycopg.OperationalError):
            gone_live(connection, held, history, speed=3600, tick=timedelta(hours=1))
    # The killed one had come to 13:00, the present of its clock.
    result = gone_live(
        connection,
        held,
        history,
        speed=600,
        until=MIDNIGHT + timedelta(hours=14),
        clock=FakeClock(now=NOW + timedelta(hours=4)),
    )

    assert result.since == MIDNIGHT
    assert result.counts["prediction_logs"].duplicates > 0
    assert_holds_what_a_replay_brings(
        connection, held, history, result.reached, collected
    )


def test_incidents_are_told_when_they_begin(
    connection: psycopg.Connection, history: FlightHistory, every_kind: Scenario
) -> None:
    options = ReplayOptions(
        scenario=every_kind, weeks=1, is_shifted=False, end_date=date(2013, 2, 19)
    )
    simulate(connection, options, history, now=NOW)
    plan = plan_replay(options, now=NOW, held=loading.held_simulation(connection))
    told: list[str] = []
    result = gone_live(
        connection,
        plan,
        history,
        speed=86_400,
        tick=timedelta(seconds=1),
        lasting=timedelta(seconds=2),
        told=lambda tick: told.extend(each.incident_id for each in tick.incidents),
    )

    # Of an unshifted year the present is no bound.
    assert result.reached == plan.served_from + timedelta(days=3)
    assert told == ["kilometres", "lost", "carrier", "slow", "stuck"]


def test_the_recorded_year_ends(
    connection: psycopg.Connection, history: FlightHistory
) -> None:
    options = ReplayOptions(
        scenario=Scenario(name="none"),
        weeks=1,
        is_shifted=False,
    )
    plan = plan_replay(options, now=NOW)
    loading.create_raw_schema(connection)
    loading.claim_simulation(connection, plan.simulation())
    loading.record_served_until(connection, END_OF_DATA - timedelta(hours=2))

    result = gone_live(connection, plan, history, speed=3600)
    assert (result.reached, result.ending) == (END_OF_DATA, Ending.END_OF_DATA)
    with pytest.raises(ReplayError, match="nothing is left to serve before 2014-01-01"):
        gone_live(connection, plan, history)


def test_without_a_simulation_there_is_nothing_to_go_on_with(
    connection: psycopg.Connection, week: Plan, history: FlightHistory
) -> None:
    loading.create_raw_schema(connection)

    with pytest.raises(ReplayError, match="holds no simulation"):
        gone_live(connection, week, history)


# A real process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_without_loss(
    number: signal.Signals,
    connection: psycopg.Connection,
    database: ConnectionSettings,
    history: FlightHistory,
    collected: Callable[..., Any],
) -> None:
    history_options = ("--no-shift", "--scenario=none", "--end-date=2013-02-19")
    history_ends = datetime(2013, 2, 20, tzinfo=UTC)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "simulator", "live", *history_options),
            *("--speed=7200", "--tick=0.1"),
        ],
        cwd=CHECKOUT,
        env=os.environ | database.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 400
            while (served_until(connection) or history_ends) <= history_ends:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 0, errors
    assert "Stopped: served 2013-02-20 00:00 to 2013-02-2" in output
    until = served_until(connection)
    assert until is not None
    plan = plan_replay(
        ReplayOptions(scenario=Scenario(name="none"), weeks=1, is_shifted=False),
        now=NOW,
    )
    assert_holds_what_a_replay_brings(connection, plan, history, until, collected)


def served_until(connection: psycopg.Connection) -> datetime | None:
    exists = connection.execute("select to_regclass('raw.simulations')").fetchone()
    return None if exists == (None,) else loading.held_until(connection)


def test_a_duration_that_is_none_is_told_in_a_sentence() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "simulator", "live", "--for", "soon"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert process.returncode == 2
    assert "'soon' is no time such as 30m" in process.stderr
