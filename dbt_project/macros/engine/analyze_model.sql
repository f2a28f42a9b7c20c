{#-
    Post-hook: statistics for the planner, which would else take a table just filled for
    an empty one. A table in which this run replaced no window keeps those it has.
-#}
{% macro analyze_model() %}
    {{- return(adapter.dispatch('analyze_model', 'driftline')()) -}}
{% endmacro %}

{% macro default__analyze_model() -%}
    {%- if config.get('materialized') != 'view' and execute -%}
        {%- set family = config.get('meta', {}).get('family') -%}
        {%- set unchanged -%}
            select 1
            from pg_class
            where
                oid = '{{ this }}'::regclass
                and reltuples >= 0
                and not exists (
                    select 1
                    from {{ intermediate_relation('int_refresh_windows') }}
                    where
                        invocation_id = '{{ invocation_id }}'
                        and family = '{{ family }}'
                )
        {%- endset -%}
        {%- if not family or not run_query(unchanged) -%}
    analyze {{ this }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
