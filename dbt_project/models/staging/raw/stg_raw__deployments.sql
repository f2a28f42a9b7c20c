with

deployments as (

    select * from {{ source('raw', 'deployments') }}

),

renamed as (

    select
        model_name as monitor,
        model_version,
        deployed_at,
        note

    from deployments

)

select * from renamed
