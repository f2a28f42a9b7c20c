{{ config(materialized='view') }}

with

judged as (

    select
        monitor,
        model_version,
        'service_health' as family,
        grain,
        window_start,
        window_end,
        null as column_name,
        status,
        reason
    from {{ ref('service_health') }}
    where segment = 'all'

    union all

    select
        monitor,
        model_version,
        'data_quality' as family,
        grain,
        window_start,
        window_end,
        column_name,
        status,
        reason
    from {{ ref('data_quality') }}
    where segment = 'all' and role != 'actual'

    union all

    select
        monitor,
        model_version,
        'model_performance' as family,
        grain,
        window_start,
        window_end,
        null as column_name,
        status,
        reason
    from {{ ref('model_performance') }}
    -- Labels that stay away are no news until they are due.
    where segment = 'all' and (labelled_count > 0 or is_final)

    union all

    select
        monitor,
        model_version,
        'drift' as family,
        grain,
        window_start,
        window_end,
        column_name,
        status,
        reason
    from {{ ref('drift') }}
    where segment = 'all' and is_headline and role != 'actual'

),

severities as (

    select
        *,
        case status
            when 'critical' then 3
            when 'warning' then 2
            when 'ok' then 1
            else 0
        end as severity

    from judged

),

-- A window is as bad as its worst column. One that could not be computed is no pass,
-- but it does not hide a column that could.
worst as (

    select
        monitor,
        model_version,
        family,
        grain,
        window_start,
        window_end,
        max(severity) as severity,
        count(*) filter (where severity >= 2) as flagged_count,
        (
            array_agg(
                coalesce(column_name || ': ', '') || reason
                order by severity desc, column_name
            )
            filter (where reason is not null)
        )[1] as first_reason

    from severities

    group by monitor, model_version, family, grain, window_start, window_end

),

-- Read twice below, and yet only where it is asked for.
statuses as not materialized (

    select
        monitor,
        model_version,
        family,
        grain,
        window_start,
        window_end,
        case severity
            when 3 then 'critical'
            when 2 then 'warning'
            when 1 then 'ok'
            else 'not_computable'
        end as status,
        severity,
        case
            when severity = 1 then null
            when flagged_count > 1
                then first_reason || ', and ' || (flagged_count - 1) || ' more'
            else first_reason
        end as reason

    from worst

),

-- The days on which a monitor's relations could not be read, where nothing else is
-- known of them.
unread as (

    select
        failures.monitor,
        'all' as model_version,
        families.family,
        'day' as grain,
        days.window_start,
        {{ window_end('days.window_start', 'day') }} as window_end,
        'not_computable' as status,
        0 as severity,
        failures.reason

    from {{ ref('int_monitor_failures') }} as failures

    cross join (
        values
        ('service_health'), ('data_quality'), ('model_performance'), ('drift')
    ) as families (family)

    cross join lateral generate_series(
        {{ window_start('failures.failed_since', 'day') | indent(8) }},
        failures.failed_at,
        {{ window_length('day') }}
    ) as days (window_start)

    where
        not exists (
            select 1
            from statuses
            where
                statuses.monitor = failures.monitor
                and statuses.model_version = 'all'
                and statuses.family = families.family
                and statuses.grain = 'day'
                and statuses.window_start = days.window_start
            {{ planned_apart() }}
        )

),

all_statuses as (

    select * from statuses

    union all

    select * from unread

)

select * from all_statuses
