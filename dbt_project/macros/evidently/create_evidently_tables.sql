{#-
    Where the orchestration writes what Evidently found; the mart `drift` shows it
    beside the scores from SQL.
-#}
{% macro create_evidently_tables() %}
    {% if flags.WHICH not in ['run', 'build', 'run-operation'] %}
        {{ return('') }}
    {% endif %}
    {% set schema = generate_schema_name('evidently', none) %}
    {{ ensure_schema(schema) }}
    create table if not exists {{ schema }}.drift_results (
        monitor text not null,
        model_version text not null,
        segment text not null,
        segment_value text not null,
        grain text not null,
        window_start timestamptz not null,
        window_end timestamptz not null,
        column_name text not null,
        method text not null,
        role text not null,
        score double precision,
        p_value double precision,
        threshold double precision,
        is_drifted boolean,
        sample_count bigint not null,
        baseline_sample_count bigint not null,
        status text not null,
        reason text,
        evaluated_at timestamptz not null,
        unique (
            monitor,
            model_version,
            segment,
            segment_value,
            grain,
            window_start,
            column_name,
            method
        )
    );
{% endmacro %}
