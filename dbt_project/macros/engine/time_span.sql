{#-
    A span such as "2 days" as an interval. Days are 24 hours: in a session of another
    time zone, adding a day over the night when clocks change adds 23 or 25.
-#}
{% macro time_span(span) %}
    {{- return(adapter.dispatch('time_span', 'driftline')(span)) -}}
{% endmacro %}

{% macro default__time_span(span) -%}
    {%- set count, unit = span.split(' ') -%}
    interval '{{ count | int * 24 ~ " hours" if unit.startswith("day") else span }}'
{%- endmacro %}
