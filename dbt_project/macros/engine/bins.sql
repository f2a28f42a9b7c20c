{#-
    Bins that stand for no range or category of their own. Their numbers are negative;
    those of ranges and categories are not.
-#}
{% macro null_bin() %}-1{% endmacro %}
{% macro invalid_bin() %}-2{% endmacro %}
{% macro unseen_bin() %}-3{% endmacro %}
{% macro other_bin() %}-4{% endmacro %}


{#-
    Bin of a number between ascending edges, the first of which is the baseline's
    minimum: 0 below the minimum, k within [edge k, edge k + 1), one past the last above
    the maximum. An absent baseline (null edges) puts every number into bin 0.
-#}
{% macro numeric_bin(value, edges, maximum) %}
    {{- return(adapter.dispatch('numeric_bin', 'driftline')(value, edges, maximum)) -}}
{% endmacro %}

{% macro default__numeric_bin(value, edges, maximum) -%}
case
    when {{ value }} is null then {{ null_bin() }}
    when not {{ is_number(value) }} then {{ invalid_bin() }}
    when {{ value }} > {{ maximum }} then cardinality({{ edges }}) + 1
    else coalesce(width_bucket({{ value }}, {{ edges }}), 0)
end
{%- endmacro %}
