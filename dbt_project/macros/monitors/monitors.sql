{#-
    The monitor blocks of `vars: monitors:`, checked and completed. Every model that
    loops over monitors starts here, so a wrong block stops dbt while it parses, before
    any SQL runs.

    Each item: name, predictions, task, positive_class, features [{name, kind}],
    segments [{name, columns}] with those of column_segments and fairness among them,
    baseline, windows, slo, freshness, labels, drift, evidently, alerts, owner,
    minimum_sample, columns: what is recorded when the prediction is made [{name, role,
    kind}], and actual, the column of the labels.
-#}
{% macro monitors() %}
    {% set blocks = var('monitors', none) %}
    {% if not blocks or blocks is string or blocks is mapping
        or blocks is not iterable %}
        {% do exceptions.raise_compiler_error(
            "vars.monitors in dbt_project.yml must be a list"
            ~ " with at least one monitor block."
        ) %}
    {% endif %}
    {#- Unit tests have blocks of their own. -#}
    {% set known = shared_by_run().get('monitors', {}) %}
    {% if known.blocks == blocks %}
        {{ return(known.completed) }}
    {% endif %}
    {% set completed = [] %}
    {% set names = [] %}
    {% for block in blocks %}
        {% set monitor = completed_monitor(block, loop.index) %}
        {% if monitor.name in names %}
            {% do wrong_monitor(monitor.name, 'name', 'is used by two blocks',
                'give each monitor a name of its own') %}
        {% endif %}
        {% do names.append(monitor.name) %}
        {% do completed.append(monitor) %}
    {% endfor %}
    {% do shared_by_run().update({
        'monitors': {'blocks': blocks, 'completed': completed}
    }) %}
    {{ return(completed) }}
{% endmacro %}


{#- The monitor block of that name. -#}
{% macro monitor_named(name) %}
    {% for monitor in monitors() if monitor.name == name %}
        {{ return(monitor) }}
    {% endfor %}
    {% do exceptions.raise_compiler_error(
        "No monitor is named '" ~ name
        ~ "': add a block for it to vars.monitors in dbt_project.yml."
    ) %}
{% endmacro %}


{% macro wrong_monitor(name, key, problem, remedy) %}
    {% do exceptions.raise_compiler_error(
        "Monitor '" ~ name ~ "', key '" ~ key ~ "': " ~ problem ~ "; " ~ remedy ~ "."
    ) %}
{% endmacro %}
