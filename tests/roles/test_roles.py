"""Each role can do its work, also after a full refresh, and nothing else."""

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from orchestration import warehouse
from orchestration.roles import (
    BUILT_SCHEMAS,
    LOADER,
    READER,
    ROLES,
    TRANSFORMER,
    create_roles,
    hand_over,
    own_relations,
    roles_script,
)
from orchestration.warehouse import ConnectionSettings
from simulator.loading import (
    LoadCounts,
    Simulation,
    analyze,
    claim_simulation,
    held_until,
    load_lines,
    record_served_until,
)
from simulator.records import Target
from tests.roles.conftest import VERBS, Stack

ALL = None
LOADED = {
    "prediction_logs",
    "ground_truth",
    "baseline_logs",
    "deployments",
    "simulated_incidents",
    "simulations",
    "quarantine",
    "loads",
}

# Which relations of a schema a role may use a verb on; none where nothing is said.
GRANTED: dict[tuple[str, str, str], set[str] | None] = {
    (LOADER, "raw", "insert"): LOADED,
    (LOADER, "raw", "select"): {"simulations"},
    (TRANSFORMER, "raw", "select"): ALL,
    (READER, "marts", "select"): ALL,
    # It owns what it makes.
    **{(TRANSFORMER, schema, verb): ALL for schema in BUILT_SCHEMAS for verb in VERBS},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("schema", ["raw", *BUILT_SCHEMAS])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("moment", ["first build", "full refresh"])
def test_a_role_may_do_this_and_no_more(
    stack: Stack, moment: str, role: str, schema: str, verb: str
) -> None:
    found = stack.privileges[moment]
    expected = GRANTED.get((role, schema, verb), set())
    if expected is ALL:
        expected = found.relations[schema]
        assert expected
    assert found.granted.get((role, schema, verb), set()) == expected


def test_both_moments_had_relations_to_look_at(stack: Stack) -> None:
    first, refreshed = stack.privileges.values()
    assert first.relations.keys() == {"raw", *BUILT_SCHEMAS}
    assert first.relations == refreshed.relations


def test_the_transformer_did_all_of_its_work(stack: Stack) -> None:
    assert stack.monitored.days
    assert all(day.failure is None for day in stack.monitored.days)
    assert [outcome.failure for outcome in stack.delivered] == [None]
    with warehouse.connect(stack.as_role(READER)) as connection:
        engines = connection.execute("select distinct engine from marts.drift")
        assert {engine for (engine,) in engines} == {"sql", "evidently"}


def test_the_loader_reads_only_what_tells_a_duplicate(stack: Stack) -> None:
    with warehouse.connect(stack.administrator) as connection:
        readable = connection.execute(
            """
            select attrelid::regclass::text, array_agg(attname::text order by attname)
            from pg_attribute
            inner join pg_class on pg_class.oid = attrelid
            where relnamespace = 'raw'::regnamespace
                and relkind in ('r', 'p')
                and attnum > 0
                and has_column_privilege(%s, attrelid, attnum, 'select')
            group by attrelid
            """,
            [LOADER],
        ).fetchall()
    columns: dict[str, list[str]] = dict(readable)
    assert "seed" in columns.pop("raw.simulations")
    assert columns == {
        "raw.prediction_logs": ["predicted_at", "prediction_id"],
        "raw.ground_truth": ["actual", "observed_at", "prediction_id"],
        "raw.baseline_logs": ["prediction_id"],
    }


def test_schemas_can_be_used_and_created_in_by_those_who_need_it(stack: Stack) -> None:
    with warehouse.connect(stack.administrator) as connection:
        rows = connection.execute(
            """
            select role_name, privilege, array_agg(nspname::text order by nspname)
            from pg_namespace
            cross join unnest(%s::text[]) as role_name
            cross join (values ('usage'), ('create')) as privileges (privilege)
            where nspname !~ '^pg_'
                -- What everybody may is not ours to say.
                and nspname not in ('information_schema', 'public')
                and has_schema_privilege(role_name, oid, privilege)
            group by role_name, privilege
            """,
            [list(ROLES)],
        ).fetchall()
    assert {(role, privilege): schemas for role, privilege, schemas in rows} == {
        (LOADER, "usage"): ["raw"],
        (TRANSFORMER, "usage"): sorted(["raw", *BUILT_SCHEMAS]),
        (TRANSFORMER, "create"): sorted(BUILT_SCHEMAS),
        (READER, "usage"): ["marts"],
    }


def test_functions_and_counters_of_raw_are_for_the_loader(stack: Stack) -> None:
    with warehouse.connect(stack.administrator) as connection:
        functions = connection.execute(
            "select role_name, proname::text from pg_proc"
            " cross join unnest(%s::text[]) as role_name"
            " where pronamespace = 'raw'::regnamespace"
            " and has_function_privilege(role_name, oid, 'execute')",
            [list(ROLES)],
        ).fetchall()
        sequences = connection.execute(
            "select role_name, relname::text from pg_class"
            " cross join unnest(%s::text[]) as role_name"
            " where relnamespace = 'raw'::regnamespace and relkind = 'S'"
            " and has_sequence_privilege(role_name, oid, 'usage, select, update')",
            [list(ROLES)],
        ).fetchall()
    assert sorted(functions) == [(LOADER, "analyze_table"), (LOADER, "make_month")]
    assert sequences == [(LOADER, "loads_load_id_seq")]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_power_over_the_server(stack: Stack, role: str) -> None:
    with warehouse.connect(stack.administrator) as connection:
        attributes = connection.execute(
            "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
            " has_database_privilege(rolname, current_database(), 'create'),"
            " exists (select from pg_auth_members where member = pg_roles.oid)"
            " from pg_roles where rolname = %s",
            [role],
        ).fetchone()
    assert attributes is not None
    assert not any(attributes)


# What they can do is tried, too: what a catalogue says is not yet what happens.


def prediction(number: int) -> dict[str, object]:
    return {
        "prediction_id": f"p{number}",
        "model_name": "churn",
        "model_version": "1",
        "predicted_at": "2027-01-31T23:59:59Z",
        "features": {"age": number},
        "prediction": 0.5,
    }


def lines(*records: object) -> io.BufferedReader:
    text = "\n".join(map(json.dumps, records)).encode()
    return io.BufferedReader(io.BytesIO(gzip.compress(text)))


def test_the_loader_loads_drops_duplicates_and_makes_months(
    initialised: ConnectionSettings,
) -> None:
    loader = replace(initialised, user=LOADER)
    target = Target.PREDICTION_LOGS
    with warehouse.connect(loader, autocommit=True) as connection:
        first = load_lines(
            connection,
            lines(prediction(1), prediction(2), "none"),
            target=target,
            source="one",
        )
        second = load_lines(
            connection, lines(prediction(2), prediction(3)), target=target, source="two"
        )
        label = {
            "prediction_id": "p1",
            "actual": "yes",
            "observed_at": "2027-02-01T00:00:00Z",
        }
        labels = [
            load_lines(
                connection, lines(label), target=Target.GROUND_TRUTH, source="labels"
            )
            for _ in range(2)
        ]
        analyze(connection, target)
    assert first == LoadCounts(loaded=2, quarantined=1)
    assert second == LoadCounts(loaded=1, duplicates=1)
    assert labels == [LoadCounts(loaded=1), LoadCounts(duplicates=1)]
    with warehouse.connect(initialised) as connection:
        assert connection.execute(
            "select count(*), min(tableoid::regclass::text) from raw.prediction_logs"
        ).fetchone() == (3, "raw.prediction_logs_2027_01")
        assert connection.execute(
            "select last_analyze is not null from pg_stat_user_tables"
            " where relid = 'raw.prediction_logs'::regclass"
        ).fetchone() == (True,)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (LOADER, "select features from raw.prediction_logs"),
        (LOADER, "delete from raw.prediction_logs"),
        (LOADER, "update raw.ground_truth set actual = '1'"),
        (LOADER, "truncate raw.loads"),
        (LOADER, "create table raw.mine (number int)"),
        (LOADER, "drop table raw.prediction_logs_default"),
        (LOADER, "select count(*) from marts.monitors"),
        (TRANSFORMER, "insert into raw.deployments values ('a', '1', now(), null)"),
        (TRANSFORMER, "select raw.make_month(now())"),
        (TRANSFORMER, "drop table raw.ground_truth"),
        (TRANSFORMER, "drop schema marts cascade"),
        (TRANSFORMER, "create schema mine"),
        (TRANSFORMER, "create role somebody"),
        (READER, "select count(*) from raw.prediction_logs"),
        (READER, "select count(*) from staging.stg_flights__flight_delay"),
        (READER, "select count(*) from intermediate.int_monitors"),
        (READER, "select count(*) from evidently.drift_results"),
        (READER, "select count(*) from operations.mutes"),
        (READER, "delete from marts.data_quality"),
        (READER, "create table marts.mine (number int)"),
        *(
            (role, f"set role {other}")
            for role in ROLES
            for other in ROLES
            if other != role
        ),
    ],
)
def test_what_a_role_may_not_do_fails(stack: Stack, role: str, statement: str) -> None:
    with warehouse.connect(stack.as_role(role)) as connection:
        connection.execute("set transaction read write")
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement.encode())


