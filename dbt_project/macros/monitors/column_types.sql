{#- The types of a relation's columns, by name. -#}
{% macro column_types(relation) %}
    {% set types = {} %}
    {% for column in adapter.get_columns_in_relation(relation) %}
        {% do types.update({column.name: column.dtype}) %}
    {% endfor %}
    {{ return(types) }}
{% endmacro %}


{#-
    The numerical columns of a monitor that are `numeric`, which holds numbers that no
    double does, in its predictions or its baseline.
-#}
{% macro numeric_columns(monitor) %}
    {% set relations = [ref(monitor.predictions)] %}
    {% if monitor.baseline.relation %}
        {% do relations.append(ref(monitor.baseline.relation)) %}
    {% endif %}
    {#- A unit test has rows in place of relations. -#}
    {% if not execute or model.resource_type == 'unit_test' %}
        {{ return([]) }}
    {% endif %}
    {% set numeric = [] %}
    {% for relation in relations %}
        {% set types = column_types(relation) %}
        {% for column in monitor.columns + [monitor.actual]
            if column.kind == 'numerical' and types.get(column.name) == 'numeric' %}
            {% do numeric.append(column.name) %}
        {% endfor %}
    {% endfor %}
    {{ return(numeric) }}
{% endmacro %}


{#- A numerical column as a double, safely if it is one of `numeric_columns`. -#}
{% macro column_as_double(column, numeric) -%}
    {%- set name = adapter.quote(column.name) -%}
    {{ safe_double(name) if column.name in numeric else name ~ '::double precision' }}
{%- endmacro %}
