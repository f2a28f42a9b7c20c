{{
    config(
        meta={'family': 'outcomes'},
        indexes=[{
            'columns': ['monitor', 'window_start', 'grain', 'model_version', 'bucket'],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{{ monitor.name }}_labels as (

    {{ monitored_rows(monitor, 'outcomes', [
        {
            'name': 'delay_seconds',
            'expression': 'case when actual is not null then '
                ~ seconds_between('predicted_at', 'labelled_at') ~ ' end',
        },
    ]) }}

),

{{ monitor.name }}_buckets as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ sketch_bucket('delay_seconds') | indent(8) }} as bucket,
        count(*) as bucket_count

    from {{ monitor.name }}_labels

    where {{ is_number('delay_seconds') }}

    group by grain, window_start, model_version, bucket

),

{% endfor -%}

{{ union_of_monitors('buckets', 'label_delay_buckets') }}

select * from label_delay_buckets
