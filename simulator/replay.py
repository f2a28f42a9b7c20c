"""The whole replay: which days, which rows, and into which warehouse.

The models are trained on the first four weeks of 2013, validated on the next three, and
serve from then on. A shifted replay is moved by whole weeks, so that weekdays stay
weekdays, and ends yesterday (UTC): the first run of a warehouse fixes the shift, serves
``weeks`` weeks and the zero to six days that are left until yesterday. Every later run
continues that simulation, with the same shift, until the yesterday of its own day. What
is there already comes out identical and is dropped as a duplicate. Nothing follows the
last day of 2013: a replay of nearly all its weeks ends up to six days early.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import psycopg

from simulator import loading
from simulator.flights import END_OF_DATA, FEATURES, FIRST_DAY, FlightHistory
from simulator.incidents import Incident, Objects, Spans, Traffic, judge, log, suffer
from simulator.loading import Deployment, LoadCounts, SimulatedIncident, Simulation
from simulator.outcomes import Outcomes, actuals, labels
from simulator.randomness import DailyRandom, Floats
from simulator.records import BaselinePrediction, LoggedPrediction, Record, Target
from simulator.scenarios import Scenario, incident_rows
from simulator.serving import (
    ERROR_RATE,
    FIRST_VERSION,
    MODEL_NAMES,
    Model,
    Skill,
    features_as_json,
    latencies,
    skill,
    train,
)

TRAINING = timedelta(weeks=4)
VALIDATION = timedelta(weeks=3)
MAX_WEEKS = 45

_SERVED_FROM = FIRST_DAY + TRAINING + VALIDATION
_WEEK = timedelta(weeks=1)

DEPLOYMENTS = "deployments"
INCIDENTS = "simulated_incidents"


class ReplayError(ValueError):
    """The replay that was asked for cannot be done."""


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """What to replay.

    ``weeks`` are served after the training, 1 to 45. ``end_date`` is the last day
    served, on the shifted clock if ``is_shifted``; by default yesterday, or what
    ``weeks`` says if not shifted.
    """

    scenario: Scenario
    weeks: int = 8
    seed: int = 13
    is_shifted: bool = True
    end_date: date | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A replay whose days are settled.

    ``served_until`` is exclusive. Both times are on the clock of 2013; ``shift`` leads
    to the clock that the warehouse sees.
    """

    scenario: Scenario
    seed: int
    is_shifted: bool
    shift: timedelta
    served_until: datetime
    served_from: datetime = _SERVED_FROM

    @property
    def source(self) -> str:
        """What ``raw.loads`` calls it."""
        return f"simulator, seed {self.seed}, scenario {self.scenario.name}"

    def simulation(self) -> Simulation:
        """What the warehouse remembers of it."""
        return Simulation(
            seed=self.seed,
            scenario=self.scenario.name,
            scenario_digest=self.scenario.digest,
            is_shifted=self.is_shifted,
            shift_weeks=self.shift // _WEEK,
            served_from=self.served_from + self.shift,
        )


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows for one table, in an amount that fits into memory.

    ``due_at`` is when a version was deployed whose baseline they are, on the
    warehouse's clock; other rows say themselves when it is their time.
    """

    target: str
    rows: Sequence[Record] | Sequence[Deployment] | Sequence[SimulatedIncident]
    skills: tuple[Skill, ...] = ()
    due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """What a run did.

    ``counts`` by table; ``served_from`` and ``served_until`` (exclusive) on the
    warehouse's clock; ``is_continuation`` if the warehouse held the simulation already.
    ``seconds`` is the whole, ``loading_seconds`` the part of it spent in the warehouse.
    """

    counts: dict[str, LoadCounts]
    skills: tuple[Skill, ...]
    served_from: datetime
    served_until: datetime
    is_continuation: bool
    seconds: float
    loading_seconds: float

    @property
    def received(self) -> int:
        """Rows that were handed to the loader."""
        return sum(counts.received for counts in self.counts.values())

    @property
    def rows_per_second(self) -> float:
        """Rows per second of loading."""
        return self.received / self.loading_seconds if self.loading_seconds else 0.0


Progress = Callable[[int, int], None]


def plan_replay(
    options: ReplayOptions, *, now: datetime, held: Simulation | None = None
) -> Plan:
    """Settle the days of a replay.

    ``held`` is the simulation that the warehouse has already. Raises ``ReplayError``
    when it is another one, or when there is no day to serve.
    """
    if not 1 <= options.weeks <= MAX_WEEKS:
        raise ReplayError(f"--weeks is {options.weeks}; give 1 to {MAX_WEEKS}.")
    planned_until = _SERVED_FROM + options.weeks * _WEEK
    shift = timedelta(0)
    end = planned_until
    if options.end_date is not None:
        end = datetime.combine(options.end_date, datetime.min.time(), UTC)
        end += timedelta(days=1)
    if options.is_shifted:
        today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if options.end_date is None:
            end = today
        elif end > today:
            raise ReplayError(
                f"--end-date {options.end_date} is not over yet; give yesterday "
                "(UTC) or an earlier day."
            )
        if held is not None:
            shift = held.shift_weeks * _WEEK
        else:
            shift = (end - planned_until) // _WEEK * _WEEK
    plan = Plan(
        scenario=options.scenario,
        seed=options.seed,
        is_shifted=options.is_shifted,
        shift=shift,
        served_until=min(end - shift, END_OF_DATA),
    )
    if held is not None and held != plan.simulation():
        raise ReplayError(_other_simulation(held))
    if plan.served_until <= plan.served_from:
        raise ReplayError(
            f"No day is left to serve until {end - timedelta(days=1):%Y-%m-%d}: the "
            f"models serve from {plan.served_from + shift:%Y-%m-%d}."
        )
    return plan


def _other_simulation(held: Simulation) -> str:
    clock = "a shifted" if held.is_shifted else "an unshifted"
    return (
        f"The warehouse already holds {clock} simulation with seed {held.seed} and "
        f"scenario {held.scenario!r}, which another would corrupt; repeat its options "
        "to continue it, or use a fresh database."
    )


def replay(plan: Plan, history: FlightHistory) -> Iterator[Part]:
    """Every row of a replay, in order of time as far as tables allow.

    Training and scoring happen on the way. The same plan gives the same rows, and a
    plan that ends later gives the same and more.
    """
    service = Service(plan, history)
    yield from service.announced()
    start = plan.served_from
    while start < plan.served_until:
        end = min(start + _WEEK, plan.served_until)
        yield from service.validated(before=end)
        yield from service.served(start, end)
        start = end


class Service:
    """The models of a plan. Each version is trained when it is first needed."""

    def __init__(self, plan: Plan, history: FlightHistory) -> None:
        self._plan = replace(plan, scenario=_with_last_values(plan, history))
        self._history = history
        self._models: dict[tuple[str, str], Model] = {}

    def announced(self) -> Iterator[Part]:
        """The deployments and incidents until the plan's end."""
        plan = self._plan
        yield Part(
            target=DEPLOYMENTS,
            rows=[
                deployment
                for deployment in _deployments(plan)
                if deployment.deployed_at < plan.served_until + plan.shift
            ],
        )
        yield Part(
            target=INCIDENTS,
            rows=incident_rows(
                plan.scenario,
                served_from=plan.served_from + plan.shift,
                served_until=plan.served_until + plan.shift,
            ),
        )

    def validated(self, *, before: datetime) -> Iterator[Part]:
        """The baselines of versions deployed before a time, unless given before."""
        plan = self._plan
        if not self._models:
            for name in MODEL_NAMES:
                model = _trained(
                    name, FIRST_VERSION, plan.served_from, plan, self._history
                )
                yield self._baseline(model, plan.served_from)
        for incident in plan.scenario.deployments():
            deployed_at = plan.served_from + incident.start
            if deployed_at < before and _version(incident) not in self._models:
                model = _trained_for(incident, deployed_at, plan, self._history)
                yield self._baseline(model, deployed_at)

    def served(self, start: datetime, end: datetime) -> Iterator[Part]:
        """What flights that depart in the half-open interval lead to.

        Both times are on the clock of 2013, and midnights. Every version deployed
        before ``end`` must have been validated.
        """
        yield from _served(self._history.between(start, end), self._models, self._plan)

    def _baseline(self, model: Model, deployed_at: datetime) -> Part:
        self._models[model.name, model.version] = model
        validation = self._history.between(deployed_at - VALIDATION, deployed_at)
        return Part(
            target=Target.BASELINE_LOGS,
            rows=_baseline(model, validation, self._plan),
            skills=(skill(model, validation),),
            due_at=deployed_at + self._plan.shift,
        )


