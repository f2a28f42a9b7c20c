{#-
    End of a select whose expressions must not be copied into each place of the outer
    query that names them. It keeps the planner from merging the two, but not from
    scanning in parallel, as a materialized CTE would.
-#}
{% macro evaluated_once() %}
    {{- return(adapter.dispatch('evaluated_once', 'driftline')()) -}}
{% endmacro %}

{% macro default__evaluated_once() -%}
    offset 0
{%- endmacro %}
