{#-
    The windows that a mart recomputes in this run: monitor, grain, window_start, window_end, in
    every grain that it shows. In a table that is built whole, all that `statistics` has.
-#}
{% macro refreshed_windows(family, statistics) %}
    {%- set refresh_windows = ref('int_refresh_windows') %}
    {%- if execute and is_incremental() %}
    select
        monitor,
        grain,
        window_start,
        window_end

    from {{ refresh_windows }}

    where
        invocation_id = '{{ invocation_id }}'
        and family = '{{ family }}'
        and grain != 'baseline'
    {%- else %}
    select distinct
        monitor,
        grain,
        window_start,
        {{ window_end('window_start', 'hour') }} as window_end

    from {{ statistics }}

    where grain = 'hour'

    union

    select
        monitor,
        'day' as grain,
        {{ window_start('window_start', 'day') }} as window_start,
        {{ window_end(window_start('window_start', 'day'), 'day') }} as window_end

    from {{ statistics }}

    where grain in ('hour', 'day')
    {%- endif %}
{% endmacro %}


{#-
    From-clause: the statistics of refreshed windows with the finer ones that add up to them, each
    row once for its own version and once for 'all'. A baseline's 'all' is the version that came
    first, so that a new version does not move the yardstick of the whole.
-#}
{% macro rolled_up(statistics) -%}
    refreshed

    inner join {{ statistics }} as statistics
        on
            refreshed.monitor = statistics.monitor
            and refreshed.window_start <= statistics.window_start
            and refreshed.window_end > statistics.window_start
            and statistics.grain != 'baseline'

    cross join lateral (values (statistics.model_version), ('all')) as versions (model_version)
{%- endmacro %}
