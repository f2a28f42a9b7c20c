{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['incident_id'], 'unique': true}]
    )
}}

with

episodes as (

    select * from {{ ref('int_alert_episodes') }}

),

first_starts as (

    select
        incident_id,
        started_at as first_started_at,
        window_length as first_window_length,
        row_number() over (
            partition by incident_id
            order by started_at, window_length desc
        ) as place

    from episodes

),

-- The cause is sought upstream among what began together, and there in what is furthest
-- beyond its bound.
suspects as (

    select
        episodes.*,
        row_number() over (
            partition by episodes.incident_id
            order by
                episodes.started_at
                > first_starts.first_started_at + first_starts.first_window_length,
                {{ family_place('episodes.family') | indent(16) }},
                episodes.severity desc,
                episodes.strength desc nulls last,
                episodes.started_at,
                episodes.rule_id,
                episodes.column_name,
                episodes.model_version,
                episodes.segment,
                episodes.segment_value,
                episodes.grain
        ) as place

    from episodes

    inner join first_starts
        on episodes.incident_id = first_starts.incident_id and first_starts.place = 1

),

summed as (

    select
        incident_id,
        monitor,
        max(severity) as severity,
        min(started_at) as started_at,
        min(opened_at) as opened_at,
        case when count(*) = count(closed_at) then max(closed_at) end as closed_at,
        max(last_alert_at) as last_alert_at,
        array_agg(distinct family) as families,
        array_agg(distinct rule_id) as rule_ids,
        array_agg(distinct column_name) filter (where column_name != 'all')
            as column_names,
        array_agg(distinct model_version) as model_versions,
        sum(alert_count)::bigint as alert_count

    from episodes

    group by incident_id, monitor

),

incidents as (

    select
        summed.incident_id,
        summed.monitor,
        summed.severity,
        summed.started_at,
        summed.opened_at,
        summed.closed_at,
        summed.last_alert_at,
        summed.families,
        summed.rule_ids,
        coalesce(summed.column_names, '{}') as column_names,
        summed.model_versions,
        summed.alert_count,
        suspects.rule_id as suspect_rule_id,
        suspects.family as suspect_family,
        suspects.column_name as suspect_column_name,
        suspects.metric as suspect_metric,
        suspects.model_version as suspect_model_version,
        suspects.segment as suspect_segment,
        suspects.segment_value as suspect_segment_value,
        suspects.reason as suspect_reason

    from summed

    inner join suspects
        on summed.incident_id = suspects.incident_id and suspects.place = 1

)

select * from incidents
