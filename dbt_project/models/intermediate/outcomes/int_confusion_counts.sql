{{
    config(
        meta={'family': 'outcomes'},
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'segment',
            ],
        }]
    )
}}

-- Nothing else would name it if no monitor were of this task:
-- depends_on: {{ ref('int_refresh_windows') }}

with

{% for monitor in monitors() if monitor.task != 'regression' -%}
{%- set columns = [
    {'name': 'actual', 'expression': 'actual::text'},
    {'name': 'predicted', 'expression': 'prediction::text'},
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_outcomes as (

    {{ monitored_rows(monitor, 'outcomes', columns, include_baseline=true) }}

),

{{ monitor.name }}_counts as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        actual,
        predicted,
        count(*) as outcome_count

    from {{ monitor.name }}_outcomes

    -- While there is no label the actual class is null: those count as selected, and
    -- in no figure that needs a label.
    where predicted is not null

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'actual', 'predicted']
    ) }}

),

{% endfor -%}

confusion_counts as (

    {{ union_of_task('counts', ['binary', 'multiclass'], {
        'monitor': 'text',
        'grain': 'text',
        'window_start': 'timestamptz',
        'model_version': 'text',
        'segment': 'text',
        'segment_value': 'text',
        'actual': 'text',
        'predicted': 'text',
        'outcome_count': 'bigint',
    }) }}

)

select * from confusion_counts
