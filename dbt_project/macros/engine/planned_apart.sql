{#-
    Ends a lateral subquery: it is planned by itself and run for each row before it, with
    that row's values pushed down. Flattened into a join, it would read everything first.
-#}
{% macro planned_apart() -%}
    {{ adapter.dispatch('planned_apart', 'driftline')() }}
{%- endmacro %}

{% macro default__planned_apart() -%}
    offset 0
{%- endmacro %}
