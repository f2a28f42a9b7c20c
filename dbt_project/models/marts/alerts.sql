{{
    config(
        incremental_strategy='replace_rows',
        indexes=[
            {
                'columns': [
                    'monitor',
                    'rule_id',
                    'model_version',
                    'segment',
                    'segment_value',
                    'column_name',
                    'grain',
                    'window_start',
                ],
                'unique': true,
            },
            {'columns': ['incident_id']},
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

{%- set series_keys = [
    'monitor',
    'rule_id',
    'model_version',
    'segment',
    'segment_value',
    'column_name',
    'grain',
] %}

with

rules as (

    select * from {{ ref('int_alert_rules') }}

),

evaluations as (

    select * from {{ ref('int_rule_evaluations') }}

),

episodes as (

    select * from {{ ref('int_alert_episodes') }}

),

fired as (

    select
        evaluations.*,
        rules.family,
        rules.method,
        rules.compared_to,
        case evaluations.severity
            when 2 then evaluations.critical_bound
            else evaluations.warning_bound
        end as bound

    from evaluations

    inner join rules
        on
            evaluations.monitor = rules.monitor
            and evaluations.rule_id = rules.rule_id

    where evaluations.severity > 0

),

alerts as (

    select
        fired.rule_id,
        fired.monitor,
        fired.model_version,
        fired.segment,
        fired.segment_value,
        fired.grain,
        fired.window_start,
        fired.window_end,
        fired.family,
        fired.column_name,
        fired.metric,
        fired.value,
        fired.expected,
        fired.bound as threshold,
        fired.warning_bound,
        fired.critical_bound,
        fired.sample_count,
        case fired.severity when 2 then 'critical' else 'warning' end as severity,
        case when episodes.incident_id is null then 'pending' else 'open' end as status,
        {{ alert_sentence('fired') | indent(8) }} as reason,
        episodes.incident_id

    from fired

    left join episodes
        on
            {{ same_keys('fired', 'episodes', series_keys) | indent(12) }}
            and fired.window_start >= episodes.started_at
            and (episodes.closed_at is null or fired.window_end <= episodes.closed_at)

)

select * from alerts
