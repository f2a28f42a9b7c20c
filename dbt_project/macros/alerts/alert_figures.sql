{#-
    The figures that rules can watch, by family: numbers of the family's mart, for drift
    its methods. What requests are expected depends on the time of reading, so it is
    none of them: a learned rule on `request_count` does that.
-#}
{% macro alert_figures() %}
    {% set service_health = ['burn_rate'] %}
    {% for figure in figures_of('service_health')
        if figure not in ['expected_request_count', 'request_count_ratio'] %}
        {% do service_health.append(figure) %}
    {% endfor %}
    {{ return({
        'service_health': service_health,
        'data_quality': figures_of('data_quality'),
        'model_performance': figures_of('model_performance'),
        'drift': drift_methods() | list + ['drifted_share'],
    }) }}
{% endmacro %}


{#- The name of the same figure in the baseline, if the mart has it. -#}
{% macro alert_baseline(family, metric) %}
    {% set name = 'baseline_' ~ metric %}
    {{ return(name if name in alert_figures()[family] else none) }}
{% endmacro %}


{#-
    Which figures the rules of all monitors name, {family: [metric]}, so that nothing
    else is read. Empty while dbt parses; a unit test overrides it.
-#}
{% macro alert_metrics() %}
    {% set named = {
        'service_health': [], 'data_quality': [], 'model_performance': [], 'drift': [],
    } %}
    {% set rules = ref('int_alert_rules') %}
    {% set is_built = execute and flags.WHICH in ['run', 'build'] %}
    {% if is_built %}
        {% for rule in run_query(
            "select distinct family, metric from " ~ rules
            ~ " where method != 'burn_rate' order by family, metric"
        ) %}
            {% do named[rule['family']].append(rule['metric']) %}
        {% endfor %}
    {% endif %}
    {{ return(named) }}
{% endmacro %}


{#-
    How the figures of a family that rules name are read out of its mart, a list of
    {metric, value, sample_count, lower, upper, baseline_value, rate_total}: columns or
    expressions, and none where there is none. `rate_total` is what a rate is a share
    of, to know its interval by.
-#}
{% macro alert_figure_parts(family) %}
    {% set parts = [] %}
    {% for metric in alert_metrics()[family] %}
        {% set part = {
            'metric': metric,
            'value': metric,
            'lower': none,
            'upper': none,
            'baseline_value': alert_baseline(family, metric),
            'rate_total': none,
        } %}
        {% if family == 'service_health' %}
            {% set sample_count =
                'latency_count'
                if metric.startswith(('latency_', 'slow_', 'burn_rate_latency'))
                else 'request_count' %}
            {% if metric in ['error_rate', 'availability', 'slow_rate'] %}
                {% do part.update({'rate_total': sample_count}) %}
            {% endif %}
        {% elif family == 'data_quality' %}
            {#- Labels that are not there yet can be neither right nor wrong. -#}
            {% set rows = 'row_count' if metric != 'unknown_rate'
                else 'round(row_count / nullif(unknown_rate, 0))' %}
            {% set sample_count =
                "case when role = 'actual' then row_count - null_count else "
                ~ rows ~ " end" %}
            {% if metric.endswith('_rate') and not metric.startswith('baseline_') %}
                {% do part.update({'rate_total': rows}) %}
            {% endif %}
        {% else %}
            {% set sample_count =
                'prediction_count'
                if metric.startswith(('label', 'prediction_count', 'estimated_'))
                else 'compared_count'
                if metric.startswith(('realised_', 'compared_'))
                else 'labelled_count' %}
            {% if metric ~ '_lower' in alert_figures()[family] %}
                {% do part.update({
                    'lower': metric ~ '_lower', 'upper': metric ~ '_upper',
                }) %}
            {% elif metric == 'label_coverage' %}
                {% do part.update({'rate_total': sample_count}) %}
            {% endif %}
        {% endif %}
        {% do part.update({'sample_count': sample_count}) %}
        {% do parts.append(part) %}
    {% endfor %}
    {{ return(parts) }}
{% endmacro %}


{#- One of those expressions by the rule's metric. -#}
{% macro by_metric(parts, name, type='double precision') -%}
    {%- set known = parts | selectattr(name) | list -%}
    {%- if known -%}
case metric
    {%- for part in known %}
    when '{{ part.metric }}' then ({{ part[name] }})::{{ type }}
    {%- endfor %}
end
    {%- else -%}
null::{{ type }}
    {%- endif -%}
{%- endmacro %}
