{{ config(materialized='view') }}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

failures as (

    select * from {{ ref('int_monitor_failures') }}

),

spans as (

    select * from {{ ref('int_traffic_spans') }}

),

ledger as (

    select
        monitor,
        sum(prediction_count)::bigint as prediction_count,
        min(first_predicted_at) as first_predicted_at,
        -- Unless a clock went wrong, nothing was predicted in the future.
        coalesce(
            max(last_predicted_at) filter (where last_predicted_at <= now()),
            max(last_predicted_at)
        ) as last_predicted_at,
        max(prediction_loaded_at) as last_loaded_at

    from {{ ref('int_window_ledger') }}

    group by monitor

),

-- The windows without a request since the newest one with any, of a week at most, and
-- the same a number of weeks before.
silences as (

    select
        spans.monitor,
        spans.traffic_grain,
        weeks.distance,
        spans.newest_window_end - weeks.distance as silent_from,
        least(now(), spans.newest_window_end + interval '168 hours') - weeks.distance
            as silent_until

    from spans

    cross join (
        values
        {%- for number in range(1, 5) %}
        (interval '{{ 168 * number }} hours'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as weeks (distance)

    where spans.newest_window_end - weeks.distance > spans.first_window_start

),

earlier_counts as (

    select
        silences.monitor,
        silences.distance,
        coalesce(sum(earlier.request_count), 0) as request_count

    from silences

    left join {{ ref('int_service_health') }} as earlier
        on
            silences.monitor = earlier.monitor
            and silences.traffic_grain = earlier.grain
            and earlier.model_version = 'all'
            and earlier.segment = 'all'
            and earlier.segment_value = 'all'
            and silences.silent_from <= earlier.window_start
            and silences.silent_until >= earlier.window_end

    group by silences.monitor, silences.distance

),

-- The median does not learn from an outage in one of these weeks.
expected as (

    select
        monitor,
        percentile_cont(0.5) within group (
            order by request_count
        ) as expected_request_count

    from earlier_counts

    group by monitor

),

-- The newest day whose labels are due, of those with predictions enough: no older one
-- may speak for performance, or labels that stop to come would pass unseen.
due_days as (

    select
        performance.monitor,
        max(performance.window_start) as window_start

    from {{ ref('model_performance') }} as performance

    inner join monitors
        on performance.monitor = monitors.monitor

    where
        performance.grain = 'day'
        and performance.model_version = 'all'
        and performance.segment = 'all'
        and performance.is_final
        and performance.prediction_count >= monitors.minimum_sample
        and performance.window_start <= now()

    group by performance.monitor

),

-- From when on days can matter: so that no more of the history is judged.
first_days as (

    select
        monitors.monitor,
        due_days.window_start as due_start,
        least(
            due_days.window_start, max(health.window_start) - interval '168 hours'
        ) as first_start

    from monitors

    inner join {{ ref('int_service_health') }} as health
        on monitors.monitor = health.monitor

    left join due_days
        on monitors.monitor = due_days.monitor

    where
        health.grain = 'day'
        and health.model_version = 'all'
        and health.segment = 'all'
        and health.window_start <= now()

    group by monitors.monitor, due_days.window_start

),

-- Days over all versions; those of the future come from clocks gone wrong.
days as (

    select
        statuses.*,
        case statuses.family
            when 'model_performance' then first_days.due_start
        end as due_start,
        max(statuses.window_start) over (
            partition by statuses.monitor
        ) as newest_start

    from first_days

    cross join lateral (
        select of_monitor.*
        from {{ ref('statuses') }} as of_monitor
        where
            of_monitor.monitor = first_days.monitor
            and of_monitor.grain = 'day'
            and of_monitor.model_version = 'all'
            and of_monitor.window_start >= first_days.first_start
            and of_monitor.window_start <= now()
        {{ planned_apart() }}
    ) as statuses

),

-- What each family says of the newest day that could be computed, since the first few
-- rows or labels of a new day say nothing yet: of the last seven days or, if it waits
-- for labels, since the newest day that should have them.
newest as (

    select
        *,
        row_number() over (
            partition by monitor, family
            order by
                status = 'not_computable',
                status = 'not_computable' and window_start is distinct from due_start,
                window_start desc
        ) as place

    from days

    where
        window_start >= due_start
        or (due_start is null and window_start > newest_start - interval '168 hours')

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

ages as (

    select
        monitors.monitor,
        {{ seconds_between('ledger.last_predicted_at', 'now()') }}
            as seconds_since_last_prediction,
        extract(epoch from monitors.freshness_limit)::double precision
            as freshness_limit_seconds,
        expected.expected_request_count,
        failures.failed_since,
        failures.reason as failure_reason

    from monitors

    left join ledger
        on monitors.monitor = ledger.monitor

    left join expected
        on monitors.monitor = expected.monitor

    left join failures
        on monitors.monitor = failures.monitor

),

-- If requests come one by one, the chance that none of n expected ones does is
-- exp(-n): one in a thousand for 6.9, one in a billion for 20.7.
freshness as (

    select
        *,
        case
            when failed_since is not null then 'not_computable'
            when seconds_since_last_prediction is null then 'not_computable'
            when seconds_since_last_prediction > 2 * freshness_limit_seconds
                then 'critical'
            when seconds_since_last_prediction > freshness_limit_seconds then 'warning'
            when freshness_limit_seconds is not null then 'ok'
            when expected_request_count is null then 'not_computable'
            when expected_request_count > 20.7 then 'critical'
            when expected_request_count > 6.9 then 'warning'
            else 'ok'
        end as freshness_status

    from ages

),

explained as (

    select
        *,
        case
            when freshness_status = 'ok' then null
            when failed_since is not null then failure_reason
            when seconds_since_last_prediction is null then 'no prediction yet'
            when freshness_status = 'not_computable'
                then 'no earlier week to compare with'
            else
                'no prediction for '
                || round((seconds_since_last_prediction / 3600)::numeric, 1)
                || ' hours, '
                || case
                    when freshness_limit_seconds is not null
                        then round((freshness_limit_seconds / 3600)::numeric, 1)
                            || ' are allowed'
                    else round(expected_request_count) || ' were expected since'
                end
        end as freshness_reason

    from freshness

),

described as (

    select
        monitors.monitor,
        monitors.task,
        monitors.owner,
        monitors.predictions_relation,
        monitors.baseline,
        monitors.baseline_kind,
        monitors.baseline_versions,
        monitors.reference_version,
        monitors.baseline_row_count,
        monitors.traffic_grain,
        monitors.column_grain,
        monitors.definition_hash,
        ledger.first_predicted_at,
        ledger.last_predicted_at,
        ledger.last_loaded_at,
        explained.seconds_since_last_prediction,
        explained.expected_request_count as expected_request_count_since_last,
        explained.freshness_limit_seconds,
        explained.freshness_status,
        explained.freshness_reason,
        coalesce(ledger.prediction_count, 0) as prediction_count,
        {%- for family in [
            'service_health', 'data_quality', 'model_performance', 'drift',
        ] %}
        case
            when explained.failed_since is null
                then coalesce(current_statuses.{{ family }}_status, 'not_computable')
            else 'not_computable'
        end as {{ family }}_status,
        {%- endfor %}
        -- A family that could not be computed is no pass.
        case
            when explained.failed_since is not null then 'not_computable'
            when current_statuses.severity = 3 then 'critical'
            when current_statuses.severity = 2 then 'warning'
            when current_statuses.computed_count = 4 then 'ok'
            else 'not_computable'
        end as status,
        coalesce(explained.failure_reason, current_statuses.reason) as reason,
        monitors.availability_target,
        monitors.latency_target_ms,
        monitors.latency_target_share,
        extract(epoch from monitors.labels_expected_within)::double precision
            as labels_expected_within_seconds,
        monitors.minimum_sample,
        explained.failed_since as unreadable_since

    from monitors

    left join ledger
        on monitors.monitor = ledger.monitor

    left join current_statuses
        on monitors.monitor = current_statuses.monitor

    left join explained
        on monitors.monitor = explained.monitor

)

select * from described
