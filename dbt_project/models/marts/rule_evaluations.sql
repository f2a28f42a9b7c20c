{{ config(materialized='view') }}

with

rules as (

    select * from {{ ref('int_alert_rules') }}

),

evaluations as (

    select * from {{ ref('int_rule_evaluations') }}

),

judged as (

    select
        evaluations.rule_id,
        evaluations.monitor,
        evaluations.model_version,
        evaluations.segment,
        evaluations.segment_value,
        evaluations.grain,
        evaluations.window_start,
        evaluations.window_end,
        rules.family,
        evaluations.column_name,
        evaluations.metric,
        evaluations.value,
        evaluations.expected,
        evaluations.warning_bound,
        evaluations.critical_bound,
        evaluations.sample_count,
        evaluations.is_provisional,
        case evaluations.severity
            when 0 then 'ok'
            when 1 then 'warning'
            when 2 then 'critical'
            else 'not_computable'
        end as status,
        evaluations.reason,
        rules.description,
        rules.runbook

    from evaluations

    inner join rules
        on
            evaluations.monitor = rules.monitor
            and evaluations.rule_id = rules.rule_id

)

select * from judged
