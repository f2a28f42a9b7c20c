{#- A rate in words, as in "12.5 %". -#}
{% macro percentage(rate) -%}
round((100 * {{ rate }})::numeric, 1) || ' %'
{%- endmacro %}
