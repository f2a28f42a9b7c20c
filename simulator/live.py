"""Traffic and labels that keep coming, at the pace of a clock or a multiple of it.

The rows are those of :func:`simulator.replay.replay`, each loaded when its time has
come: a prediction when it is asked for, a label when it is known. After any stop the
warehouse holds what a replay until that time would have brought, and it records that
time, so that the next start goes on from there. A row that a killed process loaded
without recording it comes again, and is dropped as a duplicate.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, cast

import psycopg

from simulator import loading
from simulator.flights import END_OF_DATA, FlightHistory
from simulator.incidents import longest_delay
from simulator.loading import Deployment, LoadCounts, SimulatedIncident
from simulator.records import Label, LoggedPrediction, Target
from simulator.replay import (
    DEPLOYMENTS,
    INCIDENTS,
    Part,
    Plan,
    ReplayError,
    Service,
    load_part,
)

# What is loaded at once, so that a start after a long pause takes little memory.
MOST_ROWS = 20_000

_DAY = timedelta(days=1)
# No flight lands later than this after it departed.
_LONGEST_FLIGHT = timedelta(days=1)
# What others refer to comes first.
_IN_ORDER = (
    DEPLOYMENTS,
    INCIDENTS,
    Target.BASELINE_LOGS,
    Target.PREDICTION_LOGS,
    Target.GROUND_TRUTH,
)


class Clock(Protocol):
    """The time, and a wait that can be cut short."""

    def now(self) -> datetime:
        """The time of day, with its zone."""
        ...

    def seconds(self) -> float:
        """Seconds since any fixed instant, which never go back."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait; true, and at once, when somebody asked to stop."""
        ...


