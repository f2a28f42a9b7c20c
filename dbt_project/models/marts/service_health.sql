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
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

rolled_up_traffic as (

    {{ rolled_up(ref('int_traffic_stats'), 'traffic', [
        'segment',
        'segment_value',
        'request_count',
        'known_count',
        'error_count',
        'latency_count',
        'latency_sum_ms',
        'slow_count',
    ]) }}

),

traffic as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        sum(request_count) as request_count,
        sum(known_count) as known_count,
        sum(error_count) as error_count,
        sum(latency_count) as latency_count,
        sum(latency_sum_ms) as latency_sum_ms,
        sum(slow_count) as slow_count

    from rolled_up_traffic

    group by
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end

),

rolled_up_buckets as (

    {{ rolled_up(ref('int_latency_buckets'), 'traffic', ['bucket', 'bucket_count']) }}

),

buckets as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        bucket,
        sum(bucket_count) as bucket_count

    from rolled_up_buckets

    group by monitor, model_version, grain, window_start, bucket

),

{{ sketch_quantiles(
    'buckets',
    ['monitor', 'model_version', 'grain', 'window_start'],
    {'p50': 0.5, 'p95': 0.95, 'p99': 0.99}
) }}

rates as (

    select
        traffic.monitor,
        traffic.model_version,
        traffic.segment,
        traffic.segment_value,
        traffic.grain,
        traffic.window_start,
        traffic.window_end,
        traffic.request_count::bigint as request_count,
        traffic.error_count::bigint as error_count,
        traffic.error_count::double precision / traffic.request_count as error_rate,
        1 - traffic.error_count::double precision / traffic.request_count
            as availability,
        traffic.request_count
        / {{ seconds_between('traffic.window_start', 'traffic.window_end') }}
            as requests_per_second,
        traffic.latency_sum_ms / nullif(traffic.latency_count, 0) as latency_mean_ms,
        case when traffic.segment = 'all' then quantiles.p50 end as latency_p50_ms,
        case when traffic.segment = 'all' then quantiles.p95 end as latency_p95_ms,
        case when traffic.segment = 'all' then quantiles.p99 end as latency_p99_ms,
        traffic.slow_count::double precision / nullif(traffic.latency_count, 0)
            as slow_rate,
        {{ wilson_lower(
            'traffic.error_count', 'traffic.request_count'
        ) | indent(8) }} as error_rate_lower,
        {{ wilson_lower(
            'traffic.slow_count', 'traffic.latency_count'
        ) | indent(8) }} as slow_rate_lower,
        traffic.known_count,
        traffic.latency_count,
        {%- for name, budget in {
            'error': '1 - monitors.availability_target',
            'slow': '1 - monitors.latency_target_share',
        }.items() %}
        -- Five and twenty budgets; for a generous one, half way from it to everything.
        least(5 * ({{ budget }}), (1 + {{ budget }}) / 2) as {{ name }}_warning,
        least(20 * ({{ budget }}), (1 + {{ budget }}) / 2)
            as {{ name }}_critical{{ ',' if not loop.last }}
        {%- endfor %}

    from traffic

    inner join monitors
        on traffic.monitor = monitors.monitor

    left join quantiles
        on
            traffic.monitor = quantiles.monitor
            and traffic.model_version = quantiles.model_version
            and traffic.grain = quantiles.grain
            and traffic.window_start = quantiles.window_start

),

-- A rate counts as above the budget once the lower end of its interval is: one failure
-- in a quiet hour is no outage.
judged as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        request_count,
        error_count,
        error_rate,
        availability,
        requests_per_second,
        latency_mean_ms,
        latency_p50_ms,
        latency_p95_ms,
        latency_p99_ms,
        slow_rate,
        case
            when known_count = 0 and latency_count = 0 then 'not_computable'
            when
                error_rate_lower > error_critical
                or slow_rate_lower > slow_critical
                then 'critical'
            when
                error_rate_lower > error_warning
                or slow_rate_lower > slow_warning
                then 'warning'
            else 'ok'
        end as status,
        case
            when known_count = 0 and latency_count = 0
                then 'no request says whether it failed, nor how long it took'
            when error_rate_lower > error_warning
                then round((100 * error_rate)::numeric, 2) || ' % of requests failed'
            when slow_rate_lower > slow_warning
                then round((100 * slow_rate)::numeric, 2) || ' % of requests were slow'
        end as reason

    from rates

)

select * from judged
