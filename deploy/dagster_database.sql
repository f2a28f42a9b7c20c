-- Run by psql when the Postgres of compose.yaml is made: Dagster's own database, apart
-- from the warehouse, and neither for everybody.
\getenv password DAGSTER_POSTGRES_PASSWORD
create role dagster login password :'password';
create database dagster owner dagster;
revoke connect, temporary on database dagster from public;
revoke connect, temporary on database driftline from public;
