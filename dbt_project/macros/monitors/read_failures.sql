{#-
    Monitors are isolated: one whose relation is missing, lacks a column or raises an
    error is left as it was, with the reason, and the others go on.

    What a run could not read is in the table `read_failures`, by `invocation_id`: each
    run decides for itself, so that overlapping ones can't disturb each other. It is
    found where a relation is read for the first time, so that no row is read twice for
    it: when the staging view is built (`view`), when its columns are compared with the
    block (`check_monitor_relations`), and by `guarded_rows` and `guarded_block`, which
    catch what a query raises. From then on the monitor has no stale windows, and
    `predictions_of` is an empty relation in place of its own.
-#}
{% macro read_failures() %}
    {% if not can_note_failures() %}
        {{ return([]) }}
    {% endif %}
    {#- Once for each model: its macros ask dozens of times. -#}
    {% if 'read_failures' in model %}
        {{ return(model.read_failures) }}
    {% endif %}
    {% set found = run_query(
        "select monitor from " ~ read_failures_table()
        ~ " where invocation_id = '" ~ invocation_id ~ "'"
    ) %}
    {% do model.update({'read_failures': found.columns[0].values() | list}) %}
    {{ return(model.read_failures) }}
{% endmacro %}


{#- To be called where the model itself may have noted one. -#}
{% macro forget_known_failures() %}
    {% do model.pop('read_failures', none) %}
{% endmacro %}


{% macro can_be_read(monitor) %}
    {{ return(monitor.name not in read_failures()) }}
{% endmacro %}


{#- Other commands only show the SQL, and a unit test has rows in place of relations. -#}
{% macro can_note_failures() %}
    {{ return(
        execute
        and flags.WHICH in ['run', 'build', 'test']
        and (model is not defined or model.resource_type != 'unit_test')
    ) }}
{% endmacro %}


{% macro read_failures_table() %}
    {{ return(copy_relation('read_failures')) }}
{% endmacro %}


{% macro note_read_failure(monitor, reason) %}
    {% do run_query(
        "insert into " ~ read_failures_table() ~ " (invocation_id, monitor, reason)"
        ~ " values ('" ~ invocation_id ~ "', '" ~ monitor.name ~ "', "
        ~ text_literal(reason) ~ ") on conflict do nothing"
    ) %}
    {% do forget_known_failures() %}
{% endmacro %}


{#-
    The monitor's predictions, for a from clause; no rows, in columns of the same names,
    if this run could not read them.
-#}
{% macro predictions_of(monitor) %}
    {#- Named before any condition, so that dbt sees the dependency when it parses. -#}
    {% set relation = ref(monitor.predictions) %}
    {{ return(
        relation | string if can_be_read(monitor) else no_predictions(monitor)
    ) }}
{% endmacro %}


{% macro no_predictions(monitor) -%}
(
    select
        {%- for name, type in contract_types(monitor).items() %}
        null::{{ type }} as {{ adapter.quote(name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
) as no_predictions
{%- endmacro %}


{#- The columns of the staging contract and of a monitor's features, with their types. -#}
{% macro contract_types(monitor) %}
    {% set outcome = 'double precision' if monitor.task == 'regression' else 'text' %}
    {% set types = {
        'prediction_id': 'text',
        'model_version': 'text',
        'predicted_at': 'timestamptz',
        'loaded_at': 'timestamptz',
        'prediction': outcome,
        'score': 'double precision',
        'actual': outcome,
        'labelled_at': 'timestamptz',
        'label_loaded_at': 'timestamptz',
        'latency_ms': 'double precision',
        'is_error': 'boolean',
    } %}
    {% do types.update(optional_types()) %}
    {% for feature in monitor.features %}
        {% do types.update({
            feature.name: {
                'numerical': 'double precision',
                'categorical': 'text',
                'text': 'text',
                'embedding': 'double precision[]',
            }[feature.kind],
        }) %}
    {% endfor %}
    {{ return(types) }}
{% endmacro %}


{#-
    If the query of a relation that monitors read can't even be planned, note so for all
    of them, and return what to run in its place: nothing, where the relation is there,
    or one without rows, so that what reads it finds it. `this` is that relation.
-#}
{% macro instead_of_unbuildable(query) %}
    {% set readers = [] %}
    {% if can_note_failures() %}
        {% for monitor in monitors()
            if model.name in [monitor.predictions, monitor.baseline.relation] %}
            {% do readers.append(monitor) %}
        {% endfor %}
    {% endif %}
    {% set problem = planning_error(query) if readers %}
    {% if not problem %}
        {{ return('') }}
    {% endif %}
    {% for monitor in readers %}
        {% do note_read_failure(monitor,
            "the model '" ~ model.name ~ "' cannot be built: " ~ problem
            ~ "; mend it, or what it reads, and build again") %}
    {% endfor %}
    {% if load_cached_relation(this) is not none %}
        {{ return('select 1') }}
    {% endif %}
    {{ return(
        'create view ' ~ this ~ ' as select * from ' ~ no_predictions(readers[0])
    ) }}
{% endmacro %}
