{{ config(materialized='view') }}

with

deployments as (

    select * from {{ ref('stg_raw__deployments') }}

),

of_monitors as (

    select
        deployments.monitor,
        deployments.model_version,
        deployments.deployed_at,
        deployments.note

    from deployments

    inner join {{ ref('int_monitors') }} as monitors
        on deployments.monitor = monitors.monitor

)

select * from of_monitors
