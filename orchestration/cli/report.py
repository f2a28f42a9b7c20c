"""``driftline report``: the marts as one HTML file."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration import warehouse
from orchestration.errors import DriftlineError
from orchestration.warehouse import ConnectionSettings


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Pipeline")(report)


def report(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write; by default report.html in .driftline/.",
            show_default=False,
            dir_okay=False,
        ),
    ] = None,
    monitors: Annotated[
        list[str] | None,
        typer.Option(
            "--monitor",
            "-m",
            help="Only this monitor; may be given several times.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, help="How many days, up to the newest prediction.")
    ] = 90,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="The first day (UTC), instead of --days.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a report on the monitored models: one HTML file that needs no network."""
    path = write_report(
        warehouse.settings(os.environ),
        output or default_report(),
        monitors=monitors or [],
        days=days,
        since=since.replace(tzinfo=UTC) if since else None,
    )
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB).")


def default_report() -> Path:
    """Where the report goes if nobody says."""
    return warehouse.home(os.environ) / "report.html"


def write_report(
    settings: ConnectionSettings,
    path: Path,
    *,
    monitors: Sequence[str] = (),
    days: int = 90,
    since: datetime | None = None,
) -> Path:
    """Read the marts, write the page, and return its absolute path.

    Raises ``DriftlineError`` if there is nothing to read, or the file can't be written.
    """
    # What draws takes a moment to import; `driftline --help` has no use for it.
    from orchestration.reporting.page import render
    from orchestration.reporting.reading import read_report

    with warehouse.connect(settings) as connection:
        # All of it as of one moment, also while a run refreshes the marts.
        connection.execute("set transaction isolation level repeatable read, read only")
        content = read_report(
            connection,
            now=datetime.now(UTC),
            monitors=monitors,
            days=days,
            since=since,
        )
    page = render(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever has the old one open, or reads it just now, has a whole one.
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise DriftlineError(
            f"The report can't be written to {path}: {error.strerror}."
        ) from error
    return path.absolute()
