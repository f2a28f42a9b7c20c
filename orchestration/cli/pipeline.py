"""``driftline monitor`` and ``demo``: the pipeline, told as it happens."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
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
from orchestration.cli.report import default_report, write_report
from orchestration.findings import (
    ColumnFinding,
    IncidentFinding,
    MonitorStatus,
    read_incidents,
    read_statuses,
    read_worst_columns,
)
from orchestration.warehouse import ConnectionSettings

_COLOURS = {
    "ok": "green",
    "warning": "yellow",
    "critical": "red",
    "not_computable": "dim",
}
_out = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (monitor, demo):
        app.command(rich_help_panel="Pipeline")(command)


@dataclass(frozen=True, kw_only=True)
class _Step:
    name: str
    seconds: float
    outcome: str


def monitor(
    reconcile: Annotated[
        bool,
        typer.Option(help="Compare all counts with the log: finds retracted rows."),
    ] = False,
) -> None:
    """Bring the marts up to date: dbt, Evidently on the days that changed, dbt."""
    settings = warehouse.settings(os.environ)
    # dbt would say so after half a minute, and not how to mend it.
    warehouse.connect(settings).close()
    steps: list[_Step] = []
    _monitor(settings, variables={"reconcile": reconcile}, steps=steps)
    with warehouse.connect(settings) as connection:
        _print_statuses(read_statuses(connection))
    _print_steps(steps, sum(step.seconds for step in steps))


def demo(
    weeks: Annotated[
        int,
        typer.Option(min=1, max=45, help="Weeks of flights to serve and monitor."),
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 13,
) -> None:
    """Replay real flights through three models and monitor them, end to end.

    Run again, it adds what is missing: nothing on the same day.
    """
    started = time.perf_counter()
    steps: list[_Step] = []

    with _timed(steps, "Start Postgres") as told:
        settings = warehouse.settings(os.environ)
        if settings.is_embedded:
            settings = warehouse.start(warehouse.home(os.environ))
        warehouse.connect(settings).close()
        told(f"{settings.dbname} on {settings.host}")

    _simulate(settings, weeks=weeks, seed=seed, steps=steps)
    _monitor(settings, variables={}, steps=steps)

    with warehouse.connect(settings) as connection:
        statuses = read_statuses(connection)
        columns = read_worst_columns(connection)
        incidents = read_incidents(connection)
    _print_statuses(statuses)
    _print_columns(columns)
    _print_incidents(incidents)
    _out.print()
    with _timed(steps, "Write the report") as told:
        path = write_report(settings, default_report())
        told(f"{path.stat().st_size / 1e6:.1f} MB")
    _print_steps(steps, time.perf_counter() - started)
    _print_next(path)


def _simulate(
    settings: ConnectionSettings, *, weeks: int, seed: int, steps: list[_Step]
) -> None:
    # scikit-learn and pandas take a second to import; `driftline --help` has no use
    # for them.
    from simulator.flights import data_directory, read_flights
    from simulator.replay import ReplayOptions, simulate
    from simulator.scenarios import named_scenario

    with (
        _timed(steps, "Replay flights") as told,
        warehouse.connect(settings, autocommit=True) as connection,
        _bar("Replaying flights", "rows") as advance,
    ):
        result = simulate(
            connection,
            ReplayOptions(scenario=named_scenario("default"), weeks=weeks, seed=seed),
            read_flights(data_directory()),
            now=datetime.now(UTC),
            progress=advance,
        )
        loaded = sum(count.loaded for count in result.counts.values())
        rate = result.received / result.loading_seconds if result.loading_seconds else 0
        told(f"{loaded:,} new rows, {rate:,.0f} rows per second of loading")


def _monitor(
    settings: ConnectionSettings,
    *,
    variables: Mapping[str, object],
    steps: list[_Step],
) -> None:
    from orchestration.baselines import baseline_directory
    from orchestration.pipeline import Progress as PipelineProgress
    from orchestration.pipeline import run_monitor
    from orchestration.reports import report_options

    names = {
        "parse": "Parse the dbt project",
        "dbt": "Build the marts with dbt",
        "evidently": "Test drift with Evidently",
        "dbt after evidently": "Build what shows both",
    }
    current: str | None = None
    began = time.perf_counter()

    with _bar("Parsing the dbt project", "") as advance:

        def follow(progress: PipelineProgress) -> None:
            nonlocal current, began
            if progress.step != current:
                if current is not None:
                    _note(steps, names[current], began, "")
                current, began = progress.step, time.perf_counter()
            advance(progress.done, progress.total, names[progress.step])

        run = run_monitor(
            settings,
            variables=variables,
            reports=report_options(os.environ),
            baselines=baseline_directory(os.environ),
            progress=follow,
        )
        if current is not None:
            _note(steps, names[current], began, "")

    outcomes = {
        "dbt": "; ".join(
            message.removeprefix("Driftline: ").removesuffix(".")
            for message in run.before.messages
        ),
        "evidently": f"{len(run.days)} days of monitors evaluated",
    }
    by_name = {names[step]: outcome for step, outcome in outcomes.items()}
    steps[:] = [
        _Step(
            name=step.name,
            seconds=step.seconds,
            outcome=by_name.get(step.name, step.outcome),
        )
        for step in steps
    ]


@contextmanager
def _timed(steps: list[_Step], name: str) -> Iterator[Callable[[str], None]]:
    """Time a step; what it yields takes the words for what came of it."""
    began = time.perf_counter()
    outcome = ""

    def told(words: str) -> None:
        nonlocal outcome
        outcome = words

    yield told
    _note(steps, name, began, outcome)


def _note(steps: list[_Step], name: str, began: float, outcome: str) -> None:
    seconds = time.perf_counter() - began
    steps.append(_Step(name=name, seconds=seconds, outcome=outcome))
    _out.print(f"[green]✓[/] {name} [dim]{seconds:.1f} s[/]")


@contextmanager
def _bar(description: str, unit: str) -> Iterator[Callable[..., None]]:
    """A bar that is told how much is done, of how much, and of what."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=_out,
        transient=True,
    ) as progress:
        task = progress.add_task(description, total=None)

        def advance(done: int, total: int | None, name: str | None = None) -> None:
            progress.update(
                task, completed=done, total=total, description=name or description
            )

        yield advance


