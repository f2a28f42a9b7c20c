{#- Mean of a whole from counts and means of its parts, as a window function. -#}
{% macro merged_mean(value_count, mean, keys) -%}
sum({{ value_count }} * {{ mean }}) over (
    partition by
        {{ keys | join(',\n        ') }}
) / sum({{ value_count }}) over (
    partition by
        {{ keys | join(',\n        ') }}
)
{%- endmacro %}


{#- Sum of squared deviations of a whole: those of its parts and of their means. -#}
{% macro merged_m2(value_count, mean, m2, merged_mean) -%}
sum(
    {{ m2 }}
    + {{ value_count }} * (
        {{ squared(mean ~ ' - ' ~ merged_mean) | indent(8) }}
    )
)
{%- endmacro %}
