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
                'segment_value',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set columns = [
    {'name': 'is_labelled', 'expression': 'actual is not null'},
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_predictions as (

    {{ monitored_rows(monitor, 'outcomes', columns, include_baseline=true) }}

),

{{ monitor.name }}_stats as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        count(*) as prediction_count,
        count(*) filter (where is_labelled) as labelled_count

    from {{ monitor.name }}_predictions

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version']
    ) }}

),

{% endfor -%}

{{ union_of_monitors('stats', 'label_stats') }}

select * from label_stats
