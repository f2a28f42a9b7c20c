{#-
    The condition that a rule is about a row of its family's mart: monitor, grain,
    version and segment, in the windows that have to be read. The earliest of all rules
    is named by itself, so that a mart which is a view is not computed for all of history.
-#}
{% macro rule_applies(rules, mart) -%}
{{ rules }}.monitor = {{ mart }}.monitor
and {{ rules }}.grain = {{ mart }}.grain
and {{ mart }}.window_end > {{ rules }}.read_since
and {{ mart }}.window_end > (select min(earliest.read_since) from {{ rules }} as earliest)
and (
    {{ rules }}.versions = 'every'
    or ({{ rules }}.versions = 'all') = ({{ mart }}.model_version = 'all')
)
and {{ rules }}.segment in ('*', {{ mart }}.segment)
{%- endmacro %}


{#-
    The condition that a rule is about a column: by its pattern, in which * stands for
    any text, and its role.
-#}
{% macro rule_names_column(rules, mart) -%}
{{ mart }}.column_name like {{ glob_pattern(rules ~ '.columns') }}
and case
    when {{ rules }}.roles is null then {{ mart }}.role != 'actual'
    else {{ mart }}.role = any(string_to_array({{ rules }}.roles, ' '))
end
{%- endmacro %}


{#- A pattern in which * stands for any text, as one of SQL's. -#}
{% macro glob_pattern(glob) -%}
replace(replace(replace(replace(
    {{ glob }}, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
{%- endmacro %}


{#- The part of a season in which a window lies, as a number. -#}
{% macro season_part(season, window_start) -%}
{%- set seconds =
    seconds_between("timestamptz '1970-01-05 00:00:00+00'", window_start) -%}
case {{ season }}
    when 'hour of day' then mod(floor({{ seconds }} / 3600)::bigint, 24)
    when 'hour of week' then mod(floor({{ seconds }} / 3600)::bigint, 168)
    when 'day of week' then mod(floor({{ seconds }} / 86400)::bigint, 7)
    else 0
end
{%- endmacro %}


{#- A rule's trailing period as an interval of hours. -#}
{% macro period_length(period) -%}
split_part({{ period }}, ' ', 1)::integer * interval '24 hours'
{%- endmacro %}


{#- How long a silence leaves things as they are. -#}
{% macro patience_of(grain) -%}
greatest(interval '168 hours', 4 * {{ window_length_of(grain) }})
{%- endmacro %}


{#-
    What a find is about: the values of a column, whether they are wrong or drift, the
    service, or how good predictions are.
-#}
{% macro find_subject(family) -%}
case
    when {{ family }} in ('data_quality', 'drift') then 'values'
    else {{ family }}
end
{%- endmacro %}

{% macro find_place(family, column_name) -%}
case
    when {{ family }} in ('data_quality', 'drift') then {{ column_name }}
    else 'all'
end
{%- endmacro %}
