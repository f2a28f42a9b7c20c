{#-
    The tests of Evidently that a monitor can choose, by our names, with the kinds of
    column that they suit. The orchestration knows Evidently's own names and thresholds
    of them.
-#}
{% macro evidently_methods() %}
    {% set numerical = ['numerical'] %}
    {% set categorical = ['categorical'] %}
    {% set both = ['numerical', 'categorical'] %}
    {% set text = ['text'] %}
    {% set embedding = ['embedding'] %}
    {{ return({
        'ks': numerical,
        'wasserstein_normed': numerical,
        'energy_distance': numerical,
        'anderson_darling': numerical,
        'cramer_von_mises': numerical,
        'epps_singleton': numerical,
        'mann_whitney': numerical,
        't_test': numerical,
        'empirical_mmd': numerical,
        'jensen_shannon': both,
        'kullback_leibler': both,
        'hellinger': both,
        'psi': both,
        'chi_squared': categorical,
        'z_test': categorical,
        'fisher_exact': categorical,
        'g_test': categorical,
        'total_variation': categorical,
        'text_classifier': text,
        'text_classifier_percentile': text,
        'embedding_classifier': embedding,
        'embedding_mmd': embedding,
        'embedding_ratio': embedding,
        'euclidean': embedding,
        'cosine': embedding,
        'cityblock': embedding,
        'chebyshev': embedding,
    }) }}
{% endmacro %}


{#- What looks at all features together. -#}
{% macro multivariate_methods() %}
    {{ return(['domain_classifier', 'pca_reconstruction']) }}
{% endmacro %}


{#-
    What the orchestration has Evidently do, checked; no model reads it, so that another
    choice makes no window stale.
-#}
{% macro monitor_evidently(name, evidently, columns) %}
    {% set known = evidently_methods() %}
    {% set keys = [
        'methods', 'thresholds', 'columns', 'drifted_share', 'multivariate', 'reports',
    ] %}
    {% do check_evidently_keys(name, none, evidently, keys,
        'write it as {methods: {numerical: ks}, thresholds: {ks: 0.01}}') %}

    {% set methods = evidently.get('methods', {}) %}
    {% do check_evidently_keys(name, 'methods', methods, column_kinds(),
        'write it as {methods: {numerical: ks}}') %}
    {% for kind, method in methods.items() %}
        {% do check_evidently_method(name, 'methods of ' ~ kind, method, kind) %}
    {% endfor %}

    {% set thresholds = evidently.get('thresholds', {}) %}
    {% do check_evidently_keys(name, 'thresholds', thresholds,
        known | list + multivariate_methods(), 'write it as {thresholds: {ks: 0.01}}') %}
    {% for method, threshold in thresholds.items() %}
        {% do check_evidently_threshold(name, 'thresholds of ' ~ method, threshold) %}
    {% endfor %}

    {% set chosen = evidently.get('columns', {}) %}
    {% do check_evidently_keys(name, 'columns', chosen,
        columns | map(attribute='name') | list,
        'write it as {columns: {price: {method: psi, threshold: 0.2}}}') %}
    {% for column in columns if column.name in chosen %}
        {% set own = chosen[column.name] %}
        {% do check_evidently_keys(name, column.name, own, ['method', 'threshold'],
            'write it as {method: psi, threshold: 0.2}') %}
        {% if 'method' in own %}
            {% do check_evidently_method(
                name, 'the method of ' ~ column.name, own.method, column.kind
            ) %}
        {% endif %}
        {% if 'threshold' in own %}
            {% do check_evidently_threshold(
                name, 'the threshold of ' ~ column.name, own.threshold
            ) %}
        {% endif %}
    {% endfor %}

    {% set share = evidently.get('drifted_share', 0.5) %}
    {% if share is not number or share is boolean or share <= 0 or share > 1 %}
        {% do wrong_monitor(name, 'evidently', "drifted_share is '" ~ share ~ "'",
            'use a share above 0, up to 1') %}
    {% endif %}
    {% set multivariate = evidently.get('multivariate', multivariate_methods()) %}
    {% if multivariate is string or multivariate is mapping
        or multivariate is not iterable
        or multivariate | reject('in', multivariate_methods()) | list %}
        {% do wrong_monitor(name, 'evidently',
            "multivariate is '" ~ multivariate ~ "'",
            'use a list of some of ' ~ multivariate_methods() | join(', ') ~ ', or []')
        %}
    {% endif %}
    {% set reports = evidently.get('reports', true) %}
    {% if reports is not boolean %}
        {% do wrong_monitor(name, 'evidently', "reports is '" ~ reports ~ "'",
            'use true or false') %}
    {% endif %}
    {{ return(evidently) }}
{% endmacro %}


{% macro check_evidently_keys(name, part, value, known, remedy) %}
    {% set prefix = part ~ ' ' if part else '' %}
    {% if value is not mapping %}
        {% do wrong_monitor(name, 'evidently', prefix ~ 'is no mapping', remedy) %}
    {% endif %}
    {% for key in value if key not in known %}
        {% do wrong_monitor(name, 'evidently',
            prefix ~ "has the unknown key '" ~ key ~ "'",
            'use some of ' ~ known | join(', ')) %}
    {% endfor %}
{% endmacro %}


{% macro check_evidently_method(name, part, method, kind) %}
    {% set suited = [] %}
    {% for known, kinds in evidently_methods().items() if kind in kinds %}
        {% do suited.append(known) %}
    {% endfor %}
    {% if method not in suited %}
        {% do wrong_monitor(name, 'evidently',
            part ~ " is '" ~ method ~ "', which suits no " ~ kind ~ ' columns',
            'use one of ' ~ suited | join(', ')) %}
    {% endif %}
{% endmacro %}


{% macro check_evidently_threshold(name, part, threshold) %}
    {% if threshold is not number or threshold is boolean or threshold <= 0 %}
        {% do wrong_monitor(name, 'evidently', part ~ " is '" ~ threshold ~ "'",
            'use a number above 0') %}
    {% endif %}
{% endmacro %}
