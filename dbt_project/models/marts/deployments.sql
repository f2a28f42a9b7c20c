{{ config(materialized='view') }}

with

deployments as (

    select * from {{ ref('stg_raw__deployments') }}

),

monitors as (
{% for monitor in monitors() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        '{{ monitor.name }}' as monitor,
        {{ text_literal(logged_model_name(monitor)) }} as model_name
{%- endfor %}

),

of_monitors as (

    select
        monitors.monitor,
        deployments.model_version,
        deployments.deployed_at,
        deployments.note

    from deployments

    inner join monitors
        on deployments.model_name = monitors.model_name

)

select * from of_monitors
