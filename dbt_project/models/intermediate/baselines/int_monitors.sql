{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['monitor'], 'unique': true}]
    )
}}

with

baseline_versions as (

    select * from {{ ref('int_baseline_versions') }}

),

monitors as (
{% for monitor in monitors() %}
    {%- if not loop.first %}

    union all
{% endif %}
    select
        '{{ monitor.name }}' as monitor,
        '{{ monitor.task }}' as task,
        {{ text_literal(monitor.owner) }} as owner,
        '{{ monitor.predictions }}' as predictions_relation,
        {{ text_literal(baseline_description(monitor)) }} as baseline,
        '{{ baseline_kind(monitor) }}' as baseline_kind,
        string_agg(model_version, ', ' order by model_version) as baseline_versions,
        coalesce(sum(row_count), 0)::bigint as baseline_row_count,
        '{{ monitor.windows.traffic }}' as traffic_grain,
        '{{ monitor.windows.columns }}' as column_grain,
        {{ time_span(monitor.labels.expected_within) }} as labels_expected_within,
        {{ time_span(monitor.freshness) if monitor.freshness else 'null::interval' }}
            as freshness_limit,
        {{ monitor.slo.availability }}::double precision as availability_target,
        {{ monitor.slo.latency_ms }}::double precision as latency_target_ms,
        {{ monitor.slo.latency_target }}::double precision as latency_target_share,
        {{ monitor.minimum_sample }} as minimum_sample,
        (
            array_agg(
                model_version
                order by first_loaded_at, first_predicted_at, model_version
            )
        )[1] as reference_version,
        {{ definition_hash(
            text_literal(monitor_definition(monitor))
        ) | indent(8) }} as definition_hash

    from baseline_versions

    where monitor = '{{ monitor.name }}'
{%- endfor %}

)
{%- set failed = read_failures() if is_incremental() else [] %}
{%- if failed %},

-- What this run could not read stays as it was, with the block of then.
known as (

    select * from {{ this }} where monitor in ('{{ failed | join("', '") }}')

),

settled as (

    select *
    from monitors
    where monitor not in (select known.monitor from known)

    union all

    select * from known

)
{%- endif %}

select * from {{ 'settled' if failed else 'monitors' }}
