{#-
    The ledger as the last finished run left it. It is read by name, not by `ref`, because it is
    written last and a graph has no loops. Before the first run, and in a full refresh, it is empty.
-#}
{% macro window_ledger() -%}
    {%- if execute and has_window_ledger() and not flags.FULL_REFRESH -%}
        {{ ledger_relation() }}
    {%- else -%}
        (
        select
            null::text as monitor,
            null::text as grain,
            null::timestamptz as window_start,
            null::bigint as prediction_count,
            null::timestamptz as prediction_loaded_at,
            null::numeric as prediction_checksum,
            null::bigint as label_count,
            null::timestamptz as label_loaded_at,
            null::numeric as label_checksum,
            null::text as definition_hash
        where false
    ) as empty_ledger
    {%- endif -%}
{%- endmacro %}


{% macro has_window_ledger() %}
    {{ return(ledger_relation() is not none) }}
{% endmacro %}


{% macro ledger_relation() %}
    {{ return(adapter.get_relation(
        database=target.database, schema=generate_schema_name('intermediate', none), identifier='int_window_ledger'
    )) }}
{% endmacro %}