class Ending(StrEnum):
    """Why it is over."""

    STOPPED = "stopped"
    LASTED = "lasted"
    REACHED = "reached"
    END_OF_DATA = "end of data"


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """How fast, and for how long.

    ``speed`` is in simulated seconds a second. ``until`` (exclusive) is on the
    warehouse's clock; ``lasting`` is real time. ``tick`` is the time between two loads.
    """

    speed: float = 60.0
    until: datetime | None = None
    lasting: timedelta | None = None
    tick: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What one load brought.

    ``reached`` is the simulated time, on the warehouse's clock. ``is_present`` once
    it has caught up with the real time, which it never overtakes.
    """

    reached: datetime
    is_present: bool
    counts: dict[str, LoadCounts]
    incidents: tuple[SimulatedIncident, ...]


@dataclass(frozen=True, kw_only=True)
class LiveResult:
    """What came from ``since`` until ``reached``, and why it is over."""

    since: datetime
    reached: datetime
    ending: Ending
    counts: dict[str, LoadCounts]


class Arrivals:
    """The rows of a plan in the order in which they arrive, from ``since`` on.

    Flights are served day by day, when their day begins: only the rows of that day, and
    the labels that are still to come, are in memory.
    """

    def __init__(self, plan: Plan, history: FlightHistory, *, since: datetime) -> None:
        self._plan = plan
        self._service = Service(plan, history)
        self._since = since
        # The number keeps rows of the same time in order, and from being compared.
        self._coming: list[tuple[datetime, int, str, Any]] = []
        self._numbers = itertools.count()
        for part in self._service.announced():
            self._await(part)
        self._served_until = plan.served_from
        while self._served_until + _DAY + plan.shift <= since:
            end = self._served_until + _DAY
            late = longest_delay(
                plan.scenario.incidents,
                self._served_until - plan.served_from,
                end - plan.served_from,
            )
            if end + plan.shift + _LONGEST_FLIGHT + late > since:
                self._serve_day()
            else:
                self._served_until = end

    def until(self, end: datetime, *, most: int) -> tuple[list[Part], datetime]:
        """The next rows before ``end``, and before which time these are all of them.

        That is ``end``, or the next midnight, or, when they are ``most`` or a few more
        of the same time, the time of the next.
        """
        if self._served_until + self._plan.shift < end and not (
            self._coming_before(self._served_until + self._plan.shift)
        ):
            self._serve_day()
        end = min(end, self._served_until + self._plan.shift)
        rows: dict[str, list[Any]] = {}
        count = 0
        last: datetime | None = None
        while self._coming_before(end):
            if count >= most and self._coming[0][0] != last:
                end = self._coming[0][0]
                break
            last, _, target, row = heapq.heappop(self._coming)
            rows.setdefault(target, []).append(row)
            count += 1
        parts = [
            Part(target=target, rows=rows[target])
            for target in _IN_ORDER
            if target in rows
        ]
        return parts, end

    def _coming_before(self, end: datetime) -> bool:
        return bool(self._coming) and self._coming[0][0] < end

    def _serve_day(self) -> None:
        start, end = self._served_until, self._served_until + _DAY
        for part in self._service.validated(before=end):
            self._await(part)
        for part in self._service.served(start, end):
            self._await(part)
        self._served_until = end

    def _await(self, part: Part) -> None:
        for row in part.rows:
            due_at = part.due_at or _due_at(row)
            if due_at >= self._since:
                item = (due_at, next(self._numbers), str(part.target), row)
                heapq.heappush(self._coming, item)


def go_live(
    connection: psycopg.Connection,
    plan: Plan,
    history: FlightHistory,
    *,
    options: LiveOptions,
    clock: Clock,
    told: Callable[[Tick], None],
    most_rows: int = MOST_ROWS,
) -> LiveResult:
    """Go on with the simulation that the warehouse holds, until asked to stop.

    ``told`` is called after each load, of ``most_rows`` rows at most and those of the
    same time. What was begun when the clock says to stop is brought to its end. Raises
    ``ReplayError`` when there is nothing left to serve, and ``psycopg.Error`` when the
    warehouse fails; what was committed by then stays, and the next start goes on.
    """
    since = loading.held_until(connection)
    if since is None:
        raise ReplayError("The warehouse holds no simulation that could go on.")
    pace = _Pace(plan, options, clock, since=since)
    if since >= pace.end:
        raise ReplayError(
            f"The warehouse holds the simulation until {since:%Y-%m-%d %H:%M} UTC "
            f"already; nothing is left to serve before {pace.end:%Y-%m-%d %H:%M}."
        )
    arrivals = Arrivals(replace(plan, served_until=END_OF_DATA), history, since=since)
    counts: dict[str, LoadCounts] = {}
    reached = since
    ending: Ending | None = None
    pace.begin()
    while ending is None:
        aim = pace.aim()
        while reached < aim.until and not clock.wait(0):
            parts, reached = arrivals.until(aim.until, most=most_rows)
            loaded = _load(connection, plan, parts, reached)
            for target, count in loaded.items():
                counts[target] = counts.get(target, LoadCounts()) + count
            told(
                Tick(
                    reached=reached,
                    is_present=aim.is_present,
                    counts=loaded,
                    incidents=_incidents(parts),
                )
            )
        if reached >= pace.end:
            is_asked_for = pace.end == options.until
            ending = Ending.REACHED if is_asked_for else Ending.END_OF_DATA
        elif clock.wait(0 if aim.is_last else pace.pause()):
            ending = Ending.STOPPED
        elif aim.is_last:
            ending = Ending.LASTED
    return LiveResult(since=since, reached=reached, ending=ending, counts=counts)


@dataclass(frozen=True, kw_only=True)
class _Aim:
    """How far to go now, and whether that is the present, or the last time."""

    until: datetime
    is_present: bool
    is_last: bool


class _Pace:
    """The simulated time, which real time drives."""

    def __init__(
        self, plan: Plan, options: LiveOptions, clock: Clock, *, since: datetime
    ) -> None:
        self._is_shifted = plan.is_shifted
        self._options = options
        self._clock = clock
        self._since = since
        self._began = 0.0
        self.end = END_OF_DATA + plan.shift
        if options.until is not None:
            self.end = min(self.end, options.until)

    def begin(self) -> None:
        self._began = self._clock.seconds()

    def aim(self) -> _Aim:
        elapsed, lasting = self._elapsed(), self._options.lasting
        is_last = lasting is not None and elapsed >= lasting
        if lasting is not None:
            elapsed = min(elapsed, lasting)
        until = min(self._since + elapsed * self._options.speed, self.end)
        now = self._clock.now()
        # Nobody asks in the future; 2013 as it was is all in the past.
        is_present = self._is_shifted and until > now
        return _Aim(
            until=now if is_present else until, is_present=is_present, is_last=is_last
        )

    def pause(self) -> float:
        """Seconds until the next load."""
        pause = self._options.tick
        if self._options.lasting is not None:
            pause = min(pause, self._options.lasting - self._elapsed())
        return max(pause.total_seconds(), 0.0)

    def _elapsed(self) -> timedelta:
        return timedelta(seconds=self._clock.seconds() - self._began)


def _load(
    connection: psycopg.Connection, plan: Plan, parts: list[Part], reached: datetime
) -> dict[str, LoadCounts]:
    """Load parts, and record that nothing before ``reached`` is missing."""
    counts = {
        part.target: load_part(connection, part, source=plan.source) for part in parts
    }
    loading.record_served_until(connection, reached)
    return counts


def _incidents(parts: list[Part]) -> tuple[SimulatedIncident, ...]:
    return tuple(
        row for part in parts for row in part.rows if isinstance(row, SimulatedIncident)
    )


def _due_at(row: Any) -> datetime:
    """When a row arrives, on the warehouse's clock."""
    if isinstance(row, LoggedPrediction):
        return row.predicted_at
    if isinstance(row, Label):
        return row.observed_at
    if isinstance(row, Deployment):
        return row.deployed_at
    return cast(SimulatedIncident, row).started_at
