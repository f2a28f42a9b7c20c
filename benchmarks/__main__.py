"""The command line: ``python -m benchmarks --help``."""

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.bench import FULL, QUICK, Bench, Sizes, temporary_server
from benchmarks.history import measure_history
from benchmarks.loading import measure_json
from benchmarks.machine import describe
from benchmarks.measure import Figure
from benchmarks.other_tools import PEERS, measure_peers
from benchmarks.results import (
    FIGURE_HEADINGS,
    RATIO_HEADINGS,
    Results,
    figure_cells,
    machine_lines,
    markdown,
    ratio_cells,
    read_results,
)
from benchmarks.wide import measure_wide
from orchestration import warehouse
from orchestration.embedded import EmbeddedServer
from orchestration.warehouse import ConnectionSettings

RESULTS = Path(__file__).resolve().parent.parent / "build" / "benchmarks.json"


class Step(StrEnum):
    """What can be measured apart."""

    LOAD = "load"
    JSON = "json"
    WIDE = "wide"
    EVALUATION = "evaluation"
    EVIDENTLY = "evidently"
    NANNYML = "nannyml"
    WHYLOGS = "whylogs"
    HISTORY = "history"
    DASHBOARDS = "dashboards"


app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)
_out = Console()
# A file, or a log of a build server, has no width of its own.
_out = _out if _out.is_terminal else Console(width=120)
_err = Console(stderr=True, highlight=False)


@app.command()
def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="A few rows, only to see that it works.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option(min=1000, help="Predictions of the big log.")
    ] = None,
    only: Annotated[
        list[Step] | None,
        typer.Option(help="Measure only this; may be repeated. All if not given."),
    ] = None,
    skip_peers: Annotated[
        bool, typer.Option("--skip-peers", help="Leave the other tools out.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the rows.")] = 7,
    json: Annotated[
        Path, typer.Option(dir_okay=False, help="Where to write everything measured.")
    ] = RESULTS,
    show: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Measure nothing: print an earlier run's JSON as Markdown.",
        ),
    ] = None,
) -> None:
    """Measure Driftline against a bare scan, bare COPY and other tools.

    It starts a Postgres of its own in a temporary directory (TMPDIR says where) and
    removes it at the end. The whole takes three quarters of an hour on two cores, and
    six gigabytes of disk.
    """
    if show is not None:
        _out.print(markdown(read_results(show)), soft_wrap=True, markup=False, end="")
        return
    steps = set(only or Step)
    if skip_peers:
        steps -= {Step(name) for name in PEERS}
    sizes = QUICK if quick else FULL
    if rows is not None:
        sizes = replace(sizes, rows=rows)
    with temporary_server() as (home, settings):
        with warehouse.connect(settings, autocommit=True) as connection:
            machine = {
                "measured_on": datetime.now(UTC).date().isoformat(),
                **describe(connection),
                "sizes": {**asdict(sizes), "seed": seed},
            }
        results = Results(machine=machine)
        _measure(steps, _bench(home, settings, sizes, seed, results, json))
    _print(results, json)


def _measure(steps: set[Step], bench: Bench) -> None:
    peers = [name for name in PEERS if Step(name) in steps]
    if steps & {Step.LOAD, Step.JSON}:
        measure_json(bench, build=Step.JSON in steps)
    if steps & {Step.WIDE, Step.EVALUATION}:
        measure_wide(
            bench, evaluate=Step.EVALUATION in steps, read_sql=Step.EVIDENTLY in steps
        )
    if peers:
        measure_peers(bench, peers)
    if steps & {Step.HISTORY, Step.DASHBOARDS}:
        measure_history(
            bench,
            refreshes=Step.HISTORY in steps,
            dashboards=Step.DASHBOARDS in steps,
        )


def _bench(
    home: Path,
    settings: ConnectionSettings,
    sizes: Sizes,
    seed: int,
    results: Results,
    path: Path,
) -> Bench:
    postmaster = EmbeddedServer(home).postmaster()
    assert postmaster is not None
    work = home / "work"
    work.mkdir()

    def report(key: str, figure: Figure) -> None:
        results.figures[key] = figure
        # What is known is kept, also if the run is ended.
        results.write(path)
        _err.print(f"  {figure.title}: {figure.seconds:.2f} s", markup=False)

    def skip(name: str, reason: str) -> None:
        results.skipped[name] = reason
        results.write(path)
        _err.print(f"  {name} is left out: {reason}", markup=False)

    def progress(text: str) -> None:
        _err.print(f"{datetime.now(UTC):%H:%M:%S} {text}", style="dim", markup=False)

    return Bench(
        server=settings,
        postmaster=postmaster.pid,
        directory=work,
        sizes=sizes,
        seed=seed,
        report=report,
        skip=skip,
        progress=progress,
    )


def _print(results: Results, path: Path) -> None:
    for headings, rows in (
        (FIGURE_HEADINGS, figure_cells(results.figures)),
        (RATIO_HEADINGS, ratio_cells(results)),
    ):
        table = Table(*headings[:1])
        for heading in headings[1:]:
            table.add_column(heading, justify="right")
        for row in rows:
            table.add_row(*row)
        _out.print(table)
    for line in machine_lines(results.machine):
        _out.print(line, markup=False, highlight=False)
    for name, reason in results.skipped.items():
        _out.print(f"Not measured: {name} ({reason})", markup=False)
    where = os.path.relpath(path)
    _out.print(f"Everything, each model's own time included, is in {where}.")


if __name__ == "__main__":
    app()
