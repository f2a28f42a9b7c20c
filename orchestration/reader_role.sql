-- The role with which Grafana and other BI tools read the marts, and nothing else.
--
-- Run it as the role that dbt uses, in the database of the warehouse, as often as you
-- like. It sets no password: `alter role driftline_reader password '…'`, or \password in
-- psql, which sends only a hash.

do $$
begin
    if not exists (select from pg_roles where rolname = 'driftline_reader') then
        create role driftline_reader;
    end if;
end
$$;

alter role driftline_reader with login noinherit connection limit 16;

-- What a dashboard may ask: no writing even where a grant would allow it, nothing that
-- runs for long, and every time in UTC.
alter role driftline_reader set default_transaction_read_only = on;
alter role driftline_reader set statement_timeout = '30s';
alter role driftline_reader set idle_in_transaction_session_timeout = '60s';
alter role driftline_reader set timezone = 'UTC';

-- Before the first `dbt build` there is none.
create schema if not exists marts;
grant usage on schema marts to driftline_reader;
grant select on all tables in schema marts to driftline_reader;

-- dbt makes tables and views anew, all of them with --full-refresh: what the current role
-- creates in this schema from now on can be read too.
alter default privileges in schema marts grant select on tables to driftline_reader;
