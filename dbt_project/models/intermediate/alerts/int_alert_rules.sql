{%- do check_alert_rules() -%}
{%- set rule_columns = alert_rule_columns() -%}
{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['monitor', 'rule_id'], 'unique': true}]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

rules as (

    select * from {{ ref('alert_rules') }}

),

-- What the monitor blocks say of rules, and which columns they say it of.
changes as (
{% for monitor in monitors() %}
    {%- for change in monitor.alerts %}
    select
        '{{ monitor.name }}' as monitor,
        '{{ change.rule_id }}' as rule_id,
        {{ change.is_off }} as is_off,
        {%- for column, properties in rule_columns.items() %}
        {%- set value = change['values'].get(column) %}
        {%- if value is none %}
        null::{{ properties.type }} as {{ column }},
        {%- elif value is string %}
        {{ text_literal(value) }} as {{ column }},
        {%- else %}
        {{ value }}::{{ properties.type }} as {{ column }},
        {%- endif %}
        {%- endfor %}
        '{{ change.changed | join(' ') }}' as changed_columns

    union all
    {% endfor %}
{%- endfor %}
    select
        null as monitor,
        null as rule_id,
        null::boolean as is_off,
        {%- for column, properties in rule_columns.items() %}
        null::{{ properties.type }} as {{ column }},
        {%- endfor %}
        null as changed_columns
    where false

),

rules_of_monitors as (

    select
        monitors.monitor,
        rules.*
    from monitors
    cross join rules

),

changed as (

    select
        coalesce(rules_of_monitors.monitor, changes.monitor) as monitor,
        coalesce(rules_of_monitors.rule_id, changes.rule_id) as rule_id,
        {%- for column in rule_columns %}
        case
            when '{{ column }}' = any(string_to_array(changes.changed_columns, ' '))
                then changes.{{ column }}
            else rules_of_monitors.{{ column }}
        end as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}

    from rules_of_monitors

    full outer join changes
        on
            rules_of_monitors.monitor = changes.monitor
            and rules_of_monitors.rule_id = changes.rule_id

    where not coalesce(changes.is_off, false)

),

completed as (

    select
        changed.monitor,
        changed.rule_id,
        changed.family,
        changed.metric,
        case
            when changed.family = 'drift' then coalesce(changed.compared_to, 'baseline')
        end as compared_to,
        changed.columns,
        changed.roles,
        coalesce(changed.versions, 'all') as versions,
        coalesce(changed.segment, 'all') as segment,
        case changed.grain
            when 'traffic' then monitors.traffic_grain
            else changed.grain
        end as grain,
        changed.method,
        coalesce(changed.compared_as, 'difference') as compared_as,
        coalesce(changed.direction, 'above') as direction,
        changed.warning,
        changed.critical,
        coalesce(changed.minimum_sample, monitors.minimum_sample) as minimum_sample,
        coalesce(changed.open_after, 1) as open_after,
        coalesce(changed.close_after, 1) as close_after,
        coalesce(changed.period, '28 days') as period,
        coalesce(changed.season, 'none') as season,
        coalesce(changed.minimum_history, 7) as minimum_history,
        coalesce(changed.minimum_change, 0) as minimum_change,
        coalesce(changed.minimum_ratio, 0) as minimum_ratio,
        changed.description,
        changed.runbook,
        monitors.labels_expected_within

    from changed

    inner join monitors
        on changed.monitor = monitors.monitor

),

-- Everything that decides what a rule finds, in words. Raise the version when the way
-- of judging changes.
described as (

    select
        *,
        concat_ws(
            '|',
            'version 3',
            rule_id,
            {%- for column in rule_columns if column not in [
                'description', 'runbook',
            ] %}
            coalesce({{ column }}::text, ''),
            {%- endfor %}
            labels_expected_within
        ) as decisive

    from completed

),

hashed as (

    select
        monitor,
        rule_id,
        {{ rule_columns | join(',\n        ') }},
        labels_expected_within,
        md5(
            string_agg(decisive, '; ') over (
                partition by monitor
                order by rule_id
                rows between unbounded preceding and unbounded following
            )
        ) as rules_hash

    from described

)

select * from hashed