def simulate(
    connection: psycopg.Connection,
    options: ReplayOptions,
    history: FlightHistory,
    *,
    now: datetime,
    progress: Progress | None = None,
) -> ReplayResult:
    """Replay into the warehouse.

    ``progress`` is called with the rows done and the rows to do. ``connection`` must be
    outside of a transaction. Raises ``ReplayError`` when the warehouse holds another
    simulation, and ``psycopg.Error`` when it fails; what was committed by then stays,
    and the next run completes it.
    """
    began = time.perf_counter()
    loading.create_raw_schema(connection)
    held = loading.held_simulation(connection)
    plan = plan_replay(options, now=now, held=held)
    claimed = loading.claim_simulation(connection, plan.simulation())
    if claimed != plan.simulation():
        # Another run was quicker by a moment, and fixed another shift.
        plan = plan_replay(options, now=now, held=claimed)
    counts: dict[str, LoadCounts] = {}
    skills: tuple[Skill, ...] = ()
    loading_seconds = 0.0
    done = 0
    expected = expected_rows(plan, history)
    for part in _one_ahead(replay(plan, history)):
        started = time.perf_counter()
        loaded = load_part(connection, part, source=plan.source)
        loading_seconds += time.perf_counter() - started
        counts[part.target] = counts.get(part.target, LoadCounts()) + loaded
        skills += part.skills
        done += loaded.received
        if progress is not None:
            progress(done, expected)
    started = time.perf_counter()
    for target in Target:
        loading.analyze_if_grown(connection, target, counts.get(target, LoadCounts()))
    loading.record_served_until(connection, plan.served_until + plan.shift)
    loading_seconds += time.perf_counter() - started
    return ReplayResult(
        counts=counts,
        skills=skills,
        served_from=plan.served_from + plan.shift,
        served_until=plan.served_until + plan.shift,
        is_continuation=held is not None,
        seconds=time.perf_counter() - began,
        loading_seconds=loading_seconds,
    )


