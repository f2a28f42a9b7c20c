{{
    config(
        incremental_strategy='append',
        pre_hook="{% if is_incremental() %}"
            ~ "delete from {{ this }} where invocation_id not in ("
            ~ "select invocation_id from {{ ref('int_stale_windows') }})"
            ~ "{% endif %}",
        post_hook={'sql': "{{ copy_rows() }}", 'transaction': false},
        indexes=[{
            'columns': [
                'invocation_id', 'monitor', 'family', 'grain', 'window_start',
            ],
            'unique': true,
        }]
    )
}}

-- A table, since every model asks for its windows several times in a run.

with

stale as (

    select *
    from {{ ref('int_stale_windows') }}
    where invocation_id = '{{ invocation_id }}'

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
    {%- set finer_grains = (grains() | list)[:loop.index] | join("', '") %}
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
    where finest_grain in ('{{ finer_grains }}')

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

-- A score compares a window with the one before and with the one a week before, so it
-- goes stale with each of them; and a p-value is adjusted for all others of its period:
-- of the same week or, for shorter windows than days, of the same day.
touched_periods as (
{% for grain in grains_of_family('drift') %}
    {%- set period = 'week' if grain in ['day', 'week'] else 'day' %}
    {%- set period_start =
        window_start('touched.window_start + delays.delay', period) %}
    select distinct
        touched.invocation_id,
        touched.monitor,
        touched.grain,
        {{ period_start | indent(8) }} as period_start,
        {{ window_end(period_start, period) | indent(8) }} as period_end

    from by_grain as touched

    cross join (
        values
        (interval '0 hours'),
        ({{ window_length(grain) }}),
        ({{ window_length('week') }})
    ) as delays (delay)

    where
        touched.family = 'outcomes'
        and touched.grain = '{{ grain }}'
        and not touched.replaces_monitor
    {%- if not loop.last %}

    union all
    {% endif %}
{%- endfor %}

),

drift_windows as (
{% for grain in grains_of_family('drift') %}
    select
        touched_periods.invocation_id,
        touched_periods.monitor,
        false as replaces_monitor,
        touched_periods.grain,
        windows.window_start,
        {{ window_end('windows.window_start', grain) }} as window_end

    from touched_periods

    cross join lateral generate_series(
        touched_periods.period_start,
        touched_periods.period_end - {{ window_length(grain) }},
        {{ window_length(grain) }}
    ) as windows (window_start)

    where touched_periods.grain = '{{ grain }}'

    union all
{% endfor %}
    select
        invocation_id,
        monitor,
        replaces_monitor,
        grain,
        window_start,
        window_end

    from by_grain

    where family = 'outcomes' and replaces_monitor

),

-- The windows that those scores are computed from.
drift_inputs as (
{% for grain in grains_of_family('drift') %}
    select
        drift_windows.invocation_id,
        drift_windows.monitor,
        drift_windows.replaces_monitor,
        drift_windows.grain,
        drift_windows.window_start - delays.delay as window_start,
        drift_windows.window_end - delays.delay as window_end

    from drift_windows

    cross join (
        values
        (interval '0 hours'),
        ({{ window_length(grain) }}),
        ({{ window_length('week') }})
    ) as delays (delay)

    where drift_windows.grain = '{{ grain }}'

    union all
{% endfor %}
    select * from drift_windows where grain = 'baseline'

),

all_families as (

    select * from by_grain
{% for family in ['drift_windows', 'drift_inputs'] %}
    union all

    select
        invocation_id,
        monitor,
        '{{ 'drift' if family == 'drift_windows' else family }}' as family,
        replaces_monitor,
        grain,
        window_start,
        window_end
    from {{ family }}
{% endfor %}
    union all

    select * from burn_rate_windows

),

refresh_windows as (

    select distinct * from all_families

)

select * from refresh_windows
