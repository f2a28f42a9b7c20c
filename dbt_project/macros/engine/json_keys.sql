{#- Which of some names are no keys of a JSON object; all, if it is no object. -#}
{% macro json_missing_keys(json, names) %}
    {{- return(adapter.dispatch('json_missing_keys', 'driftline')(json, names)) -}}
{% endmacro %}

{% macro default__json_missing_keys(json, names) -%}
    {#- The lists are opened only for the few rows that have something to tell. -#}
case
            when
                jsonb_typeof({{ json }}) = 'object'
                and {{ json }} ?& {{ text_array(names) | indent(16) }}
                then '{}'::text[]
            else array(
                select names.name
                from unnest({{ text_array(names) | indent(16) }}) as names (name)
                where
                    (jsonb_typeof({{ json }}) = 'object' and {{ json }} ? names.name)
                    is not true
            )
        end
{%- endmacro %}


{#- The keys of a JSON object besides those names; none, if it is no object. -#}
{% macro json_unknown_keys(json, names) %}
    {{- return(adapter.dispatch('json_unknown_keys', 'driftline')(json, names)) -}}
{% endmacro %}

{% macro default__json_unknown_keys(json, names) -%}
case
            when
                jsonb_typeof({{ json }}) = 'object'
                and {{ json }} - {{ text_array(names) | indent(16) }} != '{}'
                then array(
                    select unknown.key
                    from jsonb_object_keys(
                        {{ json }} - {{ text_array(names) | indent(24) }}
                    ) as unknown (key)
                )
            else '{}'::text[]
        end
{%- endmacro %}


{% macro text_array(names) -%}
array[
    {%- for name in names %}
    {{ text_literal(name) }}{{ ',' if not loop.last }}
    {%- endfor %}
]
{%- endmacro %}
