{#-
    Note as a read failure if a relation that a monitor names lacks a column that it
    needs. Runs where the relations have been built, before anything reads them.
-#}
{% macro check_monitor_relations(monitor) %}
    {% set relations = [ref(monitor.predictions)] %}
    {% if monitor.baseline.relation %}
        {% do relations.append(ref(monitor.baseline.relation)) %}
    {% endif %}
    {% if not can_note_failures() %}
        {{ return('') }}
    {% endif %}
    {% set number_types = [
        'smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision',
    ] %}
    {% set needed = {} %}
    {% do needed.update({
        'prediction_id': none,
        'model_version': none,
        'predicted_at': ['timestamp with time zone'],
        'loaded_at': ['timestamp with time zone'],
        'labelled_at': ['timestamp with time zone'],
        'label_loaded_at': ['timestamp with time zone'],
        'latency_ms': number_types,
        'is_error': ['boolean'],
        'score': number_types,
    }) %}
    {% set text_types = ['text', 'character varying'] %}
    {% for name in ['prediction', 'actual'] %}
        {% do needed.update({
            name: number_types if monitor.task == 'regression' else text_types,
        }) %}
    {% endfor %}
    {% for feature in monitor.features %}
        {% do needed.update({
            feature.name: {
                'numerical': number_types,
                'categorical': none,
                'text': text_types,
                'embedding': ['ARRAY'],
            }[feature.kind],
        }) %}
    {% endfor %}

    {% set optional = {
        'status_code': ['integer', 'smallint', 'bigint'],
        'missing_features': ['ARRAY'],
        'unknown_features': ['ARRAY'],
    } %}

    {% for relation in relations %}
        {% set types = column_types(relation) %}
        {% if types %}
            {% for column, allowed in optional.items() if column in types %}
                {% if types[column] not in allowed %}
                    {% do note_read_failure(
                        monitor,
                        "the column '" ~ column ~ "' of '" ~ relation.identifier
                        ~ "' has the type " ~ types[column]
                        ~ '; cast it to ' ~ (
                            'text[]' if allowed == ['ARRAY'] else allowed[0]
                        )
                    ) %}
                {% endif %}
            {% endfor %}
            {% for column, allowed in needed.items() %}
                {% if column not in types %}
                    {% do note_read_failure(
                        monitor,
                        "the model '" ~ relation.identifier
                        ~ "' has no column '" ~ column
                        ~ "'; add it to the model, or remove it from the features"
                    ) %}
                {% elif allowed and types[column] not in allowed %}
                    {% do note_read_failure(
                        monitor,
                        "the column '" ~ column ~ "' of '" ~ relation.identifier
                        ~ "' has the type " ~ types[column]
                        ~ '; cast it to ' ~ (
                            'double precision' if allowed == number_types
                            else 'double precision[]' if allowed == ['ARRAY']
                            else allowed[0]
                        )
                    ) %}
                {% endif %}
            {% endfor %}
        {% endif %}
    {% endfor %}
{% endmacro %}