def test_a_reader_writes_nothing_runs_for_no_long_time_and_is_in_utc(
    stack: Stack,
) -> None:
    settings = stack.as_role(READER)
    # Not by our own `connect`, which sets the zone itself.
    with psycopg.connect(settings.conninfo(), autocommit=True) as connection:
        with pytest.raises(ReadOnlySqlTransaction):
            connection.execute("create temporary table mine (number int)")
        shown = [
            connection.execute(f"show {name}".encode()).fetchone()
            for name in ("timezone", "statement_timeout")
        ]
    assert shown == [("UTC",), ("30s",)]


@pytest.fixture
def builder(initialised: ConnectionSettings) -> Iterator[psycopg.Connection]:
    """Who made the roles, and builds with dbt itself."""
    with warehouse.connect(initialised, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("role", [None, TRANSFORMER])
def test_a_mart_that_is_made_anew_can_be_read(
    initialised: ConnectionSettings, builder: psycopg.Connection, role: str | None
) -> None:
    who = initialised if role is None else replace(initialised, user=role)
    # Twice: it may be run at any time.
    create_roles(builder, passwords={})
    with warehouse.connect(who) as connection:
        # As dbt does it with --full-refresh.
        connection.execute(
            """
            create table marts.old as select 0 as number;
            create table marts.old__dbt_tmp as select 1 as number;
            alter table marts.old rename to old__dbt_backup;
            alter table marts.old__dbt_tmp rename to old;
            drop table marts.old__dbt_backup cascade;
            create view marts.new as select number from marts.old;
            """
        )
    with warehouse.connect(replace(initialised, user=READER)) as connection:
        for mart in ("old", "new"):
            query = sql.SQL("select number from {}").format(
                sql.Identifier("marts", mart)
            )
            assert connection.execute(query).fetchall() == [(1,)]


def test_the_loader_notes_how_far_its_simulation_is(
    initialised: ConnectionSettings,
) -> None:
    began = datetime(2026, 11, 1, tzinfo=UTC)
    simulation = Simulation(
        seed=1,
        scenario="none",
        scenario_digest="",
        is_shifted=True,
        shift_weeks=1,
        served_from=began,
    )
    loader = replace(initialised, user=LOADER)
    with warehouse.connect(loader, autocommit=True) as connection:
        claim_simulation(connection, simulation)
        record_served_until(connection, began + timedelta(days=1))

        assert held_until(connection) == began + timedelta(days=1)


def test_what_was_built_before_is_handed_over_when_asked(
    initialised: ConnectionSettings, builder: psycopg.Connection
) -> None:
    builder.execute(
        """
        create table operations.kept (
            number bigint generated by default as identity primary key
        );
        create view marts.shown as select number from operations.kept;
        create function intermediate.one() returns integer language sql as 'select 1';
        """
    )
    create_roles(builder, passwords={})
    assert own_relations(builder) == 2

    hand_over(builder)

    assert own_relations(builder) == 0
    with warehouse.connect(replace(initialised, user=TRANSFORMER)) as connection:
        connection.execute(
            "create or replace function intermediate.one() returns integer"
            " language sql as 'select 2'"
        )
        connection.execute(
            "drop view marts.shown; drop table operations.kept;"
            " drop function intermediate.one()"
        )


def test_a_role_gets_a_password_only_if_one_is_given(
    initialised: ConnectionSettings,
    builder: psycopg.Connection,
    postgres: ConnectionSettings,
) -> None:
    def stored() -> dict[str, str | None]:
        with warehouse.connect(postgres) as connection:
            rows = connection.execute(
                "select rolname, rolpassword from pg_authid where rolname = any(%s)",
                [list(ROLES)],
            )
            return dict(rows.fetchall())

    try:
        create_roles(builder, passwords={READER: "it's 100 % secret"})
        create_roles(builder, passwords={})

        passwords = stored()
        assert str(passwords.pop(READER)).startswith("SCRAM-SHA-256$")
        assert passwords == {LOADER: None, TRANSFORMER: None}
    finally:
        builder.execute(f"alter role {READER} password null")


def test_the_script_is_what_psql_can_run(builder: psycopg.Connection) -> None:
    builder.execute(f"begin; {roles_script(hands_over=True)}; commit".encode())
