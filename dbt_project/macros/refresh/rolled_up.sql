{#-
    The statistics of the windows that this run refreshes in a mart: each row in every grain that
    it adds up to, once for its own version and once for 'all'. Yields monitor, model_version,
    grain, window_start, window_end and the columns asked for, still to be summed. A table that is
    built whole takes all windows that `statistics` has.
-#}
{% macro rolled_up(statistics, family, columns) %}
    {%- set refresh_windows = ref('int_refresh_windows') -%}
    {%- set is_whole = not execute or not is_incremental() -%}
    {%- for grain, finer_grains in {'hour': "'hour'", 'day': "'hour', 'day'"}.items() %}
    {%- if not loop.first %}

    union all
    {% endif %}
    select
        statistics.monitor,
        versions.model_version,
        '{{ grain }}' as grain,
        {{ window_start('statistics.window_start', grain) }} as window_start,
        {{ window_end(window_start('statistics.window_start', grain), grain) }} as window_end
        {%- for column in columns %},
        statistics.{{ column }}
        {%- endfor %}

    from {{ statistics }} as statistics

    cross join lateral (values (statistics.model_version), ('all')) as versions (model_version)

    where
        statistics.grain in ({{ finer_grains }})
        {%- if not is_whole %}
        and {{ in_refreshed_windows(family, grain) }}
        {%- endif %}
    {%- endfor %}
{% endmacro %}


{#- The condition that a statistics row belongs to a window of that grain which this run refreshes. -#}
{% macro in_refreshed_windows(family, grain) %}
    {%- set scopes = [] -%}
    {%- for monitor in monitors() -%}
        {%- set stale_windows -%}
            select window_start, window_end
            from {{ ref('int_refresh_windows') }}
            where
                invocation_id = '{{ invocation_id }}'
                and monitor = '{{ monitor.name }}'
                and family = '{{ family }}'
                and grain = '{{ grain }}'
        {%- endset -%}
        {%- set scope = joined_ranges(stale_windows) -%}
        {%- if scope -%}
            {%- do scopes.append(
                "(statistics.monitor = '" ~ monitor.name ~ "' and " ~ in_scope('statistics.window_start', scope) ~ ")"
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return('(' ~ scopes | join(' or ') ~ ')' if scopes else 'false') -}}
{% endmacro %}
