{#-
    Stop with a sentence if a monitor changes a rule that the seed lacks, or a rule
    names a figure that its family's mart lacks. Runs where the seed has been loaded.
-#}
{% macro check_alert_rules() %}
    {% set rules = ref('alert_rules') %}
    {% if not execute or model.resource_type == 'unit_test'
        or flags.WHICH not in ['run', 'build'] %}
        {{ return('') }}
    {% endif %}
    {% set known = [] %}
    {% set figures = alert_figures() %}
    {% for rule in run_query(
        'select rule_id, family, metric, method from ' ~ rules ~ ' order by rule_id'
    ) %}
        {% do known.append(rule['rule_id']) %}
        {% do check_alert_figure('in alert_rules.csv', rule, figures) %}
    {% endfor %}
    {% for monitor in monitors() %}
        {% for change in monitor.alerts %}
            {% if 'family' in change.changed %}
                {% do check_alert_figure(
                    "of the monitor '" ~ monitor.name ~ "'",
                    dict(change['values'], rule_id=change.rule_id),
                    figures
                ) %}
            {% elif change.rule_id not in known %}
                {% do wrong_monitor(monitor.name, 'alerts',
                    "there is no rule '" ~ change.rule_id ~ "' to change",
                    'use one of ' ~ known | join(', ')
                    ~ ', or give it a family, to be one of its own') %}
            {% endif %}
        {% endfor %}
    {% endfor %}
{% endmacro %}


{% macro check_alert_figure(place, rule, figures) %}
    {% set known = figures[rule['family']] %}
    {% set problem =
        "Alert rule '" ~ rule['rule_id'] ~ "' " ~ place ~ ": " %}
    {% if rule['metric'] not in known %}
        {% do exceptions.raise_compiler_error(
            problem ~ "'" ~ rule['metric'] ~ "' is no figure of " ~ rule['family']
            ~ "; use one of " ~ known | join(', ') ~ "."
        ) %}
    {% elif rule['method'] == 'baseline'
        and not alert_baseline(rule['family'], rule['metric']) %}
        {% do exceptions.raise_compiler_error(
            problem ~ "the baseline has no '" ~ rule['metric']
            ~ "'; use the method static or learned."
        ) %}
    {% endif %}
{% endmacro %}
