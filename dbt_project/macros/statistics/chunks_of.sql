{#-
    A list in parts of a hundred: a query can have 1,664 columns, and a wide aggregate
    has several for each monitored one.
-#}
{% macro chunks_of(columns) %}
    {{ return(columns | batch(100) | list) }}
{% endmacro %}
