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
                'bucket',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set columns = [
    {
        'name': 'delay_seconds',
        'expression': 'case when actual is not null then '
            ~ seconds_between('predicted_at', 'labelled_at') ~ ' end',
    },
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_labels as (

    {{ monitored_rows(monitor, 'outcomes', columns) }}

),

{{ monitor.name }}_delays as (

    select
        *,
        {{ sketch_bucket('delay_seconds') | indent(8) }} as bucket

    from {{ monitor.name }}_labels

    where {{ is_number('delay_seconds') }}

),

{{ monitor.name }}_buckets as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        bucket,
        count(*) as bucket_count

    from {{ monitor.name }}_delays

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'bucket']
    ) }}

),

{% endfor -%}

{{ union_of_monitors('buckets', 'label_delay_buckets') }}

select * from label_delay_buckets
