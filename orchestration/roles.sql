-- The three roles that Driftline's parts connect as, each with what it needs and no more:
--
--   driftline_loader       adds to the schema raw; it can't change or delete what is there, nor
--                          read more of it than the keys that tell duplicates
--   driftline_transformer  reads raw, and makes the schemas of dbt, Evidently and alerts
--   driftline_reader       reads the marts, for Grafana and other BI tools
--
-- Run after raw_schema.sql, in the database of the warehouse, by a role that may make
-- roles and schemas; as often as you like. It sets no password: `driftline init` does, or
-- \password in psql, which sends only a hash.

select pg_advisory_xact_lock(hashtextextended('driftline.roles', 0));

do $$
declare
    role_name text;
begin
    foreach role_name in array array[
        'driftline_loader', 'driftline_transformer', 'driftline_reader'
    ]
    loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
        execute format('alter role %I with login noinherit', role_name);
        -- For databases in which not everybody may.
        execute format(
            'grant connect on database %I to %I', current_database(), role_name
        );
    end loop;
    execute format(
        'grant temporary on database %I to driftline_loader, driftline_transformer',
        current_database()
    );
    -- What the transformer makes is looked after by who runs this, too: see the default
    -- privileges below. A superuser need not be told.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant driftline_transformer to current_user;
    end if;
end
$$;

create schema if not exists staging;
create schema if not exists intermediate;
create schema if not exists evidently;
create schema if not exists operations;
create schema if not exists marts;


-- The loader. Tables of the log that are made later are its own affair: months are, and
-- they are written through raw.prediction_logs.

grant usage on schema raw to driftline_loader;
grant insert on
    raw.prediction_logs,
    raw.ground_truth,
    raw.baseline_logs,
    raw.deployments,
    raw.simulated_incidents,
    raw.simulations,
    raw.quarantine,
    raw.loads
    to driftline_loader;

-- What tells a row that is there already, and which simulation is replayed.
grant select (prediction_id, predicted_at) on raw.prediction_logs to driftline_loader;
grant select (prediction_id, actual, observed_at) on raw.ground_truth
    to driftline_loader;
grant select (prediction_id) on raw.baseline_logs to driftline_loader;
-- A simulation notes how far it has got.
grant select, update (served_until) on raw.simulations to driftline_loader;

grant usage on sequence raw.loads_load_id_seq to driftline_loader;
grant execute on function
    raw.make_month(timestamptz),
    raw.analyze_table(text)
    to driftline_loader;


-- The transformer. It owns what it makes; the schemas stay whose they are, so that it can
-- drop none.

grant usage on schema raw to driftline_transformer;
grant select on all tables in schema raw to driftline_transformer;
alter default privileges in schema raw grant select on tables to driftline_transformer;
grant usage, create on schema staging, intermediate, evidently, operations, marts
    to driftline_transformer;


-- The reader: no writing even where a grant would allow it, nothing that runs for long,
-- every time in UTC.

alter role driftline_reader with connection limit 16;
alter role driftline_reader set default_transaction_read_only = on;
alter role driftline_reader set statement_timeout = '30s';
alter role driftline_reader set idle_in_transaction_session_timeout = '60s';
alter role driftline_reader set timezone = 'UTC';

grant usage on schema marts to driftline_reader;
grant select on all tables in schema marts to driftline_reader;

-- dbt makes tables and views anew, all of them with --full-refresh: what the transformer,
-- or who runs this, creates in this schema from now on can be read too.
alter default privileges for role driftline_transformer in schema marts
    grant select on tables to driftline_reader;
alter default privileges in schema marts grant select on tables to driftline_reader;
