"""A warehouse that each role has done its part of, and what the roles may do there."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql

from orchestration import warehouse
from orchestration.alerting.configuration import STANDARD_OUTPUT_ONLY
from orchestration.alerting.delivery import Outcome, deliver
from orchestration.pipeline import MonitorRun, run_monitor
from orchestration.project import Dbt
from orchestration.roles import LOADER, ROLES, TRANSFORMER, create_roles
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.prediction_log import write_small_log

ADMINISTRATOR = "administrator"
VERBS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")

_PRIVILEGES = """
    select role_name, nspname, relname, verb, has_table_privilege(role_name, oid, verb)
    from (
        select pg_class.oid, nspname, relname
        from pg_class
        inner join pg_namespace on pg_namespace.oid = relnamespace
        where relkind in ('r', 'v', 'm', 'p', 'f')
            and nspname !~ '^pg_' and nspname != 'information_schema'
    ) as relations
    cross join unnest(%s::text[]) as role_name
    cross join unnest(%s::text[]) as verb
"""

Granted = dict[tuple[str, str, str], set[str]]


@dataclass(frozen=True, kw_only=True)
class Privileges:
    """What the roles may do at one time.

    ``granted`` are the relations by role, schema and verb, ``relations`` those that
    there are, by schema.
    """

    granted: Granted
    relations: dict[str, set[str]]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A warehouse and who connects to it; what was done there, and what it allowed."""

    administrator: ConnectionSettings
    monitored: MonitorRun
    delivered: list[Outcome]
    privileges: dict[str, Privileges]

    def as_role(self, role: str) -> ConnectionSettings:
        return replace(self.administrator, user=role)


def privileges(settings: ConnectionSettings) -> Privileges:
    with warehouse.connect(settings) as connection:
        rows = connection.execute(_PRIVILEGES, [list(ROLES), list(VERBS)]).fetchall()
    granted: Granted = {}
    relations: dict[str, set[str]] = {}
    for role, schema, relation, verb, is_granted in rows:
        relations.setdefault(schema, set()).add(relation)
        if is_granted:
            granted.setdefault((role, schema, verb), set()).add(relation)
    return Privileges(granted=granted, relations=relations)


@pytest.fixture(scope="session")
def administrators_database(
    postgres: ConnectionSettings,
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
) -> Iterator[Callable[[], AbstractContextManager[ConnectionSettings]]]:
    """An empty database whose owner may make roles, and is no superuser."""
    with warehouse.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create role {ADMINISTRATOR} login createrole")

    @contextmanager
    def fresh() -> Iterator[ConnectionSettings]:
        with fresh_database() as settings:
            with warehouse.connect(postgres, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("alter database {} owner to {}").format(
                        sql.Identifier(settings.dbname), sql.Identifier(ADMINISTRATOR)
                    )
                )
            yield replace(settings, user=ADMINISTRATOR)

    yield fresh


@pytest.fixture(scope="session")
def stack(
    administrators_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """Loaded by the loader; built, evaluated, told, built anew by the transformer."""
    target_path: Path = tmp_path_factory.mktemp("roles-dbt")
    with administrators_database() as administrator:
        with warehouse.connect(administrator, autocommit=True) as connection:
            create_raw_schema(connection)
            create_roles(connection, passwords={})
        transformer = replace(administrator, user=TRANSFORMER)
        write_small_log(replace(administrator, user=LOADER))
        monitored = run_monitor(transformer, target_path=target_path)
        delivered = deliver(
            transformer,
            STANDARD_OUTPUT_ONLY,
            environ={},
            clock=lambda: datetime.now(UTC),
        )
        built = privileges(administrator)
        Dbt(transformer, target_path=target_path).build(["--full-refresh"])
        yield Stack(
            administrator=administrator,
            monitored=monitored,
            delivered=delivered,
            privileges={
                "first build": built,
                "full refresh": privileges(administrator),
            },
        )


@pytest.fixture
def initialised(
    administrators_database: Callable[[], AbstractContextManager[ConnectionSettings]],
) -> Iterator[ConnectionSettings]:
    """The administrator's database with the raw schema and the roles, nothing built."""
    with administrators_database() as administrator:
        with warehouse.connect(administrator, autocommit=True) as connection:
            create_raw_schema(connection)
            create_roles(connection, passwords={})
        yield administrator
