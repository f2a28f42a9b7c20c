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

refresh_windows as (

    select distinct * from by_grain

)

select * from refresh_windows
