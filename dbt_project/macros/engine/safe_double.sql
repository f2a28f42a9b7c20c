{#-
    A `numeric` as a double: what no double holds becomes NaN, or 0 where it is too
    close to zero.
-#}
{% macro safe_double(value) -%}
case
    when {{ value }} between -1e-100 and 1e-100 then 0
    when {{ is_number(value) }} then {{ value }}
    when {{ value }} is not null then 'NaN'
end::double precision
{%- endmacro %}
