{#- Microseconds since 1970 as an integer; null for ±infinity. -#}
{% macro epoch_microseconds(timestamp) %}
    {{- return(adapter.dispatch('epoch_microseconds', 'driftline')(timestamp)) -}}
{% endmacro %}

{% macro default__epoch_microseconds(timestamp) -%}
case
    when isfinite({{ timestamp }})
        then (extract(epoch from {{ timestamp }}) * 1000000)::bigint
end
{%- endmacro %}


{#- Seconds from one timestamp to another. -#}
{% macro seconds_between(earlier, later) %}
    {{- return(adapter.dispatch('seconds_between', 'driftline')(earlier, later)) -}}
{% endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    extract(epoch from {{ later }} - {{ earlier }})::double precision
{%- endmacro %}
