"""The command line: ``python -m simulator --help``.

The only module here that reads the clock, the arguments and the environment.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from orchestration import warehouse
from simulator.durations import duration_of
from simulator.exporting import export_replay
from simulator.flights import FlightDataError, data_directory, read_flights
from simulator.live import Ending, LiveOptions, LiveResult, Tick, go_live
from simulator.loading import (
    LoadCounts,
    create_raw_schema,
    held_simulation,
    held_until,
    load_lines,
)
from simulator.records import Target
from simulator.replay import (
    MAX_WEEKS,
    ReplayError,
    ReplayOptions,
    ReplayResult,
    plan_replay,
    simulate,
)
from simulator.scenarios import ScenarioError, named_scenario
from simulator.serving import TrainingError

app = typer.Typer(
    name="python -m simulator",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback's local variables could show a password.
    pretty_exceptions_show_locals=False,
    help=(
        "Replay a year of real flights through three models, into the raw tables of "
        "the warehouse, with labels, baselines and incidents at known times; or load "
        "your own prediction log.\n\n"
        "The warehouse is the one that DRIFTLINE_DATABASE_URL or libpq's PG* variables "
        "name, else the embedded one (driftline up)."
    ),
)

_out = Console()
_err = Console(stderr=True)

Weeks = Annotated[
    int,
    typer.Option(
        min=1,
        max=MAX_WEEKS,
        help="Weeks to serve after the seven of training and validation.",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, help="Seed of everything random; same seed, same rows.")
]
ScenarioName = Annotated[
    str,
    typer.Option(
        "--scenario",
        help=(
            "What goes wrong: default; catalogue (every kind of incident in 16 weeks); "
            "random (drawn by --seed), or random-17 (by 17); none; or the path of a "
            "YAML file. See docs/scenarios.md."
        ),
    ),
]
Shift = Annotated[
    bool,
    typer.Option(
        "--shift/--no-shift",
        help="Move 2013 by whole weeks so that it ends yesterday, or leave it.",
    ),
]
EndDate = Annotated[
    datetime | None,
    typer.Option(
        "--end-date",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="Last day to serve (UTC); yesterday if not given.",
    ),
]


def _duration(text: str) -> timedelta:
    duration = duration_of(text)
    if not duration:
        raise typer.BadParameter(f"{text!r} is no time such as 30m or 1h 30m.")
    return duration


@app.command()
def run(
    weeks: Weeks = 8,
    seed: Seed = 13,
    scenario: ScenarioName = "default",
    shift: Shift = True,
    end_date: EndDate = None,
) -> None:
    """Train the models, serve the flights through them, and load all of it.

    Run again, it adds nothing on the same day, and the missing days on a later one.
    """
    with _told_plainly():
        options = _options(weeks, seed, scenario, shift, end_date)
        with _connected() as connection, _progress("Replaying flights", "rows") as step:
            result = simulate(
                connection,
                options,
                read_flights(data_directory()),
                now=datetime.now(UTC),
                progress=step,
            )
    _print_result(result)


@app.command()
def live(
    speed: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=86_400,
            help="Simulated seconds a second, until the present is reached.",
        ),
    ] = 60.0,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
            metavar="YYYY-MM-DD[THH:MM]",
            help="Stop at this simulated time (UTC).",
        ),
    ] = None,
    lasting: Annotated[
        timedelta | None,
        typer.Option(
            "--for",
            parser=_duration,
            metavar="DURATION",
            help="Stop after this time, such as 30m or 2h.",
        ),
    ] = None,
    tick: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two loads.")
    ] = 5.0,
    weeks: Weeks = 8,
    seed: Seed = 13,
    scenario: ScenarioName = "default",
    shift: Shift = True,
    end_date: EndDate = None,
) -> None:
    """Keep traffic and labels coming, from where the warehouse's simulation ends.

    An empty warehouse gets its history first, as by run, until the end date. The rows
    are those of run, each loaded when its time has come. The simulated time goes at the
    speed until it has caught up with the real one, and then on with it.

    Ctrl-C stops when what was begun is loaded; the next start goes on from there.
    """
    with _told_plainly():
        options = _options(weeks, seed, scenario, shift, end_date)
        history = read_flights(data_directory())
        with _connected() as connection:
            create_raw_schema(connection)
            if held_until(connection) is None:
                with _progress("Replaying flights", "rows") as step:
                    _print_result(
                        simulate(
                            connection,
                            options,
                            history,
                            now=datetime.now(UTC),
                            progress=step,
                        )
                    )
            plan = plan_replay(
                options, now=datetime.now(UTC), held=held_simulation(connection)
            )
            with _stopping() as stop, _live_status() as told:
                result = go_live(
                    connection,
                    plan,
                    history,
                    options=LiveOptions(
                        speed=speed,
                        until=None if until is None else until.replace(tzinfo=UTC),
                        lasting=lasting,
                        tick=timedelta(seconds=tick),
                    ),
                    clock=_SystemClock(stop),
                    told=told,
                )
    _print_live_result(result)


@app.command()
def load(
    file: Annotated[
        Path,
        typer.Argument(
            help="A file with a JSON object a line, plain or gzipped; - reads stdin.",
        ),
    ],
    target: Annotated[
        Target, typer.Option(help="The raw table that the lines are meant for.")
    ],
) -> None:
    """Load JSON lines from any service into a raw table.

    Lines that are there already are dropped; lines that cannot be loaded are kept in
    raw.quarantine with the reason.
    """
    began = time.perf_counter()
    with (
        _told_plainly(),
        _opened(file) as stream,
        _connected() as connection,
        _progress("Loading lines", "lines") as step,
    ):
        counts = load_lines(
            connection,
            stream,
            target=target,
            source="stdin" if str(file) == "-" else file.name,
            progress=lambda done: step(done, None),
        )
    seconds = time.perf_counter() - began
    _print_counts({target.value: counts})
    _print_speed(counts.received, seconds)
    if counts.quarantined:
        _out.print(
            f"{counts.quarantined:,} lines could not be loaded; "
            "raw.quarantine holds them with the reasons."
        )


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Where to write the files.")],
    weeks: Weeks = 8,
    seed: Seed = 13,
    scenario: ScenarioName = "default",
    shift: Shift = True,
    end_date: EndDate = None,
) -> None:
    """Write the rows that run would load as JSON lines, one gzipped file a table."""
    with _told_plainly():
        options = _options(weeks, seed, scenario, shift, end_date)
        plan = plan_replay(options, now=datetime.now(UTC))
        with _progress("Writing rows", "rows") as step:
            written = export_replay(
                plan, read_flights(data_directory()), directory, progress=step
            )
    for path, count in written.items():
        _out.print(f"{count:>9,} lines in {path}", highlight=False)


def _options(
    weeks: int, seed: int, scenario: str, shift: bool, end_date: datetime | None
) -> ReplayOptions:
    last_day: date | None = None if end_date is None else end_date.date()
    return ReplayOptions(
        scenario=named_scenario(scenario, seed=seed),
        weeks=weeks,
        seed=seed,
        is_shifted=shift,
        end_date=last_day,
    )


@contextmanager
def _told_plainly() -> Iterator[None]:
    """End with one sentence on what the user can put right."""
    try:
        yield
    except psycopg.Error as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        _fail(
            f"The warehouse failed: {problem} What was committed stays; run it again."
        )
    except OSError as error:
        _fail(
            f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."
        )
    except (
        warehouse.WarehouseError,
        FlightDataError,
        ReplayError,
        ScenarioError,
        TrainingError,
    ) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    _err.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(1)


@contextmanager
def _connected() -> Iterator[psycopg.Connection]:
    settings = warehouse.settings(os.environ)
    with warehouse.connect(settings, autocommit=True) as connection:
        yield connection


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as stream:
        yield stream


@contextmanager
def _progress(
    description: str, unit: str
) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that is told how much is done, and out of how much if that is known."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=_err,
        transient=True,
    ) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _SystemClock:
    """This machine's clock, whose waits end when ``stop`` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> datetime:
        return datetime.now(UTC)

    def seconds(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(seconds)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a request to terminate sets; a second one kills."""
    stop = threading.Event()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for each in before:
        signal.signal(each, on_signal)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _live_status() -> Iterator[Callable[[Tick], None]]:
    """Shows how far it is; on a terminal in one line, which is written anew."""
    rows: Counter[str] = Counter()
    was_present = False
    with _err.status("Serving the first day …") as status:

        def told(tick: Tick) -> None:
            nonlocal was_present
            for incident in tick.incidents:
                _out.print(
                    f"{incident.started_at:%Y-%m-%d %H:%M} {incident.incident_id}: "
                    f"{incident.description}",
                    highlight=False,
                )
            if tick.is_present and not was_present:
                _out.print("The present is reached; from here on in real time.")
            was_present = was_present or tick.is_present
            for target, counts in tick.counts.items():
                rows[target] += counts.loaded
            status.update(
                f"{tick.reached:%Y-%m-%d %H:%M} UTC: "
                f"{rows[Target.PREDICTION_LOGS]:,} predictions, "
                f"{rows[Target.GROUND_TRUTH]:,} labels. Ctrl-C stops."
            )

        yield told


def _print_live_result(result: LiveResult) -> None:
    _print_counts(result.counts)
    reasons = {
        Ending.STOPPED: "Stopped",
        Ending.LASTED: "Time is up",
        Ending.REACHED: "Reached the end",
        Ending.END_OF_DATA: "The recorded year is over",
    }
    _out.print(
        f"{reasons[result.ending]}: served {result.since:%Y-%m-%d %H:%M} to "
        f"{result.reached:%Y-%m-%d %H:%M} UTC.",
        highlight=False,
    )


def _print_result(result: ReplayResult) -> None:
    _print_counts(result.counts)
    for each in result.skills:
        _out.print(
            f"{each.model_name}, version {each.model_version}: {each.metric} "
            f"{each.value:.3g} on its validation data.",
            highlight=False,
        )
    verb = "Continued" if result.is_continuation else "Served"
    last_day = result.served_until - timedelta(days=1)
    _out.print(
        f"{verb} {result.served_from:%Y-%m-%d} to {last_day:%Y-%m-%d} in "
        f"{result.seconds:.1f} s.",
        highlight=False,
    )
    _print_speed(result.received, result.loading_seconds)


def _print_counts(counts: Mapping[str, LoadCounts]) -> None:
    table = Table("table", *("received", "loaded", "duplicates", "quarantined"))
    for column in table.columns[1:]:
        column.justify = "right"
    for target, count in counts.items():
        table.add_row(
            f"raw.{target}",
            f"{count.received:,}",
            f"{count.loaded:,}",
            f"{count.duplicates:,}",
            f"{count.quarantined:,}",
        )
    _out.print(table)


def _print_speed(rows: int, seconds: float) -> None:
    rate = rows / seconds if seconds else 0
    _out.print(f"{rate:,.0f} rows per second of loading.", highlight=False)


if __name__ == "__main__":
    app()
