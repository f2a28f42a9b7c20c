{#-
    Ends a subquery whose expressions are evaluated once for each row. Without it the
    planner merges the subquery into what reads it and writes each expression out
    wherever its name stands.
-#}
{% macro evaluated_once() %}
    {{- return(adapter.dispatch('evaluated_once', 'driftline')()) -}}
{% endmacro %}

{% macro default__evaluated_once() %}{% endmacro %}

{% macro postgres__evaluated_once() %}offset 0{% endmacro %}
