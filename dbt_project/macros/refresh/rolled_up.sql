{#-
    The statistics of the windows that this run refreshes in a mart: each row in every
    grain that it adds up to, once for its own version and once for 'all'. Yields
    monitor, model_version, grain, window_start, window_end and the columns asked for,
    still to be summed. A table that is built whole takes all windows that `statistics`
    has.
-#}
{% macro rolled_up(statistics, family, columns) -%}
    {#-
        Named before any condition, so that dbt knows the order of models when it
        parses.
    -#}
    {%- do ref('int_refresh_windows') -%}
    {%- set is_whole = not execute or not is_incremental() -%}
    {%- set shown_grains = grains_of_family(family) -%}
    {%- for grain in shown_grains -%}
    select
        statistics.monitor,
        versions.model_version,
        '{{ grain }}' as grain,
        {{ window_start('statistics.window_start', grain) | indent(8) }} as window_start,
        {{ window_end(window_start('statistics.window_start', grain), grain) | indent(8) }}
            as window_end
        {%- for column in columns %},
        statistics.{{ column }}
        {%- endfor %}

    from {{ statistics }} as statistics

    cross join lateral (
        values (statistics.model_version), ('all')
    ) as versions (model_version)

    where
        statistics.grain in ('{{ shown_grains[:loop.index] | join("', '") }}')
        {%- if not is_whole %}
        and {{ in_refreshed_windows(family, grain) | indent(8) }}
        {%- endif %}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}
{%- endmacro %}


{#-
    The condition that a statistics row belongs to a window of that grain which this run
    refreshes.
-#}
{% macro in_refreshed_windows(family, grain) %}
    {%- set scopes = [] -%}
    {%- for monitor in monitors() -%}
        {%- if refreshes_baseline(monitor, family) -%}
            {%- do scopes.append("(statistics.monitor = '" ~ monitor.name ~ "')") -%}
            {%- continue -%}
        {%- endif -%}
        {%- set scope = refreshed_ranges(monitor, family, grain) -%}
        {%- if scope -%}
            {%- set condition -%}
(
        statistics.monitor = '{{ monitor.name }}'
        and {{ in_scope('statistics.window_start', scope) | indent(8) }}
    )
            {%- endset -%}
            {%- do scopes.append(condition) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set condition = '(\n    ' ~ scopes | join('\n    or ') ~ '\n)' -%}
    {{- return(condition if scopes else 'false') -}}
{% endmacro %}
