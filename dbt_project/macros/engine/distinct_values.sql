{#-
    A query for the distinct values of a column that an index begins with: one step of
    the index for each value, instead of a scan of the table.
-#}
{% macro distinct_values(relation, column) %}
    {{- return(adapter.dispatch('distinct_values', 'driftline')(relation, column)) -}}
{% endmacro %}

{% macro default__distinct_values(relation, column) -%}
    with recursive distinct_values as (
        (select {{ column }} from {{ relation }} order by {{ column }} limit 1)
        union all
        select (
            select following.{{ column }}
            from {{ relation }} as following
            where following.{{ column }} > distinct_values.{{ column }}
            order by following.{{ column }}
            limit 1
        ) as {{ column }}
        from distinct_values
        where distinct_values.{{ column }} is not null
    )
    select {{ column }} from distinct_values where {{ column }} is not null
{%- endmacro %}
