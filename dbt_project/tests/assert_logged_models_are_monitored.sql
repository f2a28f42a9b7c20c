{#-
    Predictions of a model that no monitor watches are kept, but nobody sees them: say
    so.
-#}
{{ config(severity='warn') }}

with recursive

-- One step of the index for each model, instead of a scan of the log.
model_names as (

    (
        select model_name
        from {{ source('raw', 'prediction_logs') }}
        order by model_name
        limit 1
    )

    union all

    select (
        select logged.model_name
        from {{ source('raw', 'prediction_logs') }} as logged
        where logged.model_name > model_names.model_name
        order by logged.model_name
        limit 1
    ) as model_name

    from model_names

    where model_names.model_name is not null

)

select model_name

from model_names

where
    model_name is not null
    and model_name not in (
        {%- for monitor in monitors() %}
        {{ text_literal(logged_model_name(monitor)) }}{{ ',' if not loop.last }}
        {%- endfor %}
    )
