"""``driftline init``: what must be there before anything is loaded or read."""

import os
from importlib.resources import files
from typing import Annotated

import psycopg
import typer

from orchestration import warehouse
from orchestration.errors import WarehouseError
from orchestration.roles import (
    LOADER,
    READER,
    ROLES,
    TRANSFORMER,
    create_roles,
    hand_over,
    may_make_roles,
    own_relations,
    roles_script,
)

PASSWORD_VARIABLES = {
    LOADER: "DRIFTLINE_LOADER_PASSWORD",
    TRANSFORMER: "DRIFTLINE_TRANSFORMER_PASSWORD",
    READER: "DRIFTLINE_READER_PASSWORD",
}


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel="Warehouse")(init)


def init(
    roles: Annotated[
        bool,
        typer.Option(
            help="Whether to make the roles; it takes the right to make roles."
        ),
    ] = True,
    hands_over: Annotated[
        bool,
        typer.Option(
            "--hand-over",
            help="Give driftline_transformer the tables and views that you have built, "
            "so that it can replace them; with --print-sql, those of who runs the SQL.",
        ),
    ] = False,
    print_sql: Annotated[
        bool,
        typer.Option(
            "--print-sql",
            help="Do nothing but print the SQL, for an administrator to run with psql.",
        ),
    ] = False,
) -> None:
    """Make the raw schema, and the roles that load, transform and read.

    The roles are driftline_loader, driftline_transformer and driftline_reader, with
    the passwords of DRIFTLINE_LOADER_PASSWORD, DRIFTLINE_TRANSFORMER_PASSWORD and
    DRIFTLINE_READER_PASSWORD. docs/deployment.md says what each may do.

    Run again, it changes nothing but that.
    """
    if hands_over and not roles:
        raise WarehouseError("--hand-over needs the roles: leave out --no-roles.")
    if print_sql:
        _print_sql(roles=roles, hands_over=hands_over)
        return
    # pandas and what it brings take a second to import; `driftline --help` has no use
    # for them.
    from simulator.loading import create_raw_schema

    settings = warehouse.settings(os.environ)
    passwords = {
        role: os.environ[variable]
        for role, variable in PASSWORD_VARIABLES.items()
        if os.environ.get(variable)
    }
    with warehouse.connect(settings, autocommit=True) as connection:
        if roles and not may_make_roles(connection):
            raise WarehouseError(
                f"{settings.user} may not make roles. Give an administrator of the "
                "database what `driftline init --print-sql` prints; or make the raw "
                "schema alone, with --no-roles."
            )
        try:
            create_raw_schema(connection)
            if roles:
                create_roles(connection, passwords=passwords)
            if hands_over:
                hand_over(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise WarehouseError(
                f"{settings.user} may not do this: {error.diag.message_primary}. Give "
                "an administrator of the database what `driftline init --print-sql` "
                "prints."
            ) from error
        if not roles:
            print("The schema raw is there.")
            return
        built = own_relations(connection)
    print(f"The schema raw is there, and the roles {LOADER}, {TRANSFORMER}, {READER}.")
    for role in ROLES:
        if role not in passwords:
            print(
                f"{role} has no new password: {PASSWORD_VARIABLES[role]} would set one."
            )
    if built:
        print(
            f"Of the tables and views, {built} that {settings.user} built stay its "
            f"own. If {TRANSFORMER} is to replace them: `driftline init --hand-over`."
        )


def _print_sql(*, roles: bool, hands_over: bool) -> None:
    raw_schema = files("simulator").joinpath("raw_schema.sql").read_text()
    print("begin;\n")
    print(raw_schema)
    if roles:
        print(roles_script(hands_over=hands_over))
    print("commit;")
