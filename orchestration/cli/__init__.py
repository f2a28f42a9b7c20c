"""The ``driftline`` command: one module for each group of commands.

A module of commands has a function ``register(app)``; list the module below.
"""

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from orchestration.cli import (
    delivery,
    incidents,
    init,
    pipeline,
    report,
    reports,
    rules,
    server,
    ui,
)
from orchestration.errors import DriftlineError


class _Commands(TyperGroup):
    """Prints an expected error as its one sentence, without a traceback."""

    # Typer brings a Click of its own, whose types are private.
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DriftlineError as error:
            console = Console(stderr=True, highlight=False, soft_wrap=True)
            console.print("Error:", style="bold red", end=" ")
            console.print(str(error), markup=False)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="driftline",
    cls=_Commands,
    help="Monitor machine-learning models from the warehouse.",
    epilog=(
        "The warehouse is the Postgres of DRIFTLINE_DATABASE_URL or of the PG* "
        "variables; without any, an embedded one in .driftline/."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback's local variables could show a password.
    pretty_exceptions_show_locals=False,
)

for _module in (
    server,
    init,
    pipeline,
    report,
    reports,
    ui,
    incidents,
    delivery,
    rules,
):
    _module.register(app)
