"""The database roles, for who loads, transforms and reads, and the SQL of them."""

from collections.abc import Mapping
from importlib.resources import files

import psycopg
from psycopg import sql

LOADER = "driftline_loader"
TRANSFORMER = "driftline_transformer"
READER = "driftline_reader"
ROLES = (LOADER, TRANSFORMER, READER)

# Where the transformer makes its tables.
BUILT_SCHEMAS = ("staging", "intermediate", "evidently", "operations", "marts")


def may_make_roles(connection: psycopg.Connection) -> bool:
    """Whether the current role may."""
    row = connection.execute(
        "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
    ).fetchone()
    return bool(row and row[0])


def create_roles(
    connection: psycopg.Connection, *, passwords: Mapping[str, str]
) -> None:
    """Make the roles, or make them again what they should be; commits.

    The schema ``raw`` must be there. A role that ``passwords`` does not name keeps the
    password that it has, if any. What the transformer, or the current role, creates in
    ``marts`` from now on, also by a full refresh, can be read by the reader. Raises
    ``psycopg.Error`` if the current role may not do all of it; then nothing is changed.
    """
    with connection.transaction():
        connection.execute(_script("roles.sql"))
        for role, password in passwords.items():
            # Hashed here, so that no server's log can hold the password.
            verifier = connection.pgconn.encrypt_password(
                password.encode(), role.encode(), b"scram-sha-256"
            )
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(role), sql.Literal(verifier.decode())
                )
            )


def hand_over(connection: psycopg.Connection) -> None:
    """Make the transformer own what the current role has built; commits."""
    with connection.transaction():
        connection.execute(_script("hand_over.sql"))


def own_relations(connection: psycopg.Connection) -> int:
    """How many tables and views of the transformer's schemas the current role owns."""
    row = connection.execute(
        "select count(*) from pg_class"
        " where relnamespace in (select oid from pg_namespace where nspname = any(%s))"
        " and relkind in ('r', 'p', 'v', 'm')"
        " and relowner = (select oid from pg_roles where rolname = current_user)",
        [list(BUILT_SCHEMAS)],
    ).fetchone()
    return int(row[0]) if row else 0


def roles_script(*, hands_over: bool = False) -> str:
    """The SQL of :func:`create_roles`, and of :func:`hand_over`, for ``psql``."""
    names = ["roles.sql", *(["hand_over.sql"] if hands_over else [])]
    return "\n\n".join(_script(name).decode() for name in names)


def _script(name: str) -> bytes:
    return files("orchestration").joinpath(name).read_bytes()
