{#-
    dbt casts what a unit test gives to the type that the catalogue names, and of an
    array that says only that it is one.
-#}
{% macro postgres__safe_cast(field, type) -%}
    cast({{ field }} as {{ 'text[]' if type == 'ARRAY' else type }})
{%- endmacro %}
