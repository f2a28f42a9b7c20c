{#-
    Pre-hook of a model whose joins are to be done in the order in which they stand, by
    hashing. What a chain of CTEs holds, Postgres can't know: it expects single rows
    where there are a hundred thousand, and would compare all with all.
-#}
{% macro plan_as_written() %}
    {{- return(adapter.dispatch('plan_as_written', 'driftline')()) -}}
{% endmacro %}

{% macro default__plan_as_written() -%}
    set local enable_nestloop = off;
    set local enable_mergejoin = off;
    set local join_collapse_limit = 1;
    set local jit = off
{%- endmacro %}


{#-
    Pre-hook of the model that judges windows one after the other: the hash table that
    each step looks into is built once only if it fits into memory.
-#}
{% macro judge_by_steps() %}
    {{- return(adapter.dispatch('judge_by_steps', 'driftline')()) -}}
{% endmacro %}

{% macro default__judge_by_steps() -%}
    {{ default__plan_as_written() }};
    set local work_mem = '256MB'
{%- endmacro %}
