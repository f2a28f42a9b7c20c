{#- Check one monitor block key by key and fill in what it leaves out. -#}
{% macro completed_monitor(block, position) %}
    {% set identifier = '[a-z_][a-z0-9_]{0,62}' %}
    {% if block is not mapping %}
        {% do wrong_monitor('#' ~ position, 'name', 'the block is no mapping of keys',
            'write it as `- name: …` with the keys of docs/monitors.md below it') %}
    {% endif %}
    {% set name = block.get('name') | string %}
    {#-
        Shorter than other identifiers: the models add up to twenty letters of their
        own.
    -#}
    {% if not modules.re.fullmatch('[a-z_][a-z0-9_]{0,39}', name) %}
        {% do wrong_monitor(name if block.get('name') else '#' ~ position, 'name',
            "'" ~ name ~ "' is no name of a monitor",
            'use lowercase letters, digits and underscores, at most 40,'
            ~ ' not starting with a digit') %}
    {% elif name in [
        'actual', 'burn', 'column', 'confusion', 'label', 'label_delay', 'latency',
        'outcome', 'score', 'status', 'traffic',
    ] %}
        {% do wrong_monitor(name, 'name', 'is a name that the models use themselves',
            'choose a longer one, such as ' ~ name ~ '_model') %}
    {% endif %}

    {% set known_keys = [
        'name', 'predictions', 'task', 'positive_class', 'features', 'segments',
        'column_segments', 'fairness', 'baseline', 'windows', 'slo', 'freshness',
        'labels', 'drift', 'evidently', 'alerts', 'owner', 'minimum_sample',
    ] %}
    {% for key in block if key not in known_keys %}
        {% do wrong_monitor(name, key, 'is no key of a monitor block',
            'the keys are ' ~ known_keys | join(', ')) %}
    {% endfor %}

    {% set predictions = block.get('predictions') | string %}
    {% if not modules.re.fullmatch(identifier, predictions) %}
        {% do wrong_monitor(name, 'predictions',
            "'" ~ predictions ~ "' is no name of a dbt model",
            'name the staging model that holds the predictions') %}
    {% endif %}

    {% set task = block.get('task') | string %}
    {% if task not in ['binary', 'multiclass', 'regression'] %}
        {% do wrong_monitor(name, 'task', "'" ~ task ~ "' is unknown",
            'use binary, multiclass or regression') %}
    {% endif %}

    {% set positive_class = block.get('positive_class') %}
    {% if task == 'binary' and positive_class is not string %}
        {% do wrong_monitor(name, 'positive_class',
            'is ' ~ ('missing' if positive_class is none else 'no text'),
            'give the label of the positive class in quotes, as in "true"') %}
    {% elif task != 'binary' and positive_class is not none %}
        {% do wrong_monitor(name, 'positive_class', 'belongs to binary monitors only',
            'remove it') %}
    {% endif %}

    {% set features = monitor_features(name, block.get('features')) %}
    {#- Texts and vectors hardly repeat, so rows can't be cut by them. -#}
    {% set feature_names = features
        | selectattr('kind', 'in', ['numerical', 'categorical'])
        | map(attribute='name') | list %}

    {% set prediction_kind = 'numerical' if task == 'regression' else 'categorical' %}
    {% set columns = [] %}
    {% for feature in features %}
        {% do columns.append({
            'name': feature.name, 'role': 'feature', 'kind': feature.kind,
        }) %}
    {% endfor %}
    {% do columns.append({
        'name': 'prediction', 'role': 'prediction', 'kind': prediction_kind,
    }) %}
    {% if task == 'binary' %}
        {% do columns.append({'name': 'score', 'role': 'score', 'kind': 'numerical'}) %}
    {% endif %}

    {% set actual = {'name': 'actual', 'role': 'actual', 'kind': prediction_kind} %}

    {% set minimum_sample = block.get('minimum_sample', 50) %}
    {% if minimum_sample is not integer or minimum_sample is boolean
        or minimum_sample < 1 %}
        {% do wrong_monitor(name, 'minimum_sample',
            "'" ~ minimum_sample ~ "' is no count of rows",
            'use a whole number of at least 1, or leave it out for 50') %}
    {% endif %}

    {% set owner = block.get('owner', 'unowned') %}
    {% if owner is not string %}
        {% do wrong_monitor(name, 'owner', 'is no text',
            'name the team or person in quotes') %}
    {% endif %}

    {% set segments =
        monitor_segments(name, block.get('segments', []), feature_names) %}

    {{ return({
        'name': name,
        'predictions': predictions,
        'task': task,
        'positive_class': positive_class,
        'features': features,
        'columns': columns,
        'actual': actual,
        'segments': segments,
        'column_segments': chosen_segments(
            name, 'column_segments', block.get('column_segments', []), segments
        ),
        'fairness': chosen_segments(
            name, 'fairness', block.get('fairness', []), segments
        ),
        'baseline': monitor_baseline(name, block.get('baseline'), identifier),
        'windows': monitor_windows(name, block.get('windows', {})),
        'slo': monitor_slo(name, block.get('slo', {})),
        'freshness': monitor_freshness(name, block.get('freshness')),
        'labels': monitor_labels(name, block.get('labels', {})),
        'drift': monitor_drift(
            name, block.get('drift', {}), columns + [actual]
        ),
        'evidently': monitor_evidently(
            name, block.get('evidently', {}), columns + [actual]
        ),
        'alerts': monitor_alerts(name, block.get('alerts', {})),
        'owner': owner,
        'minimum_sample': minimum_sample,
    }) }}
{% endmacro %}


{#- What a feature can be. SQL counts the nulls of the last two, Evidently the rest. -#}
{% macro column_kinds() %}
    {{ return(['numerical', 'categorical', 'text', 'embedding']) }}
{% endmacro %}


{% macro monitor_features(name, features) %}
    {% if features is not mapping or not features %}
        {% do wrong_monitor(name, 'features', 'is missing or empty',
            'list at least one feature'
            ~ ' as `column: numerical` or `column: categorical`') %}
    {% endif %}
    {% set contract_columns = [
        'prediction_id', 'model_version', 'predicted_at', 'loaded_at', 'prediction',
        'score', 'actual', 'labelled_at', 'label_loaded_at', 'latency_ms',
        'status_code', 'is_error', 'missing_features', 'unknown_features',
    ] %}
    {% set checked = [] %}
    {% for feature, kind in features.items() %}
        {% if not modules.re.fullmatch('[a-z_][a-z0-9_]{0,62}', feature | string) %}
            {% do wrong_monitor(name, 'features', "'" ~ feature ~ "' is no identifier",
                'rename the column in the staging model'
                ~ ' to lowercase letters, digits and underscores') %}
        {% elif feature in contract_columns %}
            {% do wrong_monitor(name, 'features',
                "'" ~ feature ~ "' is a column of the staging contract",
                'it is monitored by itself: remove it from the features') %}
        {% elif kind not in column_kinds() %}
            {% do wrong_monitor(name, 'features',
                "'" ~ feature ~ "' has the unknown kind '" ~ kind ~ "'",
                'use one of ' ~ column_kinds() | join(', ')) %}
        {% endif %}
        {% do checked.append({'name': feature, 'kind': kind}) %}
    {% endfor %}
    {{ return(checked) }}
{% endmacro %}


{% macro monitor_segments(name, segments, feature_names) %}
    {% if segments is string or segments is mapping or segments is not iterable %}
        {% do wrong_monitor(name, 'segments', 'is no list',
            'write it as [origin, carrier, "origin x carrier"]') %}
    {% endif %}
    {% set checked = [] %}
    {% for segment in segments %}
        {% if segment == 'all' %}
            {% do wrong_monitor(name, 'segments', "'all' stands for all rows together",
                'give the column another name in the staging model') %}
        {% endif %}
        {% set columns = (segment | string).split(' x ') %}
        {% for column in columns if column not in feature_names %}
            {% do wrong_monitor(name, 'segments',
                "'" ~ column ~ "' is none of the features",
                'use a feature, or two and more joined by " x "') %}
        {% endfor %}
        {% if segment in checked | map(attribute='name') | list %}
            {% do wrong_monitor(name, 'segments', "'" ~ segment ~ "' is listed twice",
                'remove one of them') %}
        {% endif %}
        {% do checked.append({'name': segment | string, 'columns': columns}) %}
    {% endfor %}
    {{ return(checked) }}
{% endmacro %}


{#- Some of the monitor's segments, by name. -#}
{% macro chosen_segments(name, key, chosen, segments) %}
    {% set names = segments | map(attribute='name') | list %}
    {% if chosen is string or chosen is mapping or chosen is not iterable %}
        {% do wrong_monitor(name, key, 'is no list', 'write it as [origin]') %}
    {% endif %}
    {% for segment in chosen %}
        {% if segment not in names %}
            {% do wrong_monitor(name, key,
                "'" ~ segment ~ "' is none of the segments",
                'use some of ' ~ names | join(', ') if names
                else 'list it under segments first') %}
        {% elif loop.index0 != chosen.index(segment) %}
            {% do wrong_monitor(name, key, "'" ~ segment ~ "' is listed twice",
                'remove one of them') %}
        {% endif %}
    {% endfor %}
    {{ return(segments | selectattr('name', 'in', chosen) | list) }}
{% endmacro %}


{% macro monitor_baseline(name, baseline, identifier) %}
    {% set remedy =
        'give {relation: …}, {from: 2026-01-01, to: 2026-02-01} or {first: 14 days}' %}
    {% if baseline is not mapping %}
        {% do wrong_monitor(name, 'baseline', 'is missing', remedy) %}
    {% endif %}
    {% set versions = baseline.get('versions', 'own') %}
    {% if versions not in ['own', 'shared'] %}
        {% do wrong_monitor(name, 'baseline', "versions is '" ~ versions ~ "'",
            'use own, to compare each version with its own rows where it has some,'
            ~ ' or shared, to compare all with the same rows') %}
    {% endif %}
    {% set rows = monitor_baseline_rows(name, baseline, identifier, remedy) %}
    {{ return(dict(rows, versions=versions)) }}
{% endmacro %}


{% macro monitor_baseline_rows(name, baseline, identifier, remedy) %}
    {% set keys = baseline.keys() | reject('equalto', 'versions') | sort | list %}
    {% if keys == ['relation'] %}
        {% if not modules.re.fullmatch(identifier, baseline.relation | string) %}
            {% do wrong_monitor(name, 'baseline',
                "'" ~ baseline.relation ~ "' is no name of a dbt model", remedy) %}
        {% endif %}
        {{ return({'relation': baseline.relation}) }}
    {% elif keys == ['from', 'to'] %}
        {% for key in keys if not is_date(baseline[key] | string) %}
            {% do wrong_monitor(name, 'baseline',
                "'" ~ baseline[key] ~ "' is no date", remedy) %}
        {% endfor %}
        {% if baseline['from'] | string >= baseline['to'] | string %}
            {% do wrong_monitor(name, 'baseline', 'ends before it starts', remedy) %}
        {% endif %}
        {{ return({'from': baseline['from'] | string, 'to': baseline['to'] | string}) }}
    {% elif keys == ['first'] %}
        {% set span = baseline['first'] | string %}
        {% if not modules.re.fullmatch('[1-9][0-9]{0,3} days?', span) %}
            {% do wrong_monitor(name, 'baseline',
                "'" ~ span ~ "' is no number of days", remedy) %}
        {% endif %}
        {{ return({'first': span}) }}
    {% endif %}
    {% do wrong_monitor(name, 'baseline',
        'has the keys ' ~ keys | join(', '), remedy) %}
{% endmacro %}


{#- Whether a text is a date of the calendar, as in 2026-01-31. -#}
{% macro is_date(text) %}
    {% if not modules.re.fullmatch('[0-9]{3}[1-9]-(0[1-9]|1[0-2])-[0-9]{2}', text) %}
        {{ return(false) }}
    {% endif %}
    {% set year, month, day = text.split('-') | map('int') %}
    {% set next_month = modules.datetime.date(year + month // 12, month % 12 + 1, 1) %}
    {{ return(0 < day <= (next_month - modules.datetime.timedelta(days=1)).day) }}
{% endmacro %}


{% macro monitor_windows(name, windows) %}
    {% set completed = {'traffic': 'hour', 'columns': 'day'} %}
    {% set allowed = {
        'traffic': ['5 minutes', '15 minutes', 'hour', 'day'],
        'columns': ['hour', 'day'],
    } %}
    {% if windows is not mapping %}
        {% do wrong_monitor(name, 'windows', 'is no mapping',
            'write it as {traffic: hour, columns: day}') %}
    {% endif %}
    {% for family, grain in windows.items() %}
        {% if family not in completed %}
            {% do wrong_monitor(name, 'windows', "'" ~ family ~ "' is no family",
                'use traffic and columns') %}
        {% elif grain not in allowed[family] %}
            {% do wrong_monitor(name, 'windows',
                "'" ~ grain ~ "' is no window for " ~ family,
                'use one of ' ~ allowed[family] | join(', ')) %}
        {% endif %}
        {% do completed.update({family: grain}) %}
    {% endfor %}
    {% if completed.traffic == 'day' and completed.columns == 'hour' %}
        {% do wrong_monitor(name, 'windows',
            'traffic windows are longer than those of columns',
            'make traffic as short as columns, or shorter') %}
    {% endif %}
    {{ return(completed) }}
{% endmacro %}


{% macro monitor_slo(name, slo) %}
    {% set completed = {
        'availability': 0.999, 'latency_ms': 500, 'latency_target': 0.99,
    } %}
    {% if slo is not mapping %}
        {% do wrong_monitor(name, 'slo', 'is no mapping',
            'write it as'
            ~ ' {availability: 0.999, latency_ms: 250, latency_target: 0.99}') %}
    {% endif %}
    {% for key, target in slo.items() %}
        {% if key not in completed %}
            {% do wrong_monitor(name, 'slo', "'" ~ key ~ "' is unknown",
                'use availability, latency_ms and latency_target') %}
        {% elif target is not number or target is boolean or target <= 0
            or (key != 'latency_ms' and target >= 1) %}
            {% do wrong_monitor(name, 'slo', key ~ " is '" ~ target ~ "'",
                'use milliseconds above 0' if key == 'latency_ms'
                else 'use a share between 0 and 1, as in 0.999') %}
        {% endif %}
        {% do completed.update({key: target}) %}
    {% endfor %}
    {{ return(completed) }}
{% endmacro %}


{% macro monitor_labels(name, labels) %}
    {% set completed = {'expected_within': '7 days'} %}
    {% if labels is not mapping %}
        {% do wrong_monitor(name, 'labels', 'is no mapping',
            'write it as {expected_within: 2 days}') %}
    {% endif %}
    {% for key, value in labels.items() %}
        {% set span = value | string %}
        {% if key != 'expected_within'
            or not is_time_span(span) %}
            {% do wrong_monitor(name, 'labels',
                "'" ~ key ~ ': ' ~ value ~ "' is unknown",
                'use expected_within with a span such as 6 hours or 2 days') %}
        {% endif %}
        {% do completed.update({key: span}) %}
    {% endfor %}
    {{ return(completed) }}
{% endmacro %}


{#- How old the newest prediction may be; none to judge it by the usual traffic. -#}
{% macro monitor_freshness(name, freshness) %}
    {% if freshness is not none and not is_time_span(freshness | string) %}
        {% do wrong_monitor(name, 'freshness', "'" ~ freshness ~ "' is no span of time",
            'use a span such as 30 minutes, 2 hours or 1 day') %}
    {% endif %}
    {{ return(freshness) }}
{% endmacro %}


{% macro is_time_span(text) %}
    {{ return(modules.re.fullmatch('[0-9]{1,5} (minute|hour|day)s?', text)) }}
{% endmacro %}
