{#- Last line of a build: how many windows it refreshed, and why. -#}
{% macro report_refresh() %}
    {% set stale_windows = ref('int_stale_windows') %}
    {% set baseline_versions = ref('int_baseline_versions') %}
    {% if not execute or flags.WHICH not in ['run', 'build']
        or 'model.driftline.int_stale_windows' not in selected_resources %}
        {{ return('') }}
    {% endif %}
    {% set failures = run_query(
        "select monitor, reason from " ~ read_failures_table()
        ~ " where invocation_id = '" ~ invocation_id ~ "' order by monitor"
    ) %}
    {% for row in failures %}
        {% do log(
            "Driftline: error: " ~ row['monitor'] ~ " is left as it was: "
            ~ row['reason'] ~ ".",
            info=true
        ) %}
    {% endfor %}
    {#- A run that failed early may not even have made the table. -#}
    {% if results | selectattr('status', 'in', ['error', 'fail', 'skipped']) | list %}
        {% do log(
            "Driftline: this run did not finish,"
            ~ " so the next one does its windows again.",
            info=true
        ) %}
        {{ return('') }}
    {% endif %}
    {#- Of a warning, dbt says only how many rows there are. -#}
    {% for result in results
        if result.status == 'warn' and result.node.name.startswith('assert_')
            and result.node.name != 'assert_monitors_can_be_read' %}
        {% for row in run_query(result.node.compiled_code) %}
            {% do log(
                "Driftline: " ~ result.node.name ~ ": " ~ row.values() | join(', '),
                info=true
            ) %}
        {% endfor %}
    {% endfor %}
    {% set kept = run_query(
        "select distinct monitor from " ~ baseline_versions
        ~ " where is_kept order by monitor"
    ) %}
    {% for row in kept %}
        {% do log(
            "Driftline: warning: " ~ row['monitor'] ~ ": rows of its baseline are gone"
            ~ " from the log, so the baseline stays what it was; to compute it and all"
            ~ " windows from what is left, run"
            ~ " `dbt build --vars 'reconcile: true'`.",
            info=true
        ) %}
    {% endfor %}
    {% set stale = run_query(
        "select monitor, reason, count(*) as window_count from " ~ stale_windows
        ~ " where invocation_id = '" ~ invocation_id ~ "'"
        ~ " group by monitor, reason order by monitor, reason"
    ) %}
    {% if not stale %}
        {% do log(
            "Driftline: nothing has arrived, no window was refreshed.", info=true
        ) %}
    {% endif %}
    {% for row in stale %}
        {% do log(
            "Driftline: " ~ row['monitor'] ~ ": " ~ row['window_count']
            ~ " windows refreshed, " ~ row['reason'] ~ ".",
            info=true
        ) %}
    {% endfor %}
    {{ return('') }}
{% endmacro %}
