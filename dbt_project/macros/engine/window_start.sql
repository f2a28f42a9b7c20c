{#- Start of the UTC window of that grain (hour, day) which holds a timestamp. -#}
{% macro window_start(timestamp, grain) %}
    {{- return(adapter.dispatch('window_start', 'driftline')(timestamp, grain)) -}}
{% endmacro %}

{% macro default__window_start(timestamp, grain) -%}
    date_bin('1 {{ grain }}', {{ timestamp }}, timestamptz '1970-01-01 00:00:00+00')
{%- endmacro %}


{#- End of a window, which is not part of it. -#}
{% macro window_end(window_start, grain) %}
    {{- return(adapter.dispatch('window_end', 'driftline')(window_start, grain)) -}}
{% endmacro %}

{#-
    Hours, not days: a day of a session in another time zone may have 23 or 25 of them.
-#}
{% macro default__window_end(window_start, grain) -%}
    {{ window_start }} + interval '{{ {"hour": 1, "day": 24}[grain] }} hours'
{%- endmacro %}
