-- The raw layer: what arrived, append-only. Idempotent: runs before every load.

create schema if not exists raw;

comment on schema raw is
    'What services, batch jobs or the simulator sent, append-only, with loaded_at.';


create table if not exists raw.prediction_logs (
    prediction_id text not null,
    model_name text not null,
    model_version text not null,
    predicted_at timestamptz not null,
    features jsonb not null,
    prediction jsonb,
    latency_ms double precision,
    status_code integer,
    error text,
    loaded_at timestamptz not null default now(),
    primary key (prediction_id, predicted_at)
) partition by range (predicted_at);

-- No plan depends on what is in them, and sampling JSON is most of the cost of ANALYZE.
alter table raw.prediction_logs
    alter column features set statistics 0,
    alter column prediction set statistics 0;

create index if not exists prediction_logs_model_name_predicted_at_idx
    on raw.prediction_logs (model_name, predicted_at);

create index if not exists prediction_logs_loaded_at_idx
    on raw.prediction_logs using brin (loaded_at);

create table if not exists raw.prediction_logs_default
    partition of raw.prediction_logs default;

comment on table raw.prediction_logs is
    'Requests to models, as their services logged them. Partitioned by month of '
    'predicted_at (UTC), so retention is dropping partitions; the loader makes a month '
    'when it is first needed. Grain: one row per prediction_id and predicted_at.';
comment on column raw.prediction_logs.prediction_id is
    'Names the request; the key by which labels arrive and replays are recognised.';
comment on column raw.prediction_logs.model_name is 'The model that was asked.';
comment on column raw.prediction_logs.model_version is
    'The version of the model that answered.';
comment on column raw.prediction_logs.predicted_at is 'When the model was asked.';
comment on column raw.prediction_logs.features is
    'A flat JSON object: what the model was given, by feature. NaN and the infinities, '
    'which JSON lacks, are the strings "NaN", "Infinity" and "-Infinity".';
comment on column raw.prediction_logs.prediction is
    'A number, a label, or an object with "label" and "scores"; null if the request '
    'failed.';
comment on column raw.prediction_logs.latency_ms is
    'Time to answer, in milliseconds.';
comment on column raw.prediction_logs.status_code is
    'HTTP status of the answer; 500 and above is a failure.';
comment on column raw.prediction_logs.error is 'Why the request failed.';
comment on column raw.prediction_logs.loaded_at is
    'When the load that brought the row committed, or moments before.';
comment on table raw.prediction_logs_default is
    'For rows written by others than the loader into a month that has no partition yet; '
    'the loader moves them when it makes that partition.';


create table if not exists raw.ground_truth (
    prediction_id text not null,
    actual jsonb not null,
    observed_at timestamptz not null,
    loaded_at timestamptz not null default now(),
    primary key (prediction_id, loaded_at)
);

create index if not exists ground_truth_loaded_at_idx
    on raw.ground_truth using brin (loaded_at);

comment on table raw.ground_truth is
    'What really happened, append-only: a restated label is a new row, and the newest '
    'loaded_at wins. Grain: one row per prediction_id and loaded_at.';
comment on column raw.ground_truth.prediction_id is
    'The prediction that this judges; it may be unknown, or arrive later.';
comment on column raw.ground_truth.actual is
    'A number or a label; "true" or "false" where the outcome is yes or no.';
comment on column raw.ground_truth.observed_at is 'When the outcome was known.';
comment on column raw.ground_truth.loaded_at is
    'When the load that brought the row committed, or moments before.';


create table if not exists raw.baseline_logs (
    prediction_id text primary key,
    model_name text not null,
    model_version text not null,
    predicted_at timestamptz not null,
    features jsonb not null,
    prediction jsonb,
    actual jsonb,
    latency_ms double precision,
    status_code integer,
    error text,
    loaded_at timestamptz not null default now()
);

alter table raw.baseline_logs
    alter column features set statistics 0,
    alter column prediction set statistics 0;

create index if not exists baseline_logs_model_name_predicted_at_idx
    on raw.baseline_logs (model_name, predicted_at);

comment on table raw.baseline_logs is
    'What each version of a model predicted on its validation data, as a training job '
    'writes it. Grain: one row per prediction_id.';
comment on column raw.baseline_logs.prediction_id is
    'Names the prediction; unlike that of any other version or of served requests.';
comment on column raw.baseline_logs.model_name is 'The model that was validated.';
comment on column raw.baseline_logs.model_version is 'The version that was validated.';
comment on column raw.baseline_logs.predicted_at is
    'When the validated event happened.';
