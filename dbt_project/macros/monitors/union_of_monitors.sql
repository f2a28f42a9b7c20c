{#-
    The last CTE of a statistics model: what was computed for each monitor, together.
-#}
{% macro union_of_monitors(suffix, name) -%}
{{ name }} as (
{% for monitor in monitors() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select * from {{ monitor.name }}_{{ suffix }}
{%- endfor %}

)
{%- endmacro %}


{#- The same over the monitors of some tasks only; typed and empty if there is none. -#}
{% macro union_of_task(suffix, tasks, column_types) -%}
    select
        {%- for name, type in column_types.items() %}
        null::{{ type }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
    {%- for monitor in monitors() if monitor.task in tasks %}
    union all
    select * from {{ monitor.name }}_{{ suffix }}
    {%- endfor %}
{%- endmacro %}
