{{ config(materialized='view') }}

with

injected as (

    select * from {{ simulated_incidents() | indent(4) }}

),

traffic as (

    select
        monitor,
        grain,
        window_start,
        window_end
    from {{ ref('int_service_health') }}
    where model_version = 'all' and segment = 'all'

),

-- What an incident leaves behind, such as a burn rate of three days, is gone some time
-- after its end.
loud as (

    select
        model_name,
        started_at,
        ended_at + interval '24 hours' as ended_at

    from injected

),

days as (

    select
        traffic.monitor,
        {{ window_start('traffic.window_start', 'week') | indent(8) }} as week_start,
        not exists (
            select 1
            from loud
            where
                coalesce(loud.model_name, traffic.monitor) = traffic.monitor
                and loud.started_at < traffic.window_end
                and loud.ended_at > traffic.window_start
        ) as is_quiet

    from traffic

    where traffic.grain = 'day'

),

quiet_days as (

    select
        monitor,
        week_start,
        count(*) as day_count,
        count(*) filter (where is_quiet) as quiet_day_count

    from days

    group by monitor, week_start

),

false_episodes as (

    select
        episodes.monitor,
        episodes.family,
        {{ window_start('episodes.started_at', 'week') | indent(8) }} as week_start,
        episodes.column_name,
        episodes.rule_id,
        episodes.severity

    from {{ ref('int_alert_episodes') }} as episodes

    where not exists (
        select 1
        from loud
        where
            coalesce(loud.model_name, episodes.monitor) = episodes.monitor
            and loud.started_at < episodes.opened_at
            and loud.ended_at > episodes.started_at
    )

),

counted as (

    select
        monitor,
        family,
        week_start,
        count(*) as alarm_count,
        count(*) filter (where severity = 2) as critical_count,
        array_agg(distinct rule_id) as rule_ids,
        array_agg(distinct column_name) as column_names

    from false_episodes

    group by monitor, family, week_start

),

false_alarms as (

    select
        quiet_days.monitor,
        families.family,
        quiet_days.week_start,
        quiet_days.day_count,
        quiet_days.quiet_day_count,
        coalesce(counted.alarm_count, 0) as alarm_count,
        coalesce(counted.critical_count, 0) as critical_count,
        coalesce(counted.rule_ids, '{}') as rule_ids,
        coalesce(counted.column_names, '{}') as column_names

    from quiet_days

    cross join (
        values ('service_health'), ('data_quality'), ('drift'), ('model_performance')
    ) as families (family)

    left join counted
        on
            quiet_days.monitor = counted.monitor
            and quiet_days.week_start = counted.week_start
            and families.family = counted.family

)

select * from false_alarms