comment on column raw.baseline_logs.features is
    'A flat JSON object, as in raw.prediction_logs.';
comment on column raw.baseline_logs.prediction is
    'A number, a label, or an object with "label" and "scores".';
comment on column raw.baseline_logs.actual is
    'A number or a label; null if the outcome never came to be known.';
comment on column raw.baseline_logs.latency_ms is
    'Time to answer, in milliseconds, where it was measured.';
comment on column raw.baseline_logs.status_code is 'As in raw.prediction_logs.';
comment on column raw.baseline_logs.error is 'As in raw.prediction_logs.';
comment on column raw.baseline_logs.loaded_at is
    'When the load that brought the row committed, or moments before.';


create table if not exists raw.deployments (
    model_name text not null,
    model_version text not null,
    deployed_at timestamptz not null,
    note text,
    primary key (model_name, model_version, deployed_at)
);

comment on table raw.deployments is
    'Which version of a model began to serve, and when. '
    'Grain: one row per model_name, model_version and deployed_at.';
comment on column raw.deployments.model_name is 'The model.';
comment on column raw.deployments.model_version is 'The version that began to serve.';
comment on column raw.deployments.deployed_at is 'When it began to serve.';
comment on column raw.deployments.note is 'What the one who deployed it wrote.';


create table if not exists raw.simulated_incidents (
    incident_id text primary key,
    scenario text not null,
    kind text not null,
    model_name text,
    model_version text,
    column_name text,
    started_at timestamptz not null,
    ended_at timestamptz not null check (ended_at > started_at),
    family text not null check (
        family in ('service_health', 'data_quality', 'model_performance', 'drift')
    ),
    size text not null,
    description text not null,
    level text check (level in ('obvious', 'moderate', 'subtle'))
);

-- For warehouses that were made before there were levels.
alter table raw.simulated_incidents
    add column if not exists
    level text check (level in ('obvious', 'moderate', 'subtle'));

comment on table raw.simulated_incidents is
    'What the simulator injected, when, and which family of figures ought to show it, so '
    'that detection can be scored. Grain: one row per incident_id.';
comment on column raw.simulated_incidents.incident_id is
    'The name of the incident in its scenario.';
comment on column raw.simulated_incidents.scenario is 'The scenario it belongs to.';
comment on column raw.simulated_incidents.kind is
    'What was done, for example "nulls" or "outage".';
comment on column raw.simulated_incidents.model_name is
    'The only model it touches; null if it touches all.';
comment on column raw.simulated_incidents.model_version is
    'The only version it touches; null if it touches all.';
comment on column raw.simulated_incidents.column_name is
    'The feature it touches, or prediction_id where that repeats; null if it touches '
    'none.';
comment on column raw.simulated_incidents.started_at is 'Its start, inclusive.';
comment on column raw.simulated_incidents.ended_at is
    'Its end, exclusive; later than the last prediction while it goes on.';
comment on column raw.simulated_incidents.family is
    'The family of figures that shows it first: service_health, data_quality, '
    'model_performance or drift.';
comment on column raw.simulated_incidents.size is 'How strong it is, in words.';
comment on column raw.simulated_incidents.description is 'What happened, in a sentence.';
comment on column raw.simulated_incidents.level is
    'How strong it is, compared with the noise of a day: obvious, moderate or subtle; '
    'null if its scenario gave numbers instead.';


create table if not exists raw.simulations (
    seed bigint not null,
    scenario text not null,
    scenario_digest text not null,
    is_shifted boolean not null,
    shift_weeks integer not null,
    served_from timestamptz not null,
    served_until timestamptz,
    created_at timestamptz not null default now()
);

-- For warehouses that were made before this was kept.
alter table raw.simulations
    add column if not exists served_until timestamptz;

-- One warehouse holds one simulation: two on top of each other would be one set of
-- models with double traffic.
create unique index if not exists simulations_only_one_idx
    on raw.simulations ((true));

comment on table raw.simulations is
    'The simulation that this warehouse holds, so that a later run continues it. '
    'Grain: at most one row.';
comment on column raw.simulations.seed is 'Its random seed.';
comment on column raw.simulations.scenario is 'The name of its scenario.';
comment on column raw.simulations.scenario_digest is
    'SHA-256 of what the scenario says, as hexadecimal digits.';
comment on column raw.simulations.is_shifted is
    'Whether 2013 was moved towards the present.';
comment on column raw.simulations.shift_weeks is
    'By how many weeks it was moved; fixed by the first run.';
