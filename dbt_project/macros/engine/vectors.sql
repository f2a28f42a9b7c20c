{#-
    Whether an array is a usable vector: not empty, and no element null, NaN or
    infinite.
-#}
{% macro is_vector(value) %}
    {{- return(adapter.dispatch('is_vector', 'driftline')(value)) -}}
{% endmacro %}

{% macro default__is_vector(value) -%}
(
    cardinality({{ value }}) > 0
    and array_position({{ value }}, null) is null
    and array_position({{ value }}, 'NaN') is null
    and array_position({{ value }}, 'Infinity') is null
    and array_position({{ value }}, '-Infinity') is null
)
{%- endmacro %}


{#- 64-bit hash of an array. -#}
{% macro vector_hash(value) %}
    {{- return(adapter.dispatch('vector_hash', 'driftline')(value)) -}}
{% endmacro %}

{% macro default__vector_hash(value) -%}
hash_array_extended({{ value }}, 0)
{%- endmacro %}


{#-
    An array of numbers out of a flat JSON object: null where the key is missing or
    null, {NaN} where there is something that is no array of usable numbers. Closer to
    zero than 1e-200 a number counts as 0, since a double would underflow.
-#}
{% macro json_vector(json, key) %}
    {{- return(adapter.dispatch('json_vector', 'driftline')(json, key)) -}}
{% endmacro %}

{% macro default__json_vector(json, key) -%}
        {%- set value = '(' ~ json ~ ' -> ' ~ text_literal(key) ~ ')' -%}
        case
            when coalesce(jsonb_typeof({{ value }}), 'null') = 'null' then null
            when
                jsonb_typeof({{ value }}) != 'array'
                or jsonb_path_exists(
                    {{ value }},
                    'strict $[*] ? (
                        @.type() != "number" || @ > 1e100 || @ < -1e100
                    )'
                )
                then array['NaN']::double precision[]
            else array(
                select round(elements.value::numeric, 200)::double precision
                from jsonb_array_elements({{ value }})
                    with ordinality as elements (value, place)
                order by elements.place
            )
        end
{%- endmacro %}
