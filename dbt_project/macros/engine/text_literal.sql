{#-
    A text as a literal. By itself, dbt's `string_literal` leaves the quotes in it as
    they are.
-#}
{% macro text_literal(value) -%}
    {{ dbt.string_literal(dbt.escape_single_quotes(value)) }}
{%- endmacro %}
