{{ config(materialized='view') }}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

-- One step of the index for each monitor and end. A window of the future, by the clock
-- of a machine gone wrong, must not make all others look over.
{% for place, direction in {'first': 'asc', 'newest': 'desc'}.items() -%}
{{ place }}_windows as (

    select
        monitors.monitor,
        {{ place }}_window.window_start,
        {{ place }}_window.window_end

    from monitors

    cross join lateral (
        select
            health.window_start,
            health.window_end
        from {{ ref('int_service_health') }} as health
        where
            health.monitor = monitors.monitor
            and health.grain = monitors.traffic_grain
            and health.window_start <= now()
        order by health.window_start {{ direction }}
        limit 1
    ) as {{ place }}_window

),

{% endfor -%}

spans as (

    select
        monitors.monitor,
        monitors.traffic_grain,
        first_windows.window_start as first_window_start,
        newest_windows.window_start as newest_window_start,
        newest_windows.window_end as newest_window_end

    from monitors

    inner join first_windows
        on monitors.monitor = first_windows.monitor

    inner join newest_windows
        on monitors.monitor = newest_windows.monitor

)

select * from spans
