{{ config(materialized='view') }}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

ledger as (

    select
        monitor,
        sum(prediction_count)::bigint as prediction_count,
        min(first_predicted_at) as first_predicted_at,
        max(last_predicted_at) as last_predicted_at,
        max(prediction_loaded_at) as last_loaded_at

    from {{ ref('int_window_ledger') }}

    group by monitor

),

-- What each family says of its newest day over all versions: of performance, the newest
-- with labels enough, since the first few of a new day say nothing yet.
newest as (

    select
        *,
        row_number() over (
            partition by monitor, family
            order by
                family = 'model_performance' and status = 'not_computable',
                window_start desc
        ) as place

    from {{ ref('statuses') }}

    where grain = 'day' and model_version = 'all'

),

current_statuses as (

    select
        monitor,
        max(status) filter (where family = 'service_health') as service_health_status,
        max(status) filter (where family = 'data_quality') as data_quality_status,
        max(status) filter (where family = 'model_performance')
            as model_performance_status,
        max(status) filter (where family = 'drift') as drift_status,
        max(severity) as severity,
        count(*) filter (where severity > 0) as computed_count,
        string_agg(
            family || ' ' || status || coalesce(' (' || reason || ')', ''), '; '
            order by severity desc, family
        ) filter (where status != 'ok') as reason

    from newest

    where place = 1

    group by monitor

),

described as (

    select
        monitors.monitor,
        monitors.task,
        monitors.owner,
        monitors.predictions_relation,
        monitors.baseline,
        ledger.first_predicted_at,
        ledger.last_predicted_at,
        ledger.last_loaded_at,
        {{ seconds_between('ledger.last_predicted_at', 'now()') }}
            as seconds_since_last_prediction,
        coalesce(ledger.prediction_count, 0) as prediction_count,
        coalesce(current_statuses.service_health_status, 'not_computable')
            as service_health_status,
        coalesce(current_statuses.data_quality_status, 'not_computable')
            as data_quality_status,
        coalesce(current_statuses.model_performance_status, 'not_computable')
            as model_performance_status,
        coalesce(current_statuses.drift_status, 'not_computable')
            as drift_status,
        -- A family that could not be computed is no pass.
        case
            when current_statuses.severity = 3 then 'critical'
            when current_statuses.severity = 2 then 'warning'
            when current_statuses.computed_count = 4 then 'ok'
            else 'not_computable'
        end as status,
        current_statuses.reason,
        monitors.availability_target,
        monitors.latency_target_ms,
        monitors.latency_target_share,
        extract(epoch from monitors.labels_expected_within)::double precision
            as labels_expected_within_seconds,
        monitors.minimum_sample

    from monitors

    left join ledger
        on monitors.monitor = ledger.monitor

    left join current_statuses
        on monitors.monitor = current_statuses.monitor

)

select * from described
