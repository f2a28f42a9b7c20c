{#-
    At the end of a run: the data tests that failed or warned, and the monitors that no
    prediction has reached for too long, so that an incident of the same time can name
    them. Kept for 400 days.
-#}
{% macro record_failed_tests() %}
    {% if not execute or flags.WHICH not in ['run', 'build', 'test'] %}
        {{ return('') }}
    {% endif %}
    {% set failed_tests =
        generate_schema_name('operations', none) ~ '.failed_tests' %}
    {% set failures = [] %}
    {% for result in results
        if result.node.resource_type == 'test'
            and result.status in ['fail', 'warn', 'error'] %}
        {% do failures.append(result) %}
    {% endfor %}
    {% for result in failures %}
    insert into {{ failed_tests }} (
        invocation_id, test_name, failed_at, status, failure_count, message
    )
    values (
        '{{ invocation_id }}',
        {{ text_literal(result.node.name) }},
        now(),
        '{{ result.status }}',
        {{ result.failures if result.failures is not none else 'null' }},
        {{ text_literal(
            'the data test ' ~ result.node.name
            ~ (' warned' if result.status == 'warn' else ' failed')
            ~ (' of ' ~ result.failures ~ ' rows' if result.failures else '')
        ) }}
    )
    on conflict do nothing;
    {% endfor %}
    {% set monitors = adapter.get_relation(
        database=target.database,
        schema=generate_schema_name('marts', none),
        identifier='monitors'
    ) %}
    {% if monitors %}
    insert into {{ failed_tests }} (
        invocation_id, test_name, monitor, failed_at, status, message
    )
    select
        '{{ invocation_id }}',
        'freshness of ' || monitor,
        monitor,
        now(),
        freshness_status,
        'there was ' || freshness_reason
    from {{ monitors }}
    where freshness_status in ('warning', 'critical')
    on conflict do nothing;
    {% endif %}

    delete from {{ failed_tests }} where failed_at < now() - interval '400 days';
{% endmacro %}
