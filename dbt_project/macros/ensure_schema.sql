{#-
    The statement that makes a schema, if it is missing. Not "if not exists": Postgres
    then wants the right to make schemas even where there is nothing to make.
-#}
{% macro ensure_schema(schema) -%}
    {%- if not execute or not adapter.check_schema_exists(target.database, schema) -%}
    create schema if not exists {{ schema }};
    {%- endif -%}
{%- endmacro %}
