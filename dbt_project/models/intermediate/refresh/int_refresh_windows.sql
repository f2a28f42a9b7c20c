{{
    config(
        materialized='view',
        post_hook={'sql': "{{ copy_rows() }}", 'transaction': false}
    )
}}

with

stale as (

    select * from {{ ref('int_stale_windows') }}

),

monitors as (

    select * from {{ ref('int_monitors') }}

),

-- What goes stale with what, and the finest windows that it is kept in.
by_family as (

    select
        stale.*,
        families.family,
        case families.family
            when 'columns' then coalesce(monitors.column_grain, 'hour')
            when 'outcomes' then coalesce(monitors.column_grain, 'hour')
            else coalesce(monitors.traffic_grain, 'hour')
        end as finest_grain

    from stale

    left join monitors
        on stale.monitor = monitors.monitor

    cross join (
        values ('traffic'), ('columns'), ('outcomes'), ('ledger')
    ) as families (family)

    where
        stale.predictions_changed
        or (stale.labels_changed and families.family in ('outcomes', 'ledger'))

),

by_grain as (
{% for grain in grains() %}
    select
        invocation_id,
        monitor,
        family,
        replaces_monitor,
        '{{ grain }}' as grain,
        {{ window_start('window_start', grain) | indent(8) }} as window_start,
        {{ window_end(window_start('window_start', grain), grain) | indent(8) }}
            as window_end
    from by_family
    where finest_grain in ('{{ (grains() | list)[:loop.index] | join("', '") }}')

    union all
{% endfor %}
    select
        invocation_id,
        monitor,
        family,
        replaces_monitor,
        'baseline' as grain,
        {{ baseline_window() }} as window_start,
        {{ baseline_window() }} as window_end
    from by_family
    where replaces_monitor

),

-- Burn rates look back three days.
burn_rate_days as (

    select distinct
        stale.invocation_id,
        stale.monitor,
        stale.replaces_monitor,
        monitors.traffic_grain,
        {{ window_start('stale.window_start', 'day') | indent(8) }}
            + days.distance as day_start

    from stale

    inner join monitors
        on stale.monitor = monitors.monitor

    cross join (
        values
        {%- for number in range(4) %}
        (interval '{{ 24 * number }} hours'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as days (distance)

    where stale.predictions_changed

),

burn_rate_windows as (
{% for grain in grains() if grain != 'week' %}
    select
        invocation_id,
        monitor,
        'burn_rates' as family,
        replaces_monitor,
        '{{ grain }}' as grain,
        day_start + places.number * {{ window_length(grain) }} as window_start,
        day_start + (places.number + 1) * {{ window_length(grain) }} as window_end
    from burn_rate_days
    cross join generate_series(0, {{ 86400 // grains()[grain] - 1 }}) as places (number)
    where traffic_grain = '{{ grain }}'

    union all
{% endfor %}
    select
        invocation_id,
        monitor,
        'burn_rates' as family,
        replaces_monitor,
        'baseline' as grain,
        {{ baseline_window() }} as window_start,
        {{ baseline_window() }} as window_end
    from stale
    where replaces_monitor

),

refresh_windows as (

    select * from by_grain

    union distinct

    select * from burn_rate_windows

)

select * from refresh_windows
