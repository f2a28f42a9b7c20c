{#-
    How often each class came true, was predicted, and both, out of the rows of a CTE
    with actual, predicted and outcome_count. Null where it never happened.
-#}
{% macro class_counts(outcomes, keys) -%}
select
    {%- for key in keys %}
    {{ outcomes }}.{{ key }},
    {%- endfor %}
    classes.class,
    sum({{ outcomes }}.outcome_count) filter (
        where {{ outcomes }}.actual = classes.class
    ) as support,
    sum({{ outcomes }}.outcome_count) filter (
        where {{ outcomes }}.predicted = classes.class
    ) as predicted_count,
    sum({{ outcomes }}.outcome_count) filter (
        where
            {{ outcomes }}.actual = classes.class
            and {{ outcomes }}.predicted = classes.class
    ) as correct_count

from {{ outcomes }}

-- Once for a hit, twice for a miss: in its actual class and in the predicted one.
cross join lateral (
    select {{ outcomes }}.actual as class
    union
    select {{ outcomes }}.predicted as class
) as classes

group by
    {%- for key in keys %}
    {{ outcomes }}.{{ key }},
    {%- endfor %}
    classes.class
{%- endmacro %}
