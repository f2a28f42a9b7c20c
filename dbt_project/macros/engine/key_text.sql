{#-
    A text of any length as part of a key: an index entry has its limits. What is longer
    than 200 characters keeps the first 160 and gets its MD5.
-#}
{% macro key_text(text) -%}
case
    when length({{ text }}) > 200
        then left({{ text }}, 160) || '… ' || md5({{ text }})
    else {{ text }}
end
{%- endmacro %}
