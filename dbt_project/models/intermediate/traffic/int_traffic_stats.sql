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
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set latency_ms -%}
case
            when latency_ms >= 0
                then {{ usable_number('latency_ms') | indent(16) }}
        end
{%- endset -%}
{%- set columns = [
    {'name': 'is_error', 'expression': 'is_error'},
    {'name': 'latency_ms', 'expression': latency_ms},
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_requests as (

    {{ monitored_rows(monitor, 'traffic', columns) }}

),

{{ monitor.name }}_stats as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        count(*) as request_count,
        count(is_error) as known_count,
        count(*) filter (where is_error) as error_count,
        count(latency_ms) as latency_count,
        sum(latency_ms) as latency_sum_ms,
        count(*) filter (where latency_ms > {{ monitor.slo.latency_ms }}) as slow_count,
        -- A failed request frustrates, however fast it failed; of one that did not,
        -- nothing can be said without its time.
        count(*) filter (where latency_ms is not null or is_error) as rated_count,
        count(*) filter (
            where
                latency_ms <= {{ monitor.slo.latency_ms }}
                and is_error is not true
        ) as satisfied_count,
        count(*) filter (
            where
                latency_ms > {{ monitor.slo.latency_ms }}
                and latency_ms <= 4 * {{ monitor.slo.latency_ms }}::double precision
                and is_error is not true
        ) as tolerating_count

    from {{ monitor.name }}_requests

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version']
    ) }}

),

{% endfor -%}

{{ union_of_monitors('stats', 'traffic_stats') }}

select * from traffic_stats
