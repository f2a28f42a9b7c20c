{#-
    Incremental strategy for small tables: all rows anew, in the table that is there.
    Unlike the materialization `table` it drops nothing that views stand on, and a
    reader never waits.
-#}
{% macro get_incremental_replace_rows_sql(arguments) %}
    {%- set columns = arguments['dest_columns'] -%}
    {%- set column_names = columns | map(attribute='quoted') | join(', ') %}

    delete from {{ arguments['target_relation'] }};

    insert into {{ arguments['target_relation'] }} ({{ column_names }})
    select {{ column_names }} from {{ arguments['temp_relation'] }};

{% endmacro %}
