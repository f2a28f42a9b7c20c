{#-
    The methods that measure drift, with the kinds of column that they suit and the
    scores above which a column counts as drifted and as critically drifted.

    Sources: 0.1 and 0.25 of psi are Siddiqi's (Credit Risk Scorecards, 2006). 0.1 of
    jensen_shannon, hellinger, ks and wasserstein is what Evidently and NannyML use.
    For the others there is no convention: a tenth of the rows that would have to move
    (total_variation, l_infinity), a small effect by Cohen (chi_squared, as Cramér's V,
    and mean_shift in standard deviations; Statistical Power Analysis, 1988).
-#}
{% macro drift_methods() %}
    {% set both = ['numerical', 'categorical'] %}
    {{ return({
        'psi': {'kinds': both, 'thresholds': [0.1, 0.25]},
        'jensen_shannon': {'kinds': both, 'thresholds': [0.1, 0.2]},
        'hellinger': {'kinds': both, 'thresholds': [0.1, 0.2]},
        'total_variation': {'kinds': both, 'thresholds': [0.1, 0.2]},
        'l_infinity': {'kinds': both, 'thresholds': [0.1, 0.2]},
        'chi_squared': {'kinds': both, 'thresholds': [0.1, 0.3]},
        'ks': {'kinds': ['numerical'], 'thresholds': [0.1, 0.2]},
        'wasserstein': {'kinds': ['numerical'], 'thresholds': [0.1, 0.25]},
        'mean_shift': {'kinds': ['numerical'], 'thresholds': [0.2, 0.5]},
    }) }}
{% endmacro %}


{#- What a window can be compared with, and how. -#}
{% macro drift_references() %}
    {{ return(['baseline', 'previous', 'last_week']) }}
{% endmacro %}


{#-
    How drift is measured: methods, the first of which decides a column's status;
    compared_to; alpha, the rate of false discoveries; thresholds {method: [warning,
    critical]}; and columns, {name: {methods, thresholds}} for every monitored column,
    with the methods that suit its kind.
-#}
{% macro monitor_drift(name, drift, columns) %}
    {% set known = drift_methods() %}
    {% if drift is not mapping %}
        {% do wrong_monitor(name, 'drift', 'is no mapping',
            'write it as {methods: [psi, ks], thresholds: {psi: [0.1, 0.25]}}') %}
    {% endif %}
    {% set keys = ['methods', 'compared_to', 'alpha', 'thresholds', 'columns'] %}
    {% for key in drift if key not in keys %}
        {% do wrong_monitor(name, 'drift', "'" ~ key ~ "' is unknown",
            'use ' ~ keys | join(', ')) %}
    {% endfor %}

    {% set compared_to = checked_choice(
        name, 'compared_to', drift.get('compared_to', drift_references()),
        drift_references()
    ) %}
    {% set alpha = drift.get('alpha', 0.05) %}
    {% if alpha is not number or alpha is boolean or alpha <= 0 or alpha >= 1 %}
        {% do wrong_monitor(name, 'drift', "alpha is '" ~ alpha ~ "'",
            'use a share between 0 and 1, as in 0.05') %}
    {% endif %}
    {% set methods = checked_choice(
        name, 'methods', drift.get('methods', known | list), known | list
    ) %}
    {% set defaults = {} %}
    {% for method, properties in known.items() %}
        {% do defaults.update({method: properties.thresholds}) %}
    {% endfor %}
    {% set thresholds =
        checked_thresholds(name, drift.get('thresholds', {}), defaults) %}

    {% set chosen = drift.get('columns', {}) %}
    {% if chosen is not mapping %}
        {% do wrong_monitor(name, 'drift', 'columns is no mapping',
            'write it as {columns: {price: {methods: [ks]}}}') %}
    {% endif %}
    {% set column_names = columns | map(attribute='name') | list %}
    {% for column in chosen if column not in column_names %}
        {% do wrong_monitor(name, 'drift', "columns names '" ~ column ~ "'",
            'the columns are ' ~ column_names | join(', ')) %}
    {% endfor %}
    {% set completed = {} %}
    {% for column in columns %}
        {% set own = chosen.get(column.name, {}) %}
        {% if own is not mapping %}
            {% do wrong_monitor(name, 'drift', column.name ~ ' is no mapping',
                'write it as {methods: [psi], thresholds: {psi: [0.2, 0.4]}}') %}
        {% endif %}
        {% for key in own if key not in ['methods', 'thresholds'] %}
            {% do wrong_monitor(name, 'drift',
                column.name ~ " has the unknown key '" ~ key ~ "'",
                'use methods and thresholds') %}
        {% endfor %}
        {% set own_methods = checked_choice(
            name, 'methods', own.get('methods', methods), known | list
        ) %}
        {% set suited = [] %}
        {% for method in own_methods %}
            {% if column.kind in known[method].kinds %}
                {% do suited.append(method) %}
            {% elif 'methods' in own %}
                {% do wrong_monitor(name, 'drift',
                    method ~ ' does not suit ' ~ column.name ~ ', which is '
                    ~ column.kind,
                    'use it for ' ~ known[method].kinds | join(' and ') ~ ' columns')
                %}
            {% endif %}
        {% endfor %}
        {% do completed.update({column.name: {
            'methods': suited,
            'thresholds':
                checked_thresholds(name, own.get('thresholds', {}), thresholds),
        }}) %}
    {% endfor %}
    {{ return({
        'methods': methods,
        'compared_to': compared_to,
        'alpha': alpha,
        'thresholds': thresholds,
        'columns': completed,
    }) }}
{% endmacro %}


{#- A list of some of the choices that there are. -#}
{% macro checked_choice(name, key, chosen, choices) %}
    {% if chosen is string or chosen is mapping or chosen is not iterable
        or not chosen %}
        {% do wrong_monitor(name, 'drift', key ~ ' is no list',
            'write it as [' ~ choices[:2] | join(', ') ~ ']') %}
    {% endif %}
    {% for choice in chosen %}
        {% if choice not in choices %}
            {% do wrong_monitor(name, 'drift',
                key ~ " has the unknown '" ~ choice ~ "'",
                'use some of ' ~ choices | join(', ')) %}
        {% elif loop.index0 != chosen.index(choice) %}
            {% do wrong_monitor(name, 'drift',
                key ~ " lists '" ~ choice ~ "' twice", 'remove one of them') %}
        {% endif %}
    {% endfor %}
    {{ return(chosen | list) }}
{% endmacro %}


{#- Thresholds {method: [warning, critical]} over the defaults. -#}
{% macro checked_thresholds(name, thresholds, defaults) %}
    {% set completed = dict(defaults) %}
    {% set remedy = 'write them as {psi: [0.1, 0.25]}, warning first' %}
    {% if thresholds is not mapping %}
        {% do wrong_monitor(name, 'drift', 'thresholds is no mapping', remedy) %}
    {% endif %}
    {% for method, pair in thresholds.items() %}
        {% if method not in defaults %}
            {% do wrong_monitor(name, 'drift',
                "thresholds names the unknown method '" ~ method ~ "'",
                'use some of ' ~ defaults | join(', ')) %}
        {% elif pair is string or pair is not sequence or pair is mapping
            or pair | length != 2
            or pair | reject('number') | list or pair | select('boolean') | list
            or not 0 < pair[0] <= pair[1] %}
            {% do wrong_monitor(name, 'drift',
                'thresholds of ' ~ method ~ " are '" ~ pair ~ "'", remedy) %}
        {% endif %}
        {% do completed.update({method: pair | list}) %}
    {% endfor %}
    {{ return(completed) }}
{% endmacro %}
