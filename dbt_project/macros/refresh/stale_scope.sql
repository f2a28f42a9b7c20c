{#-
    What this run has to recompute of one monitor in one family: none for "everything",
    or the stale windows joined into UTC ranges, empty for "nothing".

    Families: `traffic` goes stale with predictions, in windows of the traffic grain, and
    `burn_rates` in those of that day and the three that follow; `columns` with
    predictions, and `outcomes` with predictions or labels, both in the column grain;
    `drift` like outcomes, and with the windows that a score is compared with,
    `drift_inputs` among them; `ledger` with either, in the traffic grain. A table that
    is new or was dropped is built whole, whatever the ledger says.
-#}
{% macro stale_scope(monitor, family) %}
    {#- Named before any condition, so that dbt sees the dependency when it parses. -#}
    {% do ref('int_refresh_windows') %}
    {% if not can_be_read(monitor) %}
        {% if not is_incremental() %}
            {% do refresh_once_it_can_be_read(monitor) %}
        {% endif %}
        {{ return([]) }}
    {% endif %}
    {% if not execute or not is_incremental() or refreshes_baseline(monitor, family) %}
        {{ return(none) }}
    {% endif %}
    {% set grain = finest_grain(monitor, family) %}
    {{ return(refreshed_ranges(monitor, family, grain)) }}
{% endmacro %}


{#-
    A table that is new holds nothing of a monitor that can't be read now, whatever the
    ledger says: all its windows are stale once it can be.
-#}
{% macro refresh_once_it_can_be_read(monitor) %}
    {% if has_window_ledger() %}
        {% do run_query(
            "update " ~ intermediate_relation('int_window_ledger')
            ~ " set definition_hash = null where monitor = '" ~ monitor.name ~ "'"
        ) %}
    {% endif %}
{% endmacro %}


{#-
    A query for the windows of that grain which this run refreshes: window_start,
    window_end.
-#}
{% macro stale_windows(monitor, family, grain, refresh_windows=none) %}
    {% set query -%}
select window_start, window_end
from {{ refresh_windows or ref('int_refresh_windows') }}
where
    invocation_id = '{{ invocation_id }}'
    and monitor = '{{ monitor.name }}'
    and family = '{{ family }}'
    and grain = '{{ grain }}'
    {%- endset %}
    {{ return(query) }}
{% endmacro %}


{#- The same windows as few ranges, as of `joined_ranges`, of a run that chose them. -#}
{% macro refreshed_ranges(monitor, family, grain) %}
    {{ return(joined_ranges(
        stale_windows(monitor, family, grain), grain, ask=asked_once
    )) }}
{% endmacro %}


{#-
    Adjacent windows of a query (window_start, window_end) as few ranges as possible.
    Each is {from, to}; above a hundred, they are one range with the query and the
    grain, since a condition of so many terms takes longer than looking the windows up.
-#}
{% macro joined_ranges(windows_sql, grain, ask=run_query) %}
    {% set ranges_sql %}
        with windows as (

            {{ windows_sql | indent(12) }}

        ),

        islands as (

            select
                window_start,
                window_end,
                sum(is_first) over (order by window_start) as island

            from (
                select
                    window_start,
                    window_end,
                    case
                        when window_start = lag(window_end) over (order by window_start)
                            then 0
                        else 1
                    end as is_first
                from windows
            ) as marked

        )

        select
            to_char(min(window_start) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
            || '+00' as range_start,
            to_char(max(window_end) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
            || '+00' as range_end

        from islands

        group by island
        order by island
    {% endset %}
    {% set ranges = [] %}
    {% for row in ask(ranges_sql) %}
        {% do ranges.append({'from': row['range_start'], 'to': row['range_end']}) %}
    {% endfor %}
    {% if ranges | length > 100 %}
        {{ return([{
            'from': ranges[0].from,
            'to': ranges[-1].to,
            'windows': windows_sql,
            'grain': grain,
        }]) }}
    {% endif %}
    {{ return(ranges) }}
{% endmacro %}


{#- The condition that a timestamp lies in a scope of `stale_scope`. -#}
{% macro in_scope(timestamp, scope) -%}
    {%- if scope is none -%}
        {{ is_usable_time(timestamp) }}
    {%- elif not scope -%}
        false
    {%- else -%}
(
    {%- for range in scope %}
    {{ 'or ' if not loop.first }}(
        {{ timestamp }} >= timestamptz '{{ range.from }}'
        and {{ timestamp }} < timestamptz '{{ range.to }}'
        {%- if range.windows %}
        and {{ window_start(timestamp, range.grain) | indent(8) }} in (
            select window_start
            from (
                {{ range.windows | indent(16) }}
            ) as windows
        )
        {%- endif %}
    )
    {%- endfor %}
)
    {%- endif -%}
{%- endmacro %}


{#- Whether this run recomputes all of a monitor, and so what its baseline held. -#}
{% macro refreshes_baseline(monitor, family) %}
    {% set refresh_windows = ref('int_refresh_windows') %}
    {% if not can_be_read(monitor) %}
        {{ return(false) }}
    {% endif %}
    {% if not execute or not is_incremental() %}
        {{ return(true) }}
    {% endif %}
    {% set found %}
        select 1
        from {{ refresh_windows }}
        where
            invocation_id = '{{ invocation_id }}'
            and monitor = '{{ monitor.name }}'
            and family = '{{ family }}'
            and replaces_monitor
        limit 1
    {% endset %}
    {{ return(asked_once(found) | length > 0) }}
{% endmacro %}
