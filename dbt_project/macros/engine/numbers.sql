{#-
    Whether a double is a usable number: not NaN, not ±Infinity, and within ±1e100.
    Anything else counts as invalid. Postgres stops with an error where a double
    overflows, and its variance squares numbers times their count: that must not
    overflow for any count of rows. (Postgres sorts NaN above every number, so `between`
    leaves it out.)
-#}
{% macro is_number(value) -%}
    {{ value }} between -1e100 and 1e100
{%- endmacro %}


{#-
    A value as a usable number, else null. What is closer to zero than 1e-100 counts as
    0, since Postgres stops with an error where a product or quotient underflows, too.
-#}
{% macro usable_number(value) -%}
case
    when {{ value }} between -1e-100 and 1e-100 then 0::double precision
    when {{ is_number(value) }} then {{ value }}::double precision
end
{%- endmacro %}


{#- The square of a usable number, without underflow. -#}
{% macro squared(value) -%}
case
    when abs({{ value }}) > 1e-100
        then power({{ value }}, 2)
    else 0
end
{%- endmacro %}


{#-
    A number out of a flat JSON object: null where the key is missing or null, NaN where
    there is something that is no usable number. Strings such as "12.5" are numbers.
-#}
{% macro json_number(json, key) %}
    {{- return(adapter.dispatch('json_number', 'driftline')(json, key)) -}}
{% endmacro %}

{% macro default__json_number(json, key) -%}
        {%- set text = '(' ~ json ~ ' ->> ' ~ text_literal(key) ~ ')' -%}
        case
            when
                -- Faster than the patterns below, for nearly all there is.
                jsonb_typeof({{ json }} -> {{ text_literal(key) }}) = 'number'
                and length({{ text }}) <= 200
                then {{ text }}::double precision
            else
{{ text_number(text) | indent(8) }}
        end
{%- endmacro %}


{#-
    The number that a text spells, or NaN. The patterns come first because Postgres 15
    has no cast that fails softly. What could overflow or underflow a double, by an
    exponent of three digits or by more than 200 characters (JSON spells 1e300 out),
    takes the slow way through numeric; closer to zero than 1e-200 it counts as 0.
    Exponents of more digits, and texts longer than a numeric can hold, are no numbers.

    Its lines stand as in a select list, where no `indent` may move them: the text can
    hold a class label, and that a line break.
-#}
{% macro text_number(text) %}
    {{- return(adapter.dispatch('text_number', 'driftline')(text)) -}}
{% endmacro %}

{% macro default__text_number(text) -%}
        {%- set unsigned = '([0-9]+\\.?[0-9]*|\\.[0-9]+)' -%}
        case
            when {{ text }} is null then null
            when
                length({{ text }}) <= 200
                and {{ text }} ~ '^[-+]?{{ unsigned }}([eE][-+]?[0-9]{1,2})?$'
                then ({{ text }})::double precision
            when
                length({{ text }}) > 16000
                or {{ text }} !~ '^[-+]?{{ unsigned }}([eE][-+]?[0-9]{1,3})?$'
                then 'NaN'
            when ({{ text }})::numeric between -1e100 and 1e100
                then round(({{ text }})::numeric, 200)::double precision
            else 'NaN'
        end
{%- endmacro %}


{#- e to the power of a number, from 1e-100 to 1e100: beyond, Postgres stops. -#}
{% macro bounded_exp(power) -%}
exp(greatest(-230, least(230, {{ power }})))
{%- endmacro %}
