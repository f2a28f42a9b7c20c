{{ config(materialized='view') }}

with

runs as (

    select * from {{ source('operations', 'pipeline_runs') }}

),

judged as (

    select
        invocation_id,
        started_at,
        ended_at,
        {{ seconds_between('started_at', 'ended_at') }} as duration_seconds,
        succeeded_count,
        failed_count,
        skipped_count,
        failed_test_count,
        warned_test_count,
        case
            -- A data test that fails holds up what comes after it.
            when failed_count > 0 or skipped_count > 0 then 'critical'
            when failed_test_count > 0 or warned_test_count > 0 then 'warning'
            else 'ok'
        end as status,
        case
            when failed_count > 0 or skipped_count > 0
                then first_failure || ' failed, ' || skipped_count || ' were skipped'
            when failed_test_count > 0
                then 'the data test ' || first_failure || ' failed'
            when warned_test_count > 0
                then warned_test_count || ' data tests warned'
        end as reason

    from runs

)

select * from judged