comment on column raw.simulations.served_from is
    'When its models began to serve, on the shifted clock.';
comment on column raw.simulations.served_until is
    'Before which time all of its rows are loaded, on the shifted clock; null until its '
    'first run is complete.';
comment on column raw.simulations.created_at is 'When the first run began.';


create table if not exists raw.quarantine (
    quarantine_id bigint generated by default as identity primary key,
    load_id bigint not null,
    target text not null,
    line_number bigint not null,
    payload text not null,
    reason text not null,
    loaded_at timestamptz not null default now()
);

create unique index if not exists quarantine_target_reason_payload_idx
    on raw.quarantine (target, reason, md5(payload));

comment on table raw.quarantine is
    'Lines that could not be loaded, whole, with the reason. '
    'Grain: one row per target, reason and payload.';
comment on column raw.quarantine.quarantine_id is 'Numbers the rows.';
comment on column raw.quarantine.load_id is 'The row of raw.loads that met it first.';
comment on column raw.quarantine.target is 'The table for which it was meant.';
comment on column raw.quarantine.line_number is
    'Where it stood in its file, counted from 1.';
comment on column raw.quarantine.payload is
    'The line as it came. Bytes that are not UTF-8, and the zero character, which '
    'Postgres cannot store, are written as escapes such as \xff and \x00.';
comment on column raw.quarantine.reason is 'Why it could not be loaded.';
comment on column raw.quarantine.loaded_at is 'When it was put here.';


create table if not exists raw.loads (
    load_id bigint generated by default as identity primary key,
    source text not null,
    target text not null,
    started_at timestamptz not null,
    loaded_at timestamptz not null,
    received_count bigint not null,
    loaded_count bigint not null,
    duplicate_count bigint not null,
    quarantined_count bigint not null,
    constraint loads_every_line_is_accounted_for check (
        received_count = loaded_count + duplicate_count + quarantined_count
    )
);

comment on table raw.loads is
    'One row per transaction that loaded lines; a large file takes several.';
comment on column raw.loads.load_id is 'Numbers the loads.';
comment on column raw.loads.source is 'The file or service that the lines came from.';
comment on column raw.loads.target is 'The table for which they were meant.';
comment on column raw.loads.started_at is 'When reading them began.';
comment on column raw.loads.loaded_at is
    'The loaded_at of every row that this load brought.';
comment on column raw.loads.received_count is
    'Lines that came; blank lines do not count.';
comment on column raw.loads.loaded_count is 'Lines that became rows.';
comment on column raw.loads.duplicate_count is
    'Lines that were there already, in the table, the quarantine or the same load.';
comment on column raw.loads.quarantined_count is 'Lines put into raw.quarantine.';


-- What only the owner of these tables may do, for those to whom it grants these
-- functions: a loader then need not own the log, nor be able to delete from it.

create or replace function raw.make_month(month timestamptz) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    starts timestamptz := date_trunc('month', month);
    ends timestamptz := date_trunc('month', month) + interval '1 month';
    partition text := 'prediction_logs_' || to_char(month, 'YYYY_MM');
begin
    if to_regclass(format('raw.%I', partition)) is not null then
        return;
    end if;
    -- Rows that others wrote into this month are in the default partition, which must
    -- give them up before the month can be attached.
    lock table raw.prediction_logs_default in access exclusive mode;
    execute format(
        'create table raw.%I (like raw.prediction_logs including defaults)', partition
    );
    -- As above of the whole; "like" does not copy it.
    execute format(
        'alter table raw.%I'
        ' alter column features set statistics 0,'
        ' alter column prediction set statistics 0',
        partition
    );
    execute format(
        'with moved as ('
        'delete from raw.prediction_logs_default'
        ' where predicted_at >= %L and predicted_at < %L returning *'
        ') insert into raw.%I select * from moved',
        starts, ends, partition
    );
    execute format(
        'alter table raw.prediction_logs attach partition raw.%I'
        ' for values from (%L) to (%L)',
        partition, starts, ends
    );
exception
    when invalid_object_definition then
        -- Partitions that somebody made by another rule cover this time already.
        null;
end
$function$;

comment on function raw.make_month(timestamptz) is
    'Makes the partition of raw.prediction_logs for the month (UTC) of a time, if there '
    'is none.';

create or replace function raw.analyze_table(name text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    execute format('analyze raw.%I', name);
end
$function$;

comment on function raw.analyze_table(text) is
    'Gives the planner fresh statistics of a table of this schema.';

revoke execute on function raw.make_month(timestamptz), raw.analyze_table(text)
    from public;