def expected_rows(plan: Plan, history: FlightHistory) -> int:
    """How many rows a replay has, for showing progress.

    Exactly so without incidents that repeat or lose some; about so with them.
    """

    def served(start: datetime, end: datetime) -> tuple[int, pd.Series]:
        flights = history.between(start, min(end, plan.served_until))
        known_at = flights["landed_at"]
        return len(flights), known_at[known_at < pd.Timestamp(plan.served_until)]

    requests, known_at = served(plan.served_from, plan.served_until)
    rows: float = len(MODEL_NAMES) * (requests + len(known_at))
    for incident in plan.scenario.incidents:
        requests, known_at = served(
            plan.served_from + incident.start, plan.served_from + incident.end
        )
        not_yet = known_at + incident.delay >= pd.Timestamp(plan.served_until)
        more = {
            "traffic_surge": (incident.factor - 1) * (requests + len(known_at)),
            "duplicates": incident.share * requests,
            "late_labels": -incident.share * not_yet.sum(),
            "lost_labels": -incident.share * len(known_at),
        }
        rows += more.get(incident.kind, 0) * sum(map(incident.touches, MODEL_NAMES))
    for deployed_at in [plan.served_from] * len(MODEL_NAMES) + [
        plan.served_from + incident.start for incident in plan.scenario.deployments()
    ]:
        if deployed_at < plan.served_until:
            rows += len(history.between(deployed_at - VALIDATION, deployed_at))
    return round(rows)


def load_part(connection: psycopg.Connection, part: Part, *, source: str) -> LoadCounts:
    """Load a part; what is there already are duplicates."""
    if part.target == DEPLOYMENTS:
        deployments = cast(Sequence[Deployment], part.rows)
        return loading.load_deployments(connection, deployments, source=source)
    if part.target == INCIDENTS:
        incidents = cast(Sequence[SimulatedIncident], part.rows)
        return loading.load_simulated_incidents(connection, incidents, source=source)
    return loading.load_records(
        connection,
        cast(Sequence[Record], part.rows),
        target=Target(part.target),
        source=source,
    )


_Item = TypeVar("_Item")


def _one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, each made while the one before is in use.

    Making them and loading them take turns at Python, but the loader mostly waits for
    Postgres.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=1) as worker:
        coming = worker.submit(next, iterator, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, iterator, None)
            yield item


def _trained(
    name: str,
    version: str,
    deployed_at: datetime,
    plan: Plan,
    history: FlightHistory,
) -> Model:
    """A version that was trained and validated in the weeks before its deployment."""
    validated_from = deployed_at - VALIDATION
    return train(
        name,
        version,
        history.between(validated_from - TRAINING, validated_from),
        seed=plan.seed,
    )


