{#-
    The windows that statistics are kept in, by name, with their seconds, shortest first.
    Each divides the next, and all begin with a Monday in UTC.
-#}
{% macro grains() %}
    {{ return({
        '5 minutes': 300,
        '15 minutes': 900,
        'hour': 3600,
        'day': 86400,
        'week': 604800,
    }) }}
{% endmacro %}


{#- Start of the UTC window of that grain which holds a timestamp. -#}
{% macro window_start(timestamp, grain) %}
    {{- return(adapter.dispatch('window_start', 'driftline')(timestamp, grain)) -}}
{% endmacro %}

{% macro default__window_start(timestamp, grain) -%}
    date_bin(
        {{ window_length(grain) }},
        {{ timestamp }},
        timestamptz '1970-01-05 00:00:00+00'
    )
{%- endmacro %}


{#- End of a window, which is not part of it. -#}
{% macro window_end(window_start, grain) %}
    {{- return(adapter.dispatch('window_end', 'driftline')(window_start, grain)) -}}
{% endmacro %}

{% macro default__window_end(window_start, grain) -%}
    {{ window_start }} + {{ window_length(grain) }}
{%- endmacro %}


{#-
    Length of a window as an interval of hours or minutes, not days: a day of a session
    in another time zone may have 23 or 25 hours.
-#}
{% macro window_length(grain) -%}
    {%- set seconds = grains()[grain] -%}
    {%- if seconds < 3600 -%}
interval '{{ seconds // 60 }} minutes'
    {%- else -%}
interval '{{ seconds // 3600 }} hours'
    {%- endif -%}
{%- endmacro %}


{#- A timestamp's window of a grain that a column names, as a case expression. -#}
{% macro window_start_of(timestamp, grain) -%}
case {{ grain }}
    {%- for name in grains() %}
    when '{{ name }}' then {{ window_start(timestamp, name) | indent(8) }}
    {%- endfor %}
end
{%- endmacro %}


{#- The length of a grain that a column names, as a case expression. -#}
{% macro window_length_of(grain) -%}
case {{ grain }}
    {%- for name in grains() %}
    when '{{ name }}' then {{ window_length(name) }}
    {%- endfor %}
end
{%- endmacro %}


{#-
    The finest windows in which a monitor keeps the statistics of a family: its traffic
    grain or its column grain.
-#}
{% macro finest_grain(monitor, family) %}
    {{ return(
        monitor.windows.traffic if family in ['traffic', 'burn_rates', 'ledger']
        else monitor.windows.columns
    ) }}
{% endmacro %}


{#-
    The grains that a family is shown in: the finest of any monitor, and all that are
    longer.
-#}
{% macro grains_of_family(family) %}
    {% set names = grains() | list %}
    {% set places = [] %}
    {% for monitor in monitors() %}
        {% do places.append(names.index(finest_grain(monitor, family))) %}
    {% endfor %}
    {{ return(names[places | min:]) }}
{% endmacro %}
