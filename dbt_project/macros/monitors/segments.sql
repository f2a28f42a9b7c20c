{#-
    Segments, those of a monitor or of its columns, are cut in three steps: `segment_values` adds a text column per segment to
    the rows, `segment_grouping_sets` groups by each of them in one pass, `segment_keys`
    names the group. The text is built before grouping, so that two values which read
    alike are one group and a key can never repeat.
-#}
{% macro segment_values(segments) %}
    {% set values = [] %}
    {% for segment in segments %}
        {% set parts = [] %}
        {% for column in segment.columns %}
            {% do parts.append(
                "coalesce(" ~ adapter.quote(column) ~ "::text, '(null)')"
            ) %}
        {% endfor %}
        {% set text = '(' ~ parts | join(" || ' x ' || ") ~ ')' %}
        {% do values.append({
            'name': 'segment_' ~ loop.index,
            'expression': key_text(text) | indent(8),
        }) %}
    {% endfor %}
    {{ return(values) }}
{% endmacro %}


{% macro segment_grouping_sets(segments, keys) -%}
    group by grouping sets (
        ({{ keys | join(', ') }})
        {%- for segment in segments %},
        ({{ keys | join(', ') }}, segment_{{ loop.index }})
        {%- endfor %}
    )
{%- endmacro %}


{% macro segment_keys(segments) -%}
    {%- if segments -%}
case
    {%- for segment in segments %}
    when grouping(segment_{{ loop.index }}) = 0 then '{{ segment.name }}'
    {%- endfor %}
    else 'all'
end as segment,
coalesce(
    {%- for segment in segments %}
    segment_{{ loop.index }},
    {%- endfor %}
    'all'
) as segment_value
    {%- else -%}
'all' as segment,
'all' as segment_value
    {%- endif -%}
{%- endmacro %}
