"""The reader can read the marts, whenever dbt makes them anew, and nothing else."""

from dataclasses import replace

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from orchestration import warehouse
from orchestration.roles import READER, create_reader
from orchestration.warehouse import ConnectionSettings

VERBS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
SCHEMAS = ("raw", "staging", "intermediate", "evidently", "marts")


def rows(settings: ConnectionSettings, query: str) -> list[tuple[object, ...]]:
    with warehouse.connect(settings) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_only_selects_from_marts_are_granted(
    built_marts: ConnectionSettings, schema: str, verb: str
) -> None:
    granted = {
        allowed
        for (allowed,) in rows(
            built_marts,
            f"""
            select has_table_privilege('{READER}', oid, '{verb}')
            from pg_class
            where relnamespace = '{schema}'::regnamespace
                and relkind in ('r', 'v', 'm', 'p', 'f')
            """,
        )
    }
    assert granted == {(schema, verb) == ("marts", "select")}


def test_no_schema_but_marts_can_be_used_and_none_created_in(
    built_marts: ConnectionSettings,
) -> None:
    privileges = rows(
        built_marts,
        f"""
        select
            nspname::text,
            has_schema_privilege('{READER}', oid, 'usage'),
            has_schema_privilege('{READER}', oid, 'create')
        from pg_namespace
        where nspname !~ '^pg_' and nspname != 'information_schema'
        """,
    )
    assert {name for name, usage, _ in privileges if usage} == {"marts", "public"}
    assert not any(create for _, _, create in privileges)


def test_the_role_has_no_power_over_the_server(
    built_marts: ConnectionSettings,
) -> None:
    [attributes] = rows(
        built_marts,
        f"""
        select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
        from pg_roles where rolname = '{READER}'
        """,
    )
    assert not any(attributes)
    assert (
        rows(
            built_marts,
            f"select roleid from pg_auth_members where member = '{READER}'::regrole",
        )
        == []
    )


def test_reading_elsewhere_and_writing_fail(reader: psycopg.Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        reader.execute("select count(*) from raw.prediction_logs")
    with pytest.raises(InsufficientPrivilege):
        reader.execute("select count(*) from intermediate.int_monitors")
    with pytest.raises(ReadOnlySqlTransaction):
        reader.execute("create table marts.mine (number int)")
    reader.execute("set default_transaction_read_only = off")
    try:
        with pytest.raises(InsufficientPrivilege):
            reader.execute("create table marts.mine (number int)")
        with pytest.raises(InsufficientPrivilege):
            reader.execute("delete from marts.data_quality")
    finally:
        reader.execute("reset default_transaction_read_only")


def test_times_are_in_utc(reader: psycopg.Connection) -> None:
    assert reader.execute("show timezone").fetchone() == ("UTC",)


def test_a_mart_that_is_made_anew_can_be_read(
    database: ConnectionSettings, reader_role: str
) -> None:
    with warehouse.connect(database) as connection:
        connection.execute("create schema marts; create table marts.old (number int)")
        # Twice: it may be run at any time.
        create_reader(connection, password=None)
        create_reader(connection, password=None)
    with warehouse.connect(database) as connection:
        # As dbt does it with --full-refresh.
        connection.execute(
            """
            create table marts.old__dbt_tmp as select 1 as number;
            alter table marts.old rename to old__dbt_backup;
            alter table marts.old__dbt_tmp rename to old;
            drop table marts.old__dbt_backup cascade;
            create view marts.new as select number from marts.old;
            """
        )
    as_reader = replace(database, user=reader_role)
    assert rows(as_reader, "select number from marts.old") == [(1,)]
    assert rows(as_reader, "select number from marts.new") == [(1,)]


def test_the_role_gets_a_password_only_if_one_is_given(
    database: ConnectionSettings, reader_role: str
) -> None:
    stored = f"select rolpassword from pg_authid where rolname = '{reader_role}'"
    with warehouse.connect(database) as connection:
        create_reader(connection, password=None)
    assert rows(database, stored) == [(None,)]

    with warehouse.connect(database) as connection:
        create_reader(connection, password="it's 100 % secret")
        create_reader(connection, password=None)

    ((verifier,),) = rows(database, stored)
    assert str(verifier).startswith("SCRAM-SHA-256$")
