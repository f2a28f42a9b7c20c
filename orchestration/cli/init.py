"""``driftline init``: what must be there before anything is loaded or read."""

import os

import psycopg
import typer

from orchestration import warehouse
from orchestration.errors import WarehouseError
from orchestration.roles import READER, create_reader

_PASSWORD = "DRIFTLINE_READER_PASSWORD"


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Warehouse")(init)


def init() -> None:
    """Make the raw schema, and the role that dashboards read the marts with.

    The role is driftline_reader; its password is DRIFTLINE_READER_PASSWORD, if that is
    set. Run again, it changes nothing else.
    """
    # pandas and what it brings take a second to import; `driftline --help` has no use
    # for them.
    from simulator.loading import create_raw_schema

    settings = warehouse.settings(os.environ)
    password = os.environ.get(_PASSWORD)
    with warehouse.connect(settings, autocommit=True) as connection:
        try:
            create_raw_schema(connection)
            create_reader(connection, password=password)
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"{settings.user} may not do this: {error.diag.message_primary}. "
                "Run it as a role that may create schemas and roles."
            ) from error
    print(f"Schema raw and role {READER} are there.")
    if password is None:
        print(f"The role has no new password: set {_PASSWORD} to give it one.")
