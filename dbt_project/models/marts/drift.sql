{{ config(materialized='view') }}

with

sql_scores as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        column_name,
        method,
        compared_to,
        'sql' as engine,
        role,
        score,
        p_value,
        p_value_adjusted,
        noise_floor,
        threshold,
        is_drifted,
        is_headline,
        sample_count,
        baseline_sample_count,
        status,
        reason

    from {{ ref('int_drift_scores') }}

),

evidently_scores as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        column_name,
        method,
        'baseline' as compared_to,
        'evidently' as engine,
        role,
        score,
        p_value,
        null::double precision as p_value_adjusted,
        null::double precision as noise_floor,
        threshold,
        is_drifted,
        false as is_headline,
        sample_count,
        baseline_sample_count,
        status,
        reason

    from {{ source('evidently', 'drift_results') }}

    -- What was found of a monitor stays when its block is removed.
    where monitor in (
        select monitors.monitor
        from {{ ref('int_monitors') }} as monitors
    )

),

scores as (

    select * from sql_scores
    union all
    select * from evidently_scores

)

select * from scores
