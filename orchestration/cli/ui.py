"""``driftline ui``: Dagster's user interface."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration import warehouse
from orchestration.environment import dagster_home, subprocess_environment
from orchestration.errors import DriftlineError

_HOST = "127.0.0.1"
_USUAL_PORT = 3000
_CHECKOUT = Path(__file__).parents[2]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Pipeline")(ui)


def ui(
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"Port of {_HOST}; by default {_USUAL_PORT}, or a free one if that "
            "is taken.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open Dagster on this machine: assets, runs, checks, schedules."""
    chosen = _free_port(port)
    settings = warehouse.settings(os.environ)
    home = warehouse.home(os.environ)
    if settings.is_embedded:
        settings = warehouse.start(home)
    else:
        warehouse.connect(settings).close()
    environment = subprocess_environment(settings, os.environ)
    environment["DAGSTER_HOME"] = str(dagster_home(home))
    # Dagster's successor to this command is one more package, for developers.
    environment["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    dagster = Path(sys.executable).with_name("dagster")
    arguments = [str(dagster), "dev", "--host", _HOST, "--port", str(chosen)]
    # Where pyproject.toml tells Dagster what to load.
    os.chdir(_CHECKOUT)
    print(f"Dagster at http://{_HOST}:{chosen} (Ctrl-C stops it)", flush=True)
    # A shell starts background jobs with SIGINT ignored, which an exec passes on:
    # Dagster would stop its webserver, and wait for the rest for ever.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # In our place, so that Ctrl-C and signals reach it alone.
    os.execve(dagster, arguments, environment)


def _free_port(wanted: int | None) -> int:
    """The wanted port, or the usual one, or any free one if that is taken."""
    for candidate in [wanted] if wanted else [_USUAL_PORT, 0]:
        with socket.socket() as probe:
            # As the server will: a port that just closed is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise DriftlineError(
        f"Port {wanted} of {_HOST} is taken by another program: choose another with "
        "`driftline ui --port`."
    )
