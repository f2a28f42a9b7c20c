{#-
    A column of the staging contract that a monitor's predictions may leave out, or null
    of its type where they do.
-#}
{% macro optional_column(monitor, name, type) -%}
    {%- set names = adapter.get_columns_in_relation(ref(monitor.predictions))
        | map(attribute='name') | list if execute else [] -%}
{{ name if name in names else 'null' }}::{{ type }}
{%- endmacro %}
