{{ config(materialized='view') }}

with

injected as (

    select * from {{ simulated_incidents() | indent(4) }}

),

monitors as (

    select * from {{ ref('int_monitors') }}

),

spans as (

    select * from {{ ref('int_traffic_spans') }}

),

episodes as (

    select
        *,
        family in ('data_quality', 'drift')
        and column_name not in (
            'prediction',
            'score',
            'actual',
            'prediction_id',
            '(all features)',
            '(dataset)'
        ) as is_of_feature

    from {{ ref('int_alert_episodes') }}

),

-- Every monitor that an incident touched while there was traffic.
touched as (

    select
        injected.*,
        monitors.monitor,
        case injected.family
            when 'service_health' then monitors.traffic_grain
            else monitors.column_grain
        end as grain

    from injected

    inner join monitors
        on coalesce(injected.model_name, monitors.monitor) = monitors.monitor

    inner join spans
        on monitors.monitor = spans.monitor

    where
        injected.started_at < spans.newest_window_end
        and injected.ended_at > spans.first_window_start

),

first_windows as (

    select
        *,
        {{ window_start_of('started_at', 'grain') | indent(8) }} as first_start,
        {{ window_length_of('grain') | indent(8) }} as window_length

    from touched

),

-- An incident can be seen at the end of the first window that it fills by half, or lies
-- in.
visible as (

    select
        *,
        first_start + window_length * case
            when ended_at <= first_start + window_length then 1
            when first_start + window_length - started_at >= window_length / 2 then 1
            else 2
        end as visible_at

    from first_windows

),

-- What began while it lasted, and can be its effect: in its own column, or in what no
-- column of the input stands for.
noticed as (

    select
        visible.incident_id,
        visible.monitor,
        episodes.family,
        episodes.rule_id,
        episodes.column_name,
        episodes.model_version,
        episodes.severity,
        episodes.opened_at,
        episodes.incident_id as alert_incident_id,
        row_number() over (
            partition by visible.incident_id, visible.monitor
            order by
                episodes.family = visible.family desc,
                episodes.opened_at,
                episodes.severity desc,
                episodes.strength desc nulls last,
                episodes.rule_id,
                episodes.column_name,
                episodes.model_version
        ) as place,
        min(episodes.opened_at) over (
            partition by visible.incident_id, visible.monitor
        ) as first_opened_at

    from visible

    inner join episodes
        on
            visible.monitor = episodes.monitor
            and episodes.started_at + episodes.window_length > visible.started_at
            and episodes.started_at < visible.ended_at
            and (
                coalesce(visible.column_name = episodes.column_name, false)
                or (
                    not episodes.is_of_feature
                    and (
                        episodes.family = visible.family
                        or episodes.family != 'service_health'
                    )
                )
            )

),

scorecard as (

    select
        visible.incident_id,
        visible.monitor,
        visible.scenario,
        visible.kind,
        visible.size,
        visible.level,
        visible.family,
        visible.model_version,
        visible.column_name,
        visible.description,
        visible.started_at,
        visible.ended_at,
        visible.visible_at,
        noticed.place is not null as is_noticed,
        coalesce(noticed.family = visible.family, false) as is_right_family,
        noticed.family as detected_family,
        noticed.rule_id as detected_rule_id,
        noticed.column_name as detected_column_name,
        noticed.model_version as detected_model_version,
        case noticed.severity when 2 then 'critical' when 1 then 'warning' end
            as detected_severity,
        noticed.alert_incident_id as detected_incident_id,
        noticed.first_opened_at as first_noticed_at,
        noticed.opened_at as detected_at,
        {{ seconds_between('visible.started_at', 'noticed.opened_at') }}
            as delay_seconds,
        case
            when noticed.opened_at is not null
                then greatest(0, ceil(
                    {{ seconds_between('visible.visible_at', 'noticed.opened_at') }}
                    / extract(epoch from visible.window_length)
                ))::integer
        end as delay_windows

    from visible

    left join noticed
        on
            visible.incident_id = noticed.incident_id
            and visible.monitor = noticed.monitor
            and noticed.place = 1

)

select * from scorecard