def _trained_for(
    incident: Incident, deployed_at: datetime, plan: Plan, history: FlightHistory
) -> Model:
    assert incident.model and incident.version and incident.column
    sound = _trained(incident.model, incident.version, deployed_at, plan, history)
    return Model(
        name=sound.name,
        version=sound.version,
        pipeline=sound.pipeline,
        busyness=sound.busyness,
        serving_factors=((incident.column, incident.factor),),
    )


def _version(incident: Incident) -> tuple[str, str]:
    assert incident.model and incident.version
    return incident.model, incident.version


def _deployments(plan: Plan) -> list[Deployment]:
    began = plan.served_from + plan.shift
    deployments = [
        Deployment(name, FIRST_VERSION, began, "First version.") for name in MODEL_NAMES
    ]
    for incident in plan.scenario.deployments():
        assert incident.model and incident.version
        started_at = began + incident.start
        everywhere_at = started_at + incident.canary_duration
        if incident.canary_duration:
            note = f"Canary: {incident.canary_share:.0%} of requests."
            deployments.append(
                Deployment(incident.model, incident.version, started_at, note)
            )
        if everywhere_at < began + incident.end:
            deployments.append(
                Deployment(
                    incident.model, incident.version, everywhere_at, "All requests."
                )
            )
        deployments.append(
            Deployment(
                incident.model,
                FIRST_VERSION,
                began + incident.end,
                f"Rolled back from version {incident.version}.",
            )
        )
    return deployments


def _baseline(
    model: Model, flights: pd.DataFrame, plan: Plan
) -> list[BaselinePrediction]:
    features = flights[list(FEATURES)]
    random = _daily_random(flights, plan)
    asked_at = flights["departed_at"] + plan.shift
    count = len(flights)
    return [
        BaselinePrediction(*row)
        for row in zip(
            _prediction_ids(
                f"{model.name}:v{model.version}", flights, plan.shift
            ).tolist(),
            [model.name] * count,
            [model.version] * count,
            asked_at.dt.to_pydatetime(),
            features_as_json(features),
            model.validated(features),
            _milliseconds(
                latencies(model, flights["scheduled_hour"].to_numpy(), random)
            ),
            [200] * count,
            [None] * count,
            actuals(model.name, flights["arrival_delay"].to_numpy()),
            strict=True,
        )
    ]


def _served(
    flights: pd.DataFrame, models: dict[tuple[str, str], Model], plan: Plan
) -> Iterator[Part]:
    """Predictions of all models for some flights, and the labels that they get."""
    random = _daily_random(flights, plan)
    incidents = plan.scenario.incidents
    # The source knows the minute; requests come in any second of it.
    asked_at = flights["departed_at"] + pd.to_timedelta(
        np.floor(random.uniform("second") * 60_000), unit="ms"
    )
    since_start = (asked_at - pd.Timestamp(plan.served_from)).to_numpy()
    landed_at = flights["landed_at"].dt.tz_localize(None).to_numpy()
    unharmed = _Written(flights[list(FEATURES)], since_start, plan)
    for name in MODEL_NAMES:
        sound = _sound_traffic(
            models[name, FIRST_VERSION], flights, since_start, unharmed.features, plan
        )
        asked = suffer(sound, incidents, random)
        answered = replace(asked, prediction=_predictions(asked, models))
        # A retry can come after the end.
        logged = log(answered, incidents, random).before(
            plan.served_until - plan.served_from
        )
        in_order = np.argsort(logged.since_start, kind="stable")
        columns = (
            logged.prediction_id,
            np.full(len(in_order), name, dtype=object),
            logged.model_version,
            unharmed.instants(logged.since_start),
            unharmed.json(logged.features),
            logged.prediction,
            np.array(_milliseconds(logged.latency_ms), dtype=object),
            logged.status_code,
            logged.error,
        )
        yield Part(
            target=Target.PREDICTION_LOGS,
            rows=[
                LoggedPrediction(*row)
                for row in zip(
                    *(column[in_order].tolist() for column in columns), strict=True
                )
            ],
        )
        outcomes = Outcomes(
            model_name=name,
            flight=asked.flight,
            prediction_id=asked.prediction_id,
            since_start=asked.since_start,
            arrival_delay=flights["arrival_delay"].to_numpy()[asked.flight],
            known_at=landed_at[asked.flight],
        )
        yield Part(
            target=Target.GROUND_TRUTH,
            rows=labels(
                judge(outcomes, incidents, random),
                shift=plan.shift,
                known_until=plan.served_until,
            ),
        )


