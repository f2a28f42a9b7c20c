{{
    config(
        meta={'family': 'traffic'},
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
{%- set bucket -%}
case
            when latency_ms between 0 and 1e100
                then {{ sketch_bucket('latency_ms') | indent(16) }}
        end
{%- endset -%}
{{ monitor.name }}_requests as (

    {{ monitored_rows(monitor, 'traffic', [
        {'name': 'bucket', 'expression': bucket},
    ] + segment_values(monitor.segments)) }}

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

    from {{ monitor.name }}_requests

    where bucket is not null

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'bucket']
    ) }}

),

{% endfor -%}

{{ union_of_monitors('buckets', 'latency_buckets') }}

select * from latency_buckets
