"""``driftline up``, ``down``, ``status``, ``url`` and ``env``: the warehouse."""

import os
import shlex
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestration import warehouse

_PANEL = "Warehouse"


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (up, down, status, url, env):
        app.command(rich_help_panel=_PANEL)(command)


def up(
    port: Annotated[
        int | None,
        typer.Option(
            min=1024,
            max=65535,
            help="Listen on this port of 127.0.0.1 too, for programs that can't use "
            "the socket. A password is asked for there.",
        ),
    ] = None,
) -> None:
    """Start the embedded Postgres and make its database."""
    settings = warehouse.settings(os.environ)
    if not settings.is_embedded:
        # Proves that it can be used, and is recent enough.
        warehouse.connect(settings).close()
        _print_state(settings, note=f"chosen by {settings.source}; nothing to start")
        return
    home = warehouse.home(os.environ)
    was_running = warehouse.is_running(home)
    settings = warehouse.start(home, port=port)
    _print_state(settings, note="already running" if was_running else "started")


def down() -> None:
    """Stop the embedded Postgres; its data stays."""
    settings = warehouse.settings(os.environ)
    if not settings.is_embedded:
        print(f"The warehouse is chosen by {settings.source}; nothing to stop.")
        return
    home = warehouse.home(os.environ)
    if warehouse.stop(home):
        print(f"Stopped the embedded Postgres of {home}.")
    else:
        print(f"The embedded Postgres of {home} was not running.")


def status() -> None:
    """Show which warehouse is used, and whether it answers."""
    _print_state(warehouse.settings(os.environ), note="answers")


def url(
    libpq: Annotated[
        bool, typer.Option("--libpq", help="As psql wants it: no driver's name.")
    ] = False,
) -> None:
    """Print the warehouse's SQLAlchemy URL, with its password."""
    settings = warehouse.settings(os.environ)
    print(settings.url(driver=None if libpq else "psycopg"))


def env() -> None:
    """Print the PG* variables, with the password: eval "$(driftline env)"."""
    for name, value in warehouse.settings(os.environ).environ().items():
        print(f"export {name}={shlex.quote(value)}")


def _print_state(settings: warehouse.ConnectionSettings, *, note: str) -> None:
    with warehouse.connect(settings) as connection:
        version = connection.info.parameter_status("server_version")
        row = connection.execute(
            "select pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Postgres", f"{version}, {note}")
    table.add_row("Server", settings.place)
    if settings.is_embedded and (
        port := warehouse.tcp_port(warehouse.home(os.environ))
    ):
        table.add_row("", f"127.0.0.1:{port}, for roles that have a password")
    table.add_row("Database", f"{settings.dbname}, {row[0] if row else 'unknown size'}")
    console = Console(highlight=False)
    console.print(table)
    if settings.is_embedded and not _is_where_dbt_looks(settings):
        console.print(
            "\nIts socket is not where dbt looks, beside dbt_project/. In each shell, "
            "before dbt:"
        )
        console.print('  eval "$(driftline env)"', style="bold")
    console.print("\nNext, one of:", style="dim")
    console.print("  driftline demo", style="bold")
    console.print("  cd dbt_project && dbt build", style="bold")
    console.print('  psql "$(driftline url --libpq)"', style="bold")


def _is_where_dbt_looks(settings: warehouse.ConnectionSettings) -> bool:
    """Whether dbt_project/profiles.yml leads to the embedded server by itself."""
    return settings.host == str(warehouse.home(os.environ) / "run")
