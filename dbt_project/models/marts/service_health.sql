{{ config(materialized='view') }}

{%- set figures = {
    'known_count': 'bigint',
    'error_count': 'bigint',
    'latency_count': 'bigint',
    'slow_count': 'bigint',
    'rated_count': 'bigint',
    'traffic_share': 'double precision',
    'error_rate': 'double precision',
    'availability': 'double precision',
    'requests_per_second': 'double precision',
    'latency_mean_ms': 'double precision',
    'latency_p50_ms': 'double precision',
    'latency_p95_ms': 'double precision',
    'latency_p99_ms': 'double precision',
    'apdex': 'double precision',
    'slow_rate': 'double precision',
    'burn_rate_availability': 'double precision',
    'burn_rate_latency': 'double precision',
    'error_severity': 'integer',
    'slow_severity': 'integer',
} %}

-- What a window is expected to hold depends on other windows, into which requests may
-- still come: it is looked up when it is read.

with

health as (

    select * from {{ ref('int_service_health') }}

),

earlier_health as (

    select * from {{ ref('int_service_health') }}

),

spans as (

    select * from {{ ref('int_traffic_spans') }}

),

monitors as (

    select * from {{ ref('int_monitors') }}

),

-- Windows that had requests in some of the four weeks before, and have none.
silences as (

    select distinct
        earlier_health.monitor,
        earlier_health.model_version,
        earlier_health.segment,
        earlier_health.segment_value,
        earlier_health.grain,
        earlier_health.window_start + weeks.distance as window_start,
        earlier_health.window_end + weeks.distance as window_end

    from earlier_health

    cross join (
        values
        {%- for number in range(1, 5) %}
        (interval '{{ 168 * number }} hours'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as weeks (distance)

    where
        earlier_health.model_version = 'all'
        and earlier_health.segment = 'all'
        and earlier_health.segment_value = 'all'
        and not exists (
            select 1
            from {{ ref('int_service_health') }} as present
            where
                present.monitor = earlier_health.monitor
                and present.grain = earlier_health.grain
                and present.model_version = 'all'
                and present.segment = 'all'
                and present.segment_value = 'all'
                and present.window_start = earlier_health.window_start + weeks.distance
        )

),

windows as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        request_count,
        {{ figures | join(',\n        ') }}
    from health

    union all

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        0 as request_count
        {%- for name, type in figures.items() %},
        {{ '0' if name.endswith(('_count', '_severity', 'per_second')) else 'null' -}}
        ::{{ type }} as {{ name }}
        {%- endfor %}
    from silences

),

expected as (

    select
        windows.*,
        -- A later request was seen, so that no more are to come but late ones.
        windows.window_end <= spans.newest_window_start as is_over,
        monitors.minimum_sample,
        earlier_weeks.week_count,
        earlier_weeks.median_count,
        -- Counts of requests vary at least as those of a Poisson process do, and the
        -- median of a few weeks is off by about as much again. Of normal numbers, the
        -- median distance from their median is 1/1.4826 standard deviations.
        4 * sqrt(
            greatest(
                earlier_weeks.median_count,
                power(1.4826 * earlier_weeks.median_distance, 2)
            )
            * (1 + pi() / 2 / earlier_weeks.week_count)
        ) as usual_deviation

    from windows

    inner join monitors
        on windows.monitor = monitors.monitor

    left join spans
        on windows.monitor = spans.monitor

    left join {{ earlier_weeks('windows', 'spans') | indent(4) }}
        on true

),

-- 0 says nothing, 1 that all is well; the usual volume does not make up for requests
-- that say nothing of themselves, or are too few for that.
graded as (

    select
        *,
        case
            when
                segment != 'all'
                or week_count < 2
                or median_count < minimum_sample
                or median_count is null
                or abs(request_count - median_count) <= usual_deviation
                or (request_count < median_count and not is_over)
                then 0
            when
                request_count < 0.1 * median_count
                or request_count > 10 * median_count
                then 3
            when
                request_count < 0.5 * median_count
                or request_count > 2 * median_count
                then 2
            else 0
        end as volume_severity

    from expected

),

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
        latency_count,
        rated_count,
        traffic_share,
        error_rate,
        availability,
        requests_per_second,
        median_count as expected_request_count,
        request_count / nullif(median_count, 0) as request_count_ratio,
        latency_mean_ms,
        latency_p50_ms,
        latency_p95_ms,
        latency_p99_ms,
        apdex,
        slow_rate,
        burn_rate_availability,
        burn_rate_latency,
        case greatest(error_severity, slow_severity, volume_severity)
            when 3 then 'critical'
            when 2 then 'warning'
            when 0 then 'not_computable'
            else 'ok'
        end as status,
        case
            when greatest(error_severity, slow_severity, volume_severity) > 1
                then concat_ws(
                    ', ',
                    case
                        when error_severity > 1
                            then round((100 * error_rate)::numeric, 2)
                                || ' % of requests failed'
                    end,
                    case
                        when slow_severity > 1
                            then round((100 * slow_rate)::numeric, 2)
                                || ' % of requests were slow'
                    end,
                    case
                        when volume_severity > 1
                            then request_count || ' requests, '
                                || round(median_count) || ' were expected'
                    end
                )
            when greatest(error_severity, slow_severity) > 0 then null
            when request_count < minimum_sample
                then request_count || ' requests, fewer than the minimum of '
                    || minimum_sample
            when latency_count > 0
                then latency_count || ' latencies, fewer than the minimum of '
                    || minimum_sample || ', and no request says whether it failed'
            else 'no request says whether it failed, nor how long it took'
        end as reason

    from graded

    -- Few requests, and then none, are no news.
    where request_count > 0 or volume_severity > 1

)

select * from judged
