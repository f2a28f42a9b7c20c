{{ config(materialized='view') }}

with

failed_tests as (

    select
        invocation_id,
        test_name,
        monitor,
        failed_at,
        status,
        failure_count,
        message

    from {{ source('operations', 'failed_tests') }}

)

select * from failed_tests
