{#-
    The alerts on burn rates of the SRE workbook (Google, 2018, chapter 5, table 5-8):
    a page where 2 % of a 30 days' budget are gone within an hour or 5 % within six, a
    ticket where 10 % are gone within three days. Each has a short window that tells
    whether it still burns.
-#}
{% macro burn_rate_alerts() %}
    {{ return([
        {
            'name': 'page_1h', 'threshold': 14.4, 'severity': 'critical',
            'long': '1_hour', 'short': '5_minutes',
        },
        {
            'name': 'page_6h', 'threshold': 6, 'severity': 'critical',
            'long': '6_hours', 'short': '30_minutes',
        },
        {
            'name': 'ticket_3d', 'threshold': 1, 'severity': 'warning',
            'long': '3_days', 'short': '6_hours',
        },
    ]) }}
{% endmacro %}


{#- The windows of those alerts with their seconds. -#}
{% macro burn_rate_windows() %}
    {{ return({
        '5_minutes': 300,
        '30_minutes': 1800,
        '1_hour': 3600,
        '6_hours': 21600,
        '3_days': 259200,
    }) }}
{% endmacro %}


{#- A scope of `stale_scope` with the three days before each of its ranges. -#}
{% macro reaching_back(scope) %}
    {% set ranges = [] %}
    {% for range in scope %}
        {% set start = modules.datetime.datetime.strptime(
            range.from[:19], '%Y-%m-%d %H:%M:%S'
        ) - modules.datetime.timedelta(days=3) %}
        {% do ranges.append({'from': start ~ '+00', 'to': range.to}) %}
    {% endfor %}
    {{ return(ranges) }}
{% endmacro %}
