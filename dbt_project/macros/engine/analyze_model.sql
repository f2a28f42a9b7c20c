{#-
    Post-hook: statistics for the planner, which would else take a table just filled for
    an empty one.
-#}
{% macro analyze_model() %}
    {{- return(adapter.dispatch('analyze_model', 'driftline')()) -}}
{% endmacro %}

{% macro default__analyze_model() -%}
    {%- if config.get('materialized') != 'view' -%}
    analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
