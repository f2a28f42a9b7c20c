{{ config(materialized='view') }}

-- A view, so that an acknowledgement shows at once.

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

incidents as (

    select * from {{ ref('int_incidents') }}

),

episodes as (

    select * from {{ ref('int_alert_episodes') }}

),

deployments as (

    select * from {{ ref('deployments') }}

),

actions as (

    select * from {{ source('operations', 'incident_actions') }}

),

acted_episodes as (

    select * from {{ source('operations', 'acted_episodes') }}

),

mutes as (

    select * from {{ source('operations', 'mutes') }}

),

failed_tests as (

    select * from {{ source('operations', 'failed_tests') }}

),

-- Rows that arrive late can move the beginning of an incident, which gives it another
-- id, or make one of two: an action holds for what now has the episodes that it was
-- about.
action_targets as (

    select
        action_id,
        incident_id
    from actions

    union

    select
        acted_episodes.action_id,
        episodes.incident_id
    from acted_episodes
    inner join episodes
        on
            {{ same_keys('acted_episodes', 'episodes', [
                'monitor', 'rule_id', 'model_version', 'segment', 'segment_value',
                'column_name', 'grain',
            ]) | indent(12) }}
            and acted_episodes.started_at < episodes.last_alert_at
            and acted_episodes.last_alert_at > episodes.started_at

),

newest_actions as (

    select
        action_targets.incident_id,
        actions.action,
        actions.acted_at,
        actions.acted_by,
        actions.note,
        row_number() over (
            partition by action_targets.incident_id
            order by action_targets.action_id desc
        ) as place

    from action_targets

    inner join actions
        on action_targets.action_id = actions.action_id

),

acknowledgements as (

    select
        incident_id,
        acted_at,
        acted_by,
        note

    from newest_actions

    where place = 1 and action = 'acknowledge'

),

mutes_in_force as (

    select * from mutes where muted_from <= now() and muted_until > now()

),

muted_episodes as (

    select
        episodes.incident_id,
        episodes.rule_id,
        episodes.column_name,
        count(mutes_in_force.mute_id) > 0 as is_muted

    from episodes

    left join mutes_in_force
        on
            episodes.monitor = mutes_in_force.monitor
            and coalesce(mutes_in_force.rule_id, episodes.rule_id) = episodes.rule_id
            and coalesce(mutes_in_force.column_name, episodes.column_name)
            = episodes.column_name

    group by episodes.incident_id, episodes.rule_id, episodes.column_name

),

-- A mute of one rule or column does not silence an incident that others found, too.
muted_incidents as (

    select
        incident_id,
        bool_and(is_muted) as is_muted

    from muted_episodes

    group by incident_id

),

-- What happened from a day before it began until it was noticed. Tests have the time of
-- the run, so theirs may be a day later.
causes as (

    select
        incidents.incident_id,
        deployments.deployed_at as happened_at,
        'version ' || deployments.model_version || ' was deployed'
        || coalesce(': ' || deployments.note, '') as cause

    from incidents

    inner join deployments
        on
            incidents.monitor = deployments.monitor
            and deployments.deployed_at >= incidents.started_at - interval '24 hours'
            and deployments.deployed_at <= incidents.opened_at

    union all

    select
        incidents.incident_id,
        min(failed_tests.failed_at) as happened_at,
        failed_tests.message as cause

    from incidents

    inner join failed_tests
        on
            failed_tests.failed_at >= incidents.started_at - interval '24 hours'
            and failed_tests.failed_at <= incidents.opened_at + interval '24 hours'

    where
        failed_tests.monitor is null
        or failed_tests.monitor = incidents.monitor

    group by incidents.incident_id, failed_tests.message

),

possible_causes as (

    select
        incident_id,
        array_agg(cause order by happened_at, cause) as possible_causes

    from causes

    group by incident_id

),

described as (

    select
        incidents.incident_id,
        incidents.monitor,
        monitors.owner,
        incidents.monitor || ': ' || incidents.suspect_reason
        || case
            when cardinality(incidents.rule_ids) > 1
                or cardinality(incidents.column_names) > 1
                then ', and more'
            else ''
        end as title,
        case incidents.severity when 2 then 'critical' else 'warning' end as severity,
        case
            when incidents.closed_at is not null then 'resolved'
            when acknowledgements.incident_id is not null then 'acknowledged'
            else 'open'
        end as state,
        -- An incident may be seen a moment before its episodes.
        coalesce(muted_incidents.is_muted, false) as is_muted,
        incidents.started_at,
        incidents.opened_at,
        incidents.closed_at,
        incidents.last_alert_at,
        incidents.families,
        incidents.rule_ids,
        incidents.column_names,
        incidents.model_versions,
        incidents.alert_count,
        incidents.suspect_rule_id,
        incidents.suspect_family,
        incidents.suspect_column_name,
        incidents.suspect_metric,
        incidents.suspect_model_version,
        incidents.suspect_segment,
        incidents.suspect_segment_value,
        incidents.suspect_reason,
        coalesce(possible_causes.possible_causes, '{}') as possible_causes,
        acknowledgements.acted_at as acknowledged_at,
        acknowledgements.acted_by as acknowledged_by,
        acknowledgements.note as acknowledged_note

    from incidents

    inner join monitors
        on incidents.monitor = monitors.monitor

    left join muted_incidents
        on incidents.incident_id = muted_incidents.incident_id

    left join acknowledgements
        on incidents.incident_id = acknowledgements.incident_id

    left join possible_causes
        on incidents.incident_id = possible_causes.incident_id

)

select * from described
