{#-
    A column of the staging contract that a monitor's predictions may leave out, or null
    of its type where they do.
-#}
{% macro optional_column(monitor, name, type) -%}
{{ name if predictions_have_column(monitor, name) else 'null' }}::{{ type }}
{%- endmacro %}


{% macro predictions_have_column(monitor, name) %}
    {{ return(name in column_names(ref(monitor.predictions))) }}
{% endmacro %}


{#- The same of the relation that the monitor's baseline is read from. -#}
{% macro baseline_has_column(monitor, name) %}
    {% set relation = ref(monitor.baseline.relation or monitor.predictions) %}
    {{ return(name in column_names(relation)) }}
{% endmacro %}


{% macro column_names(relation) %}
    {% set columns = adapter.get_columns_in_relation(relation) if execute else [] %}
    {{ return(columns | map(attribute='name') | list) }}
{% endmacro %}
