{#-
    The ledger as the last finished run left it. It is read by name, not by `ref`,
    because it is written last and a graph has no loops. Before the first run, and in a
    full refresh, it is empty.
-#}
{% macro window_ledger() -%}
    {%- if execute and has_window_ledger() and not flags.FULL_REFRESH -%}
        {{ intermediate_relation('int_window_ledger') }}
    {%- else -%}
(
    select
        null::text as monitor,
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
    {{ return(intermediate_relation('int_window_ledger') is not none) }}
{% endmacro %}


{#-
    A from-clause item with the names of all monitors that have left anything: in the
    ledger, or, if no run of theirs was finished, among the statistics.
-#}
{% macro known_monitors() -%}
(
    select monitor from {{ window_ledger() | indent(4) }}
    {%- set traffic = intermediate_relation('int_traffic_stats') if execute %}
    {%- if traffic and not flags.FULL_REFRESH %}
    union
    select monitor
    from (
        {{ distinct_values(traffic, 'monitor') | indent(8) }}
    ) as refreshed
    {%- endif %}
) as known_monitors
{%- endmacro %}


{% macro intermediate_relation(name) %}
    {{ return(adapter.get_relation(
        database=target.database,
        schema=generate_schema_name('intermediate', none),
        identifier=name
    )) }}
{% endmacro %}
