"""The database role that dashboards read the marts with, and nothing else."""

from importlib.resources import files

import psycopg
from psycopg import sql

READER = "driftline_reader"


def create_reader(connection: psycopg.Connection, *, password: str | None) -> None:
    """Make the role, or make it again what it should be; commits.

    Run it as the role that dbt uses: what that one creates in ``marts`` from now on,
    also by a full refresh, can be read. Without a password, the role keeps the one it
    has, if any. Raises ``psycopg.Error`` if the current role may not create roles.
    """
    script = files("orchestration").joinpath("reader_role.sql").read_bytes()
    with connection.transaction():
        connection.execute(script)
        if password is not None:
            # Hashed here, so that no server's log can hold the password.
            verifier = connection.pgconn.encrypt_password(
                password.encode(), READER.encode(), b"scram-sha-256"
            )
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(READER), sql.Literal(verifier.decode())
                )
            )
