{#-
    dbt writes the description of every column of every model again in each run:
    thousands of statements, and as many dead rows in Postgres's catalog. Here a relation
    whose comments are all there keeps them.
-#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set wanted = {} -%}
    {%- if for_relation and config.persist_relation_docs() and model.description -%}
        {%- do wanted.update({'': model.description}) -%}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() -%}
        {%- for column in model.columns.values() if column.description -%}
            {%- do wanted.update({column.name: column.description}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set kept -%}
        select
            coalesce(pg_attribute.attname, '') as name,
            pg_description.description
        from pg_description
        left join pg_attribute
            on
                pg_description.objoid = pg_attribute.attrelid
                and pg_description.objsubid = pg_attribute.attnum
        where
            pg_description.classoid = 'pg_class'::regclass
            and pg_description.objoid = '{{ relation }}'::regclass
    {%- endset -%}
    {%- for name, description in run_query(kept).rows if wanted.get(name) == description -%}
        {%- do wanted.pop(name) -%}
    {%- endfor -%}
    {%- if wanted -%}
        {%- do dbt.default__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- endif -%}
{%- endmacro %}
