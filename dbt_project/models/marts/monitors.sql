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

-- What each family says of its newest day: the worst of its rows over all versions.
statuses as (

    select
        monitor,
        'service_health' as family,
        window_start,
        status,
        reason
    from {{ ref('service_health') }}
    where grain = 'day' and model_version = 'all' and segment = 'all'

    union all

    select
        monitor,
        'data_quality' as family,
        window_start,
        status,
        column_name || ': ' || reason as reason
    from {{ ref('data_quality') }}
    where grain = 'day' and model_version = 'all' and role != 'actual'

    union all

    select
        monitor,
        'model_performance' as family,
        window_start,
        status,
        reason
    from {{ ref('model_performance') }}
    where grain = 'day' and model_version = 'all' and segment = 'all' and labelled_count > 0

    union all

    select
        monitor,
        'drift' as family,
        window_start,
        status,
        column_name || ': ' || reason as reason
    from {{ ref('drift') }}
    where grain = 'day' and model_version = 'all' and engine = 'sql' and method = 'psi' and role != 'actual'

),

ranked as (

    select
        *,
        row_number() over (
            partition by monitor, family
            order by
                window_start desc,
                case status when 'critical' then 1 when 'warning' then 2 when 'ok' then 3 else 4 end,
                reason
        ) as position

    from statuses

),

current_statuses as (

    select
        monitor,
        max(status) filter (where family = 'service_health') as service_health_status,
        max(status) filter (where family = 'data_quality') as data_quality_status,
        max(status) filter (where family = 'model_performance') as model_performance_status,
        max(status) filter (where family = 'drift') as drift_status,
        min(case status when 'critical' then 1 when 'warning' then 2 when 'ok' then 3 else 4 end) as severity,
        string_agg(
            family || ' ' || status || coalesce(' (' || reason || ')', ''), '; ' order by family
        ) filter (where status != 'ok') as reason

    from ranked

    where position = 1

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
        {{ seconds_between('ledger.last_predicted_at', 'now()') }} as seconds_since_last_prediction,
        coalesce(ledger.prediction_count, 0) as prediction_count,
        coalesce(current_statuses.service_health_status, 'not_computable') as service_health_status,
        coalesce(current_statuses.data_quality_status, 'not_computable') as data_quality_status,
        coalesce(current_statuses.model_performance_status, 'not_computable') as model_performance_status,
        coalesce(current_statuses.drift_status, 'not_computable') as drift_status,
        case current_statuses.severity
            when 1 then 'critical'
            when 2 then 'warning'
            when 3 then 'ok'
            else 'not_computable'
        end as status,
        current_statuses.reason

    from monitors

    left join ledger
        on monitors.monitor = ledger.monitor

    left join current_statuses
        on monitors.monitor = current_statuses.monitor

)

select * from described
