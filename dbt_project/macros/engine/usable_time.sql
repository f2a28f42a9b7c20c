{#-
    Whether a prediction has a time that a window can hold: not null, not infinite, and
    of a year that every client can read. Other rows stand in no window; a test warns of
    them.
-#}
{% macro is_usable_time(timestamp) -%}
{{ timestamp }} between timestamptz '1900-01-01 00:00:00+00'
    and timestamptz '2200-01-01 00:00:00+00'
{%- endmacro %}