class _Written:
    """What is logged of flights, written once for all models that got the same."""

    def __init__(self, features: pd.DataFrame, since_start: Spans, plan: Plan) -> None:
        self.features = features
        self._json = np.array(features_as_json(features), dtype=object)
        self._since_start = since_start
        self._began = pd.Timestamp(plan.served_from + plan.shift)
        self._instants = self._on_the_clock(since_start)

    def json(self, features: pd.DataFrame) -> Objects:
        """Each row of features as JSON."""
        if features is self.features:
            return self._json
        return np.array(features_as_json(features), dtype=object)

    def instants(self, since_start: Spans) -> Objects:
        """Each time since the first served instant, on the warehouse's clock."""
        if since_start is self._since_start:
            return self._instants
        return self._on_the_clock(since_start)

    def _on_the_clock(self, since_start: Spans) -> Objects:
        return (self._began + pd.to_timedelta(since_start)).to_pydatetime()


def _sound_traffic(
    model: Model,
    flights: pd.DataFrame,
    since_start: Spans,
    features: pd.DataFrame,
    plan: Plan,
) -> Traffic:
    """Requests to the first version of a model on a day without incidents."""
    random = _daily_random(flights, plan)
    failed = random.uniform(f"errors of {model.name}") < ERROR_RATE
    error = np.full(len(flights), None, dtype=object)
    error[failed] = "worker restarted"
    return Traffic(
        model_name=model.name,
        flight=np.arange(len(flights)),
        prediction_id=_prediction_ids(model.name, flights, plan.shift),
        since_start=since_start,
        features=features,
        model_version=np.full(len(flights), FIRST_VERSION, dtype=object),
        latency_ms=latencies(model, flights["scheduled_hour"].to_numpy(), random),
        status_code=np.where(failed, 500, 200),
        error=error,
        prediction=np.full(len(flights), None, dtype=object),
    )


def _with_last_values(plan: Plan, history: FlightHistory) -> Scenario:
    """The scenario in which each stuck sensor knows the value that it is stuck at."""
    incidents = tuple(
        replace(incident, value=_last_value(incident, plan, history))
        if incident.kind == "stuck_sensor"
        and plan.served_from + incident.start < plan.served_until
        else incident
        for incident in plan.scenario.incidents
    )
    return replace(plan.scenario, incidents=incidents)


def _last_value(incident: Incident, plan: Plan, history: FlightHistory) -> float:
    """What the column was in the last request before an incident."""
    assert incident.column
    start = plan.served_from + incident.start
    known = history.between(start - _WEEK, start)[incident.column].dropna()
    return float(known.iloc[-1])


def _predictions(traffic: Traffic, models: dict[tuple[str, str], Model]) -> Objects:
    """What each version answers to its requests; None to those that failed."""
    predictions = traffic.prediction.copy()
    answered = traffic.status_code < 500
    for version in sorted(set(traffic.model_version)):
        asked = answered & (traffic.model_version == version)
        if asked.any():
            model = models[traffic.model_name, version]
            predictions[asked] = model.served(traffic.features[asked])
    return predictions


def _daily_random(flights: pd.DataFrame, plan: Plan) -> DailyRandom:
    days = (flights["departed_at"] - pd.Timestamp(FIRST_DAY)).dt.days
    return DailyRandom(plan.seed, days.to_numpy().astype(np.int64))


def _prediction_ids(prefix: str, flights: pd.DataFrame, shift: timedelta) -> Objects:
    """Unique by model, flight and the shifted minute for which it was scheduled."""
    scheduled_at = (flights["scheduled_at"] + shift).dt.tz_localize(None).to_numpy()
    minutes = np.datetime_as_string(scheduled_at, unit="m").tolist()
    ids = [
        f"{prefix}:{code}:{origin}:{minute}Z"
        for code, origin, minute in zip(
            flights["flight_code"].tolist(),
            flights["origin"].tolist(),
            minutes,
            strict=True,
        )
    ]
    return np.array(ids, dtype=object)


def _milliseconds(
    values: Floats,
) -> list[float]:
    rounded: list[float] = np.round(values, 3).tolist()
    return rounded
