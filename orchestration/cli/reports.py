"""``driftline reports``: where Evidently's reports are, and what they say."""

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration import warehouse

_out = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Pipeline")(reports)


def reports(
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of the index alone.")
    ] = False,
) -> None:
    """List Evidently's reports in HTML, and say where their index is."""
    # pandas takes a second to import; `driftline --help` has no use for it.
    from orchestration.reports import ReportOptions, Reports

    found = Reports(ReportOptions(directory=warehouse.home(os.environ) / "reports"))
    if path:
        print(found.index)
        return
    entries = found.entries()
    if not entries:
        _out.print("There are no reports yet: run `driftline monitor`.")
        return
    table = Table("monitor", "day", "rows", "drifted columns", "classifier")
    for position in (2, 4):
        table.columns[position].justify = "right"
    for entry in entries:
        area = entry.classifier_area
        table.add_row(
            entry.monitor,
            entry.day,
            f"{entry.row_count:,}",
            escape(", ".join(entry.drifted_columns)),
            "" if area is None else f"{area:.2f}",
        )
    _out.print(table)
    _out.print(f"Index: {escape(str(found.index))}", soft_wrap=True)
