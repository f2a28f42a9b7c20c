{{
    config(
        meta={'family': 'burn_rates'},
        indexes=[
            {
                'columns': ['monitor', 'grain', 'window_start', 'model_version'],
                'unique': true,
            },
            {'columns': ['monitor', 'model_version', 'window_start']},
        ]
    )
}}

{%- set counts = [
    'request_count', 'known_count', 'error_count', 'latency_count', 'slow_count',
] %}

with

{% for monitor in monitors() -%}
{%- set scope = stale_scope(monitor, 'burn_rates') -%}
-- The windows of this run, and three days before them.
{{ monitor.name }}_windows as (

    select
        health.monitor,
        health.model_version,
        health.grain,
        health.window_start,
        health.window_end,
        {%- for name in counts %}
        health.{{ name }},
        {%- endfor %}
        {{ in_scope('health.window_start', scope) | indent(8) }} as is_refreshed

    from {{ ref('int_service_health') }} as health

    where
        health.monitor = '{{ monitor.name }}'
        and health.grain = '{{ monitor.windows.traffic }}'
        and health.segment = 'all'
        and health.segment_value = 'all'
        {%- if scope is not none %}
        and {{ in_scope('health.window_start', reaching_back(scope)) | indent(8) }}
        {%- endif %}

),

-- A window belongs to those up to its own end if it ends after they begin.
{{ monitor.name }}_sums as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end,
        is_refreshed
        {%- for length in burn_rate_windows() %}
        {%- for name in counts %},
        (sum({{ name }}) over last_{{ length }})::bigint as {{ name }}_{{ length }}
        {%- endfor %}
        {%- endfor %}

    from {{ monitor.name }}_windows

    window
        {%- for length, seconds in burn_rate_windows().items() %}
        last_{{ length }} as (
            partition by model_version
            order by window_end
            range between interval '{{ seconds - 1 }} seconds' preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}

),

{{ monitor.name }}_rates as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end
        {%- for length in burn_rate_windows() %}
        {%- for name in counts %},
        {{ name }}_{{ length }}
        {%- endfor %}
        {%- endfor %}

    from {{ monitor.name }}_sums

    where is_refreshed

),

{% endfor -%}

{{ union_of_monitors('rates', 'burn_rates') }}

select * from burn_rates
