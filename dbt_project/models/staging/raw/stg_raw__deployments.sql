with

deployments as (

    select * from {{ source('raw', 'deployments') }}

),

selected as (

    select
        model_name,
        model_version,
        deployed_at,
        note

    from deployments

)

select * from selected
