{{ config(materialized='view') }}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

sums as (

    select * from {{ ref('int_burn_rates') }}

),

alerts as (

    select
        sums.monitor,
        sums.model_version,
        'all' as segment,
        'all' as segment_value,
        sums.grain,
        sums.window_start,
        sums.window_end,
        {{ seconds_between('sums.window_start', 'sums.window_end') }} as grain_seconds,
        alerts.slo,
        alerts.alert,
        alerts.objective,
        alerts.threshold,
        alerts.severity,
        alerts.long_window_seconds,
        alerts.short_window_seconds,
        alerts.long_known_count,
        alerts.long_request_count,
        alerts.long_bad_count,
        alerts.short_known_count,
        alerts.short_request_count,
        alerts.short_bad_count,
        monitors.minimum_sample

    from sums

    inner join monitors
        on sums.monitor = monitors.monitor

    cross join lateral (
        values
        {%- for slo, of in {
            'availability': {
                'objective': 'availability_target', 'known': 'known',
                'request': 'request', 'bad': 'error',
            },
            'latency': {
                'objective': 'latency_target_share', 'known': 'latency',
                'request': 'latency', 'bad': 'slow',
            },
        }.items() %}
        {%- set is_last_slo = loop.last %}
        {%- for alert in burn_rate_alerts() %}
        (
            '{{ slo }}',
            '{{ alert.name }}',
            monitors.{{ of.objective }},
            {{ alert.threshold }}::double precision,
            '{{ alert.severity }}',
            {{ burn_rate_windows()[alert.long] }}::double precision,
            {{ burn_rate_windows()[alert.short] }}::double precision,
            {%- for length in [alert.long, alert.short] %}
            sums.{{ of.known }}_count_{{ length }},
            sums.{{ of.request }}_count_{{ length }},
            sums.{{ of.bad }}_count_{{ length }}{{ ',' if not loop.last }}
            {%- endfor %}
        ){{ ',' if not (loop.last and is_last_slo) }}
        {%- endfor %}
        {%- endfor %}
    ) as alerts (
        slo,
        alert,
        objective,
        threshold,
        severity,
        long_window_seconds,
        short_window_seconds,
        long_known_count,
        long_request_count,
        long_bad_count,
        short_known_count,
        short_request_count,
        short_bad_count
    )

),

rates as (

    select
        *,
        case
            when grain_seconds <= long_window_seconds and long_known_count > 0
                then long_bad_count::double precision
                    / long_request_count / (1 - objective)
        end as long_burn_rate,
        case
            when grain_seconds <= long_window_seconds and short_known_count > 0
                then short_bad_count::double precision
                    / short_request_count / (1 - objective)
        end as short_burn_rate

    from alerts

),

compared as (

    select
        *,
        long_burn_rate > threshold and short_burn_rate > threshold as is_burning

    from rates

),

-- A budget of one in a thousand is gone with the first failure of a quiet hour: what is
-- to wake anybody must rest on ten.
judged as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        slo,
        alert,
        objective,
        threshold,
        long_window_seconds,
        greatest(short_window_seconds, grain_seconds) as short_window_seconds,
        long_request_count,
        long_bad_count,
        short_request_count,
        short_bad_count,
        long_burn_rate,
        short_burn_rate,
        is_burning,
        case
            when is_burning is null or long_request_count < minimum_sample
                then 'not_computable'
            when not is_burning then 'ok'
            when long_bad_count < 10 then 'not_computable'
            else severity
        end as status,
        case
            when grain_seconds > long_window_seconds
                then 'the windows of this monitor are longer than the alert looks back'
            when is_burning is null and slo = 'availability'
                then 'no request says whether it failed'
            when is_burning is null then 'no request says how long it took'
            when long_request_count < minimum_sample
                then 'only ' || long_request_count || ' requests'
            when is_burning and long_bad_count < 10
                then 'above the threshold by ' || long_bad_count || ' requests only'
            when is_burning
                then 'the budget burns ' || round(long_burn_rate::numeric, 1)
                    || ' times as fast as it may: ' || long_bad_count || ' of '
                    || long_request_count || ' requests '
                    || case slo when 'availability' then 'failed' else 'were slow' end
        end as reason

    from compared

)

select * from judged
