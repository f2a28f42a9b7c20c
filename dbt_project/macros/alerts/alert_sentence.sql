{#-
    What a rule found in a window, in a sentence, out of a relation with the columns of
    `int_rule_evaluations` and the rule's family, method and compared_to, and the bound
    that was crossed.
-#}
{% macro alert_sentence(found) -%}
{%- set is_rate -%}
({{ found }}.metric like '%\_rate' and {{ found }}.metric != 'burn_rate'
    or {{ found }}.metric in ('availability', 'label_coverage'))
{%- endset -%}
case
    when {{ found }}.metric = 'burn_rate'
        then 'the budget of ' || split_part({{ found }}.column_name, ' ', 1)
            || ' burns ' || {{ number_in_words(found ~ '.value') | indent(12) }}
            || ' times as fast as it may'
    else
        case {{ found }}.method when 'significance' then 'the p-value of ' else '' end
        || {{ metric_in_words(found ~ '.metric') | indent(8) }}
        || case {{ found }}.column_name
            when 'all' then ''
            else ' of ' || {{ found }}.column_name
        end
        || case {{ found }}.compared_to
            when 'baseline' then ' against the baseline'
            when 'previous' then ' against the window before'
            when 'last_week' then ' against the window a week before'
            else ''
        end
        || ' is ' || {{ figure_in_words(found ~ '.value', found ~ '.metric', is_rate) | indent(8) }}
        || case
            when
                {{ is_rate }}
                and {{ found }}.column_name != 'actual'
                and {{ found }}.value is not null
                then ' (' || round({{ found }}.value * {{ found }}.sample_count)
                    || ' of ' || {{ found }}.sample_count || ')'
            else ''
        end
end
|| case
    when {{ found }}.value < {{ found }}.bound then ', below '
    else ', above '
end
|| {{ figure_in_words(found ~ '.bound', found ~ '.metric', is_rate) }}
|| case {{ found }}.method
    when 'learned'
        then '; usual is ' || {{ figure_in_words(
            found ~ '.expected', found ~ '.metric', is_rate
        ) | indent(8) }}
    when 'baseline'
        then '; the baseline has ' || {{ figure_in_words(
            found ~ '.expected', found ~ '.metric', is_rate
        ) | indent(8) }}
    else ''
end
|| case {{ found }}.model_version
    when 'all' then ''
    else ', version ' || {{ found }}.model_version
end
|| case {{ found }}.segment
    when 'all' then ''
    else ', ' || {{ found }}.segment || ' ' || {{ found }}.segment_value
end
{%- endmacro %}


{#- What people call a figure; its unit stands with the number. -#}
{% macro metric_in_words(metric) -%}
case {{ metric }}
    when 'psi' then 'PSI'
    when 'ks' then 'KS distance'
    when 'roc_auc' then 'ROC AUC'
    when 'f1' then 'F1'
    when 'f1_macro' then 'macro F1'
    when 'mae' then 'mean absolute error'
    when 'rmse' then 'root mean squared error'
    when 'mape' then 'mean absolute percentage error'
    when 'r2' then 'R²'
    else regexp_replace(replace({{ metric }}, '_', ' '), ' (ms|seconds)$', '')
end
{%- endmacro %}


{#- A figure with its unit; a rate in percent. -#}
{% macro figure_in_words(value, metric, is_rate) -%}
case
    when {{ is_rate }} then trim_scale(round((100 * {{ value }})::numeric, 2)) || ' %'
    {%- for unit, seconds in {'days': 86400, 'hours': 3600, 'minutes': 60}.items() %}
    when {{ metric }} like '%\_seconds' and abs({{ value }}) >= {{ 2 * seconds }}
        then {{ number_in_words(value ~ ' / ' ~ seconds) | indent(8) }} || ' {{ unit }}'
    {%- endfor %}
    else {{ number_in_words(value) | indent(4) }}
        || case
            when {{ metric }} like '%\_seconds' then ' seconds'
            when {{ metric }} like '%\_ms' then ' ms'
            else ''
        end
end
{%- endmacro %}


{#- A number with up to four digits that tell something. -#}
{% macro number_in_words(value) -%}
case
    when {{ value }} = 0 then '0'
    when abs({{ value }}) between 1e-6 and 1e15
        then trim_scale(round(
            ({{ value }})::numeric,
            greatest(0, 3 - floor(log(abs({{ value }})::numeric)))::integer
        ))::text
    else ({{ value }})::text
end
{%- endmacro %}


{#- The order of families in a search for the cause: upstream first. -#}
{% macro family_place(family) -%}
case {{ family }}
    when 'service_health' then 1
    when 'data_quality' then 2
    when 'drift' then 3
    else 4
end
{%- endmacro %}
