{#-
    At the end of a run that refreshes windows or incidents: what came of it. Kept for 400
    days. A run that is killed leaves no row.
-#}
{% macro record_run() %}
    {% if not execute or flags.WHICH not in ['run', 'build']
        or (
            'model.driftline.int_window_ledger' not in selected_resources
            and 'model.driftline.incidents' not in selected_resources
        ) %}
        {{ return('') }}
    {% endif %}
    {% set pipeline_runs =
        generate_schema_name('operations', none) ~ '.pipeline_runs' %}
    {% set counts = namespace(models=0, failed=0, skipped=0, tests=0, warned=0) %}
    {% set first = namespace(name=none) %}
    {% for result in results %}
        {% set is_test = result.node.resource_type in ['test', 'unit_test'] %}
        {% if result.status == 'skipped' %}
            {% set counts.skipped = counts.skipped + (0 if is_test else 1) %}
        {% elif result.status == 'warn' %}
            {% set counts.warned = counts.warned + 1 %}
        {% elif result.status in ['error', 'fail'] %}
            {% if is_test %}
                {% set counts.tests = counts.tests + 1 %}
            {% else %}
                {% set counts.failed = counts.failed + 1 %}
            {% endif %}
            {% set first.name = first.name or result.node.name %}
        {% elif not is_test %}
            {% set counts.models = counts.models + 1 %}
        {% endif %}
    {% endfor %}
    insert into {{ pipeline_runs }} (
        invocation_id,
        started_at,
        ended_at,
        succeeded_count,
        failed_count,
        skipped_count,
        failed_test_count,
        warned_test_count,
        first_failure
    )
    values (
        '{{ invocation_id }}',
        '{{ run_started_at.isoformat() }}'::timestamptz,
        clock_timestamp(),
        {{ counts.models }},
        {{ counts.failed }},
        {{ counts.skipped }},
        {{ counts.tests }},
        {{ counts.warned }},
        {{ text_literal(first.name) if first.name else 'null' }}
    )
    on conflict do nothing;

    delete from {{ pipeline_runs }} where ended_at < now() - interval '400 days';
{% endmacro %}
