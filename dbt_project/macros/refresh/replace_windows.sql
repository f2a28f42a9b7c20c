{#-
    Incremental strategy: delete exactly this run's stale windows and insert them anew.

    dbt's own strategies match by key or by the rows of the new batch, so groups that
    vanished from a window would remain. The model's pre-hook takes an advisory lock
    that is held until the transaction ends, before any row is read: of two overlapping
    runs the later one reads the newer log and so leaves the newer rows.
-#}
{% macro get_incremental_replace_windows_sql(arguments) %}
    {%- set implementation =
        adapter.dispatch('get_incremental_replace_windows_sql', 'driftline') -%}
    {{- return(implementation(arguments)) -}}
{% endmacro %}

{% macro default__get_incremental_replace_windows_sql(arguments) %}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set columns = arguments['dest_columns'] -%}
    {%- set column_names = columns | map(attribute='quoted') | join(', ') -%}
    {%- set refreshed -%}
        select monitor, grain, window_start, replaces_monitor
        from {{ ref('int_refresh_windows') }}
        where
            invocation_id = '{{ invocation_id }}'
            and family = '{{ config.get('meta').family }}'
    {%- endset %}

    delete from {{ target_relation }}
    where monitor in (
        select monitor
        from (
            {{ refreshed | indent(4) }}
        ) as refreshed
        where replaces_monitor
    );

    delete from {{ target_relation }} as stale
    using (
        {{ refreshed }}
    ) as refreshed
    where
        stale.monitor = refreshed.monitor
        and stale.grain = refreshed.grain
        and stale.window_start = refreshed.window_start;

    -- A full refresh by another run takes the windows of this one away, and has written
    -- what is in the log. From the first delete to the commit it has to wait.
    insert into {{ target_relation }} ({{ column_names }})
    select {{ column_names }}
    from {{ arguments['temp_relation'] }}
    where exists (
        {{ refreshed | indent(8) }}
    );

{% endmacro %}


{#- Pre-hook of every model that `replace_windows` writes. -#}
{% macro lock_model() %}
    {{- return(adapter.dispatch('lock_model', 'driftline')()) -}}
{% endmacro %}

{% macro default__lock_model() -%}
    select pg_advisory_xact_lock(
        hashtext('driftline'), hashtext('{{ this.schema }}.{{ this.identifier }}')
    )
{%- endmacro %}
