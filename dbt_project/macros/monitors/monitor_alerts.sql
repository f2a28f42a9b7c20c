{#-
    What a monitor changes of the alert rules: a list of {rule_id, is_off, changed,
    values}, by the names of `alert_rule_columns`. A rule with a family is one of its
    own, complete with defaults; the others change some columns of a rule of the seed,
    which `check_alert_rules` looks up when the seed is there.
-#}
{% macro monitor_alerts(name, alerts) %}
    {% set remedy = 'write it as {null_rate: {warning: 0.1}, traffic_volume: off}' %}
    {% if alerts is not mapping %}
        {% do wrong_monitor(name, 'alerts', 'is no mapping', remedy) %}
    {% endif %}
    {% set completed = [] %}
    {% for rule_id, change in alerts.items() %}
        {% if not modules.re.fullmatch('[a-z_][a-z0-9_]{0,62}', rule_id | string) %}
            {% do wrong_monitor(name, 'alerts', "'" ~ rule_id ~ "' is no name of a rule",
                'use lowercase letters, digits and underscores') %}
        {% elif change is sameas false %}
            {% do completed.append({
                'rule_id': rule_id, 'is_off': true, 'changed': [], 'values': {},
            }) %}
            {% continue %}
        {% elif change is not mapping or not change %}
            {% do wrong_monitor(name, 'alerts', rule_id ~ " is '" ~ change ~ "'",
                'write off, or what changes, as in {warning: 0.1}') %}
        {% endif %}
        {% set is_own = 'family' in change %}
        {% set values = {} %}
        {% if is_own %}
            {% do values.update(default_alert_rule(change)) %}
        {% endif %}
        {% for key, value in change.items() %}
            {% do check_alert_rule_key(name, rule_id, key, value, is_own) %}
            {% do values.update({key: value}) %}
        {% endfor %}
        {% if is_own %}
            {% do check_own_alert_rule(name, rule_id, values) %}
        {% endif %}
        {% do completed.append({
            'rule_id': rule_id,
            'is_off': false,
            'changed': values | list,
            'values': values,
        }) %}
    {% endfor %}
    {{ return(completed) }}
{% endmacro %}


{#-
    The columns of a rule with their types, in the order of the seed, and what they may
    hold: a list of choices, a pattern, or a range of numbers.
-#}
{% macro alert_rule_columns() %}
    {% set name = '[a-z_][a-z0-9_]{0,62}' %}
    {{ return({
        'family': {'type': 'text', 'choices': [
            'service_health', 'data_quality', 'drift', 'model_performance',
        ]},
        'metric': {'type': 'text', 'pattern': name, 'as_in': 'null_rate'},
        'compared_to': {'type': 'text', 'choices': drift_references()},
        'columns': {
            'type': 'text', 'pattern': '[^\n]{1,200}', 'as_in': 'dep_* for some',
        },
        'roles': {
            'type': 'text',
            'pattern': '(feature|prediction|score|actual|key|row|unknown|dataset)'
                ~ '( (feature|prediction|score|actual|key|row|unknown|dataset))*',
            'as_in': 'feature prediction',
        },
        'versions': {'type': 'text', 'choices': ['all', 'each', 'every']},
        'segment': {'type': 'text', 'pattern': '[^\n]{1,200}', 'as_in': 'all or *'},
        'grain': {'type': 'text', 'choices': ['traffic', 'hour', 'day', 'week']},
        'method': {'type': 'text', 'choices': [
            'static', 'baseline', 'learned', 'burn_rate', 'significance',
        ]},
        'compared_as': {'type': 'text', 'choices': ['ratio', 'difference']},
        'direction': {'type': 'text', 'choices': ['above', 'below', 'both']},
        'warning': {'type': 'double precision', 'numbers': [-1e100, 1e100]},
        'critical': {'type': 'double precision', 'numbers': [-1e100, 1e100]},
        'minimum_sample': {'type': 'integer', 'counts': [0, 1000000000]},
        'open_after': {'type': 'integer', 'counts': [1, 1000]},
        'close_after': {'type': 'integer', 'counts': [1, 1000]},
        'period': {
            'type': 'text', 'pattern': '[1-9][0-9]{0,2} days?', 'as_in': '28 days',
        },
        'season': {'type': 'text', 'choices': [
            'none', 'hour of day', 'hour of week', 'day of week',
        ]},
        'minimum_history': {'type': 'integer', 'counts': [1, 10000]},
        'minimum_change': {'type': 'double precision', 'numbers': [0, 1e100]},
        'minimum_ratio': {'type': 'double precision', 'numbers': [0, 1e6]},
        'description': {
            'type': 'text', 'pattern': '[^\n]{1,1000}', 'as_in': 'a sentence',
        },
        'runbook': {'type': 'text', 'pattern': '[^\n]{1,200}', 'as_in': 'nulls'},
    }) }}
{% endmacro %}


{#- One key of a rule in a monitor block. -#}
{% macro check_alert_rule_key(name, rule_id, key, value, is_own) %}
    {% set known = alert_rule_columns() %}
    {% set fixed = ['metric', 'compared_to', 'method', 'compared_as'] %}
    {% set bounds = ['warning', 'critical'] %}
    {% set problem = rule_id ~ ': ' ~ key ~ " is '" ~ value ~ "'" %}
    {% if key not in known %}
        {% do wrong_monitor(name, 'alerts',
            rule_id ~ " has the unknown key '" ~ key ~ "'",
            'the keys are ' ~ known | join(', ')) %}
    {% elif key in fixed and not is_own %}
        {% do wrong_monitor(name, 'alerts', rule_id ~ ' changes its ' ~ key,
            'name a rule of your own, with family, metric and method') %}
    {% endif %}
    {% set column = known[key] %}
    {% if value is none and (key in bounds or key in ['roles', 'minimum_sample']) %}
        {{ return('') }}
    {% elif column.choices and value not in column.choices %}
        {% do wrong_monitor(name, 'alerts', problem,
            'use ' ~ column.choices | join(', ')) %}
    {% elif column.pattern and (
        value is not string or not modules.re.fullmatch(column.pattern, value)
    ) %}
        {% do wrong_monitor(name, 'alerts', problem,
            'write a text in quotes, as in ' ~ column.as_in) %}
    {% elif column.numbers and (
        value is not number or value is boolean
        or not column.numbers[0] <= value <= column.numbers[1]
    ) %}
        {% do wrong_monitor(name, 'alerts', problem,
            'use a number' ~ ('' if key in bounds else ' of at least 0')) %}
    {% elif column.counts and (
        value is not integer or value is boolean
        or not column.counts[0] <= value <= column.counts[1]
    ) %}
        {% do wrong_monitor(name, 'alerts', problem,
            'use a whole number of at least ' ~ column.counts[0]) %}
    {% endif %}
{% endmacro %}


{#- What a rule of a monitor's own need not say. -#}
{% macro default_alert_rule(change) %}
    {% set family = change.get('family') %}
    {{ return({
        'compared_to': 'baseline' if family == 'drift' else none,
        'columns': '*',
        'roles': none,
        'versions': 'all',
        'segment': 'all',
        'grain': 'traffic' if family == 'service_health' else 'day',
        'compared_as': 'difference',
        'direction': 'above',
        'warning': none,
        'critical': none,
        'minimum_sample': none,
        'open_after': 1,
        'close_after': 1,
        'period': '28 days',
        'season': 'none',
        'minimum_history': 7,
        'minimum_change': 0,
        'minimum_ratio': 0,
        'description': none,
        'runbook': none,
    }) }}
{% endmacro %}


{% macro check_own_alert_rule(name, rule_id, values) %}
    {% for key in ['metric', 'method'] if not values.get(key) %}
        {% do wrong_monitor(name, 'alerts', rule_id ~ ' has no ' ~ key,
            'a rule of your own needs family, metric, method, and warning or critical'
        ) %}
    {% endfor %}
    {% if values.warning is none and values.critical is none %}
        {% do wrong_monitor(name, 'alerts', rule_id ~ ' has no bound',
            'give warning, critical, or both') %}
    {% endif %}
    {% if (values.method == 'burn_rate') != (values.metric == 'burn_rate') %}
        {% do wrong_monitor(name, 'alerts',
            rule_id ~ ' has the metric ' ~ values.metric ~ ' and the method '
            ~ values.method,
            'burn_rate is a metric of the method burn_rate, and of no other') %}
    {% elif values.method == 'significance' and values.family != 'drift' %}
        {% do wrong_monitor(name, 'alerts',
            rule_id ~ ' asks for significance in ' ~ values.family,
            'only drift has p-values: use static, baseline or learned') %}
    {% elif values.metric == 'burn_rate' and values.family != 'service_health' %}
        {% do wrong_monitor(name, 'alerts',
            rule_id ~ ' looks for burn rates in ' ~ values.family,
            'use the family service_health') %}
    {% endif %}
{% endmacro %}