def _print_statuses(statuses: list[MonitorStatus]) -> None:
    table = Table(
        "monitor",
        "predictions",
        "health",
        "data",
        "performance",
        "drift",
        title="Status of the newest day (marts.monitors)",
        title_justify="left",
    )
    table.columns[0].no_wrap = True
    table.columns[1].justify = "right"
    for each in statuses:
        table.add_row(
            each.monitor,
            f"{each.prediction_count:,}",
            *(
                f"[{_COLOURS[status]}]{status.replace('_', ' ')}[/]"
                for status in (
                    each.service_health,
                    each.data_quality,
                    each.model_performance,
                    each.drift,
                )
            ),
        )
    _out.print()
    _out.print(table)


def _print_columns(columns: list[ColumnFinding]) -> None:
    table = Table(
        "monitor",
        "column",
        "days drifted",
        "worst day",
        "score",
        title="Columns that drifted most often (marts.drift)",
        title_justify="left",
    )
    for index in (2, 4):
        table.columns[index].justify = "right"
    for each in columns:
        table.add_row(
            each.monitor,
            each.column_name,
            f"{each.drifted_days} of {each.days}",
            f"{each.worst_day:%Y-%m-%d}",
            f"{each.worst_score:.2f}",
        )
    _out.print()
    _out.print(table)


def _print_incidents(incidents: list[IncidentFinding]) -> None:
    table = Table(
        "injected",
        "from (UTC)",
        "what the marts show",
        "elsewhere",
        title="Injected incidents, and what the marts show of them",
        title_justify="left",
    )
    for each in incidents:
        table.add_row(
            f"{each.kind.replace('_', ' ')}"
            f" [dim]{escape(each.column_name or each.model_name or 'all models')}[/]",
            f"{each.started_at:%m-%d %H:%M}",
            f"[green]{each.family}[/] [dim]{escape(each.reason or 'flagged')}[/]"
            if each.is_shown
            else f"[red]not in {each.family} yet[/]",
            f"{each.other_alarms}/{each.other_windows}",
        )
    _out.print()
    _out.print(table)
    _out.print(
        "[dim]Elsewhere: how many of the windows without an injected incident the same"
        " figures flag too. Real weather drifts with the season.[/]"
    )


def _print_steps(steps: list[_Step], seconds: float) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for step in steps:
        table.add_row(step.name, f"{step.seconds:.1f} s", step.outcome)
    table.add_row("[bold]Together[/]", f"[bold]{seconds:.1f} s[/]", "")
    _out.print()
    _out.print(table)


def _print_next(report: Path) -> None:
    _out.print()
    _out.print("The report, for a browser:")
    # In one piece, so that it can be clicked or copied.
    _out.print(f"  [bold]{escape(report.as_uri())}[/]", soft_wrap=True)
    _out.print()
    _out.print("Next, try:")
    for command, purpose in (
        ("make ui", "Dagster: assets, checks and schedules in the browser"),
        (
            'psql "$(.venv/bin/driftline url --libpq)" -c'
            " 'select * from marts.monitors'",
            "the marts in SQL",
        ),
        ("make demo", "once more: only what has arrived since is computed"),
    ):
        _out.print(f"  [bold]{command}[/]  [dim]{purpose}[/]", soft_wrap=True)
