-- Run by psql when the Postgres of compose.yaml is made, after reader_role.sql.
\getenv password DRIFTLINE_READER_PASSWORD
alter role driftline_reader password :'password';
