{#-
    Post-hook: statistics for the planner, which would else take a table just filled for
    an empty one. A table in which a run replaces nothing keeps those it has: its hooks
    are not run.
-#}
{% macro analyze_model() %}
    {{- return(adapter.dispatch('analyze_model', 'driftline')()) -}}
{% endmacro %}

{% macro default__analyze_model() -%}
    {%- if config.get('materialized') != 'view' and execute -%}
    analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
