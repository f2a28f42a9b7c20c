"""``driftline init``: what must be there before anything is loaded or read."""

import os
from typing import Annotated

import psycopg
import typer

from orchestration import warehouse
from orchestration.errors import WarehouseError
from orchestration.roles import READER, create_reader

_PASSWORD = "DRIFTLINE_READER_PASSWORD"


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Warehouse")(init)


def init(
    reader: Annotated[
        bool,
        typer.Option(
            help="Whether to make the role; it takes the right to make roles."
        ),
    ] = True,
) -> None:
    """Make the raw schema, and the role that dashboards read the marts with.

    The role is driftline_reader, its password that of DRIFTLINE_READER_PASSWORD.

    Run again, it changes nothing but that.
    """
    # pandas and what it brings take a second to import; `driftline --help` has no use
    # for them.
    from simulator.loading import create_raw_schema

    settings = warehouse.settings(os.environ)
    password = os.environ.get(_PASSWORD)
    with warehouse.connect(settings, autocommit=True) as connection:
        try:
            create_raw_schema(connection)
            if reader:
                create_reader(connection, password=password)
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"{settings.user} may not do this: {error.diag.message_primary}. "
                "Run it as a role that may, or with --no-reader."
            ) from error
    print(f"Schema raw{f' and role {READER} are' if reader else ' is'} there.")
    if reader and password is None:
        print(f"The role has no new password: set {_PASSWORD} to give it one.")
