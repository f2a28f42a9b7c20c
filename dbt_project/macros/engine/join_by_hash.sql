{#-
    Pre-hook of models that join aggregates: of those the planner expects a row or two,
    and so would compare each with each, which takes the square of the time.
-#}
{% macro join_by_hash() %}
    {{- return(adapter.dispatch('join_by_hash', 'driftline')()) -}}
{% endmacro %}

{% macro default__join_by_hash() -%}
    set local enable_nestloop = off;
    set local enable_mergejoin = off
{%- endmacro %}
