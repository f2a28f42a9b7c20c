{#- The condition that two relations agree in their keys, none of which is null. -#}
{% macro same_keys(left, right, keys) -%}
    {%- for key in keys -%}
        {{ '\nand ' if not loop.first }}{{ left }}.{{ key }} = {{ right }}.{{ key }}
    {%- endfor -%}
{%- endmacro %}
