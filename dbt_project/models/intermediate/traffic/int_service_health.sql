{{
    config(
        meta={'family': 'traffic'},
        indexes=[
            {
                'columns': [
                    'monitor',
                    'grain',
                    'window_start',
                    'model_version',
                    'segment',
                    'segment_value',
                ],
                'unique': true,
            },
            {
                'columns': [
                    'monitor',
                    'grain',
                    'model_version',
                    'segment',
                    'segment_value',
                    'window_start',
                ],
            },
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

{%- set keys = [
    'monitor', 'model_version', 'segment', 'segment_value', 'grain', 'window_start',
] %}
{%- set counts = [
    'request_count',
    'known_count',
    'error_count',
    'latency_count',
    'slow_count',
    'rated_count',
    'satisfied_count',
    'tolerating_count',
] %}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

rolled_up_traffic as (

    {{ rolled_up(
        ref('int_traffic_stats'),
        'traffic',
        ['segment', 'segment_value', 'latency_sum_ms'] + counts
    ) }}

),

traffic as (

    select
        {{ keys | join(',\n        ') }},
        window_end,
        {%- for name in counts %}
        sum({{ name }})::bigint as {{ name }},
        {%- endfor %}
        sum(latency_sum_ms) as latency_sum_ms

    from rolled_up_traffic

    group by {{ keys | join(', ') }}, window_end

),

rolled_up_buckets as (

    {{ rolled_up(
        ref('int_latency_buckets'),
        'traffic',
        ['segment', 'segment_value', 'bucket', 'bucket_count']
    ) }}

),

buckets as (

    select
        {{ keys | join(',\n        ') }},
        bucket,
        sum(bucket_count) as bucket_count

    from rolled_up_buckets

    group by {{ keys | join(', ') }}, bucket

),

{{ sketch_quantiles('buckets', keys, {'p50': 0.5, 'p95': 0.95, 'p99': 0.99}) }}

rates as (

    select
        {%- for key in keys %}
        traffic.{{ key }},
        {%- endfor %}
        traffic.window_end,
        {%- for name in counts %}
        traffic.{{ name }},
        {%- endfor %}
        traffic.request_count::double precision
        / sum(traffic.request_count) filter (where traffic.model_version = 'all') over (
            partition by
                traffic.monitor,
                traffic.grain,
                traffic.window_start,
                traffic.segment,
                traffic.segment_value
        ) as traffic_share,
        traffic.error_count::double precision / traffic.request_count as error_rate,
        traffic.slow_count::double precision / nullif(traffic.latency_count, 0)
            as slow_rate,
        traffic.request_count
        / {{ seconds_between('traffic.window_start', 'traffic.window_end') }}
            as requests_per_second,
        traffic.latency_sum_ms / nullif(traffic.latency_count, 0) as latency_mean_ms,
        quantiles.p50 as latency_p50_ms,
        quantiles.p95 as latency_p95_ms,
        quantiles.p99 as latency_p99_ms,
        (traffic.satisfied_count + traffic.tolerating_count / 2::double precision)
        / nullif(traffic.rated_count, 0) as apdex,
        1 - monitors.availability_target as error_budget,
        1 - monitors.latency_target_share as slow_budget,
        monitors.minimum_sample,
        {{ wilson_lower(
            'traffic.error_count', 'traffic.request_count'
        ) | indent(8) }} as error_rate_lower,
        {{ wilson_lower(
            'traffic.slow_count', 'traffic.latency_count'
        ) | indent(8) }} as slow_rate_lower

    from traffic

    inner join monitors
        on traffic.monitor = monitors.monitor

    left join quantiles
        on
            {% for key in keys -%}
            {{ 'and ' if not loop.first }}traffic.{{ key }} = quantiles.{{ key }}
            {% endfor %}
),

-- A rate counts as above the budget once the lower end of its interval is, and of few
-- requests nothing is said: one failure in a quiet hour is no outage. The limits are
-- five and twenty budgets; for a generous budget, half way from it to everything.
judged as (

    select
        {{ keys | join(',\n        ') }},
        window_end,
        request_count,
        known_count,
        error_count,
        latency_count,
        slow_count,
        rated_count,
        traffic_share,
        error_rate,
        1 - error_rate as availability,
        requests_per_second,
        latency_mean_ms,
        latency_p50_ms,
        latency_p95_ms,
        latency_p99_ms,
        apdex,
        slow_rate,
        error_rate / error_budget as burn_rate_availability,
        slow_rate / slow_budget as burn_rate_latency
        {%- for name, computed in {
            'error': 'known_count > 0 and request_count >= minimum_sample',
            'slow': 'latency_count >= minimum_sample',
        }.items() %},
        case
            when not ({{ computed }}) then 0
            when
                {{ name }}_rate_lower
                > least(20 * {{ name }}_budget, (1 + {{ name }}_budget) / 2)
                then 3
            when
                {{ name }}_rate_lower
                > least(5 * {{ name }}_budget, (1 + {{ name }}_budget) / 2)
                then 2
            else 1
        end as {{ name }}_severity
        {%- endfor %}

    from rates

)

select * from judged
