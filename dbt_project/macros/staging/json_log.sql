{#-
    The staging contract for one monitor out of the JSON prediction log: its features
    become typed columns, labels are joined, and what cannot be cast becomes NaN, which
    counts as invalid later on.
-#}
{% macro staged_json_predictions(monitor_name, model_name=none) %}
{%- set monitor = monitor_named(monitor_name) %}
{#- For the models that look this name up, see `logged_model_name`. -#}
{{- config(meta={'logged_model_name': model_name or monitor_name}) }}
with

predictions as (

    select * from {{ source('raw', 'prediction_logs') }}

),

labels as (

    select * from {{ source('raw', 'ground_truth') }}

),

typed as (

    select
        predictions.prediction_id,
        predictions.model_version,
        predictions.predicted_at,
        predictions.loaded_at,
        {{ json_outcome_columns(monitor) }},
        labels.observed_at as labelled_at,
        labels.loaded_at as label_loaded_at,
        predictions.latency_ms,
        predictions.status_code,
        predictions.error is not null
        or coalesce(predictions.status_code >= 500, false) as is_error
        {{- json_feature_columns(monitor) }}

    from predictions

    -- A label can be restated: the one that was loaded last holds.
    left join labels
        on
            predictions.prediction_id = labels.prediction_id
            and not exists (
                select 1
                from {{ source('raw', 'ground_truth') }} as restated
                where
                    restated.prediction_id = labels.prediction_id
                    and restated.loaded_at > labels.loaded_at
            )

    where predictions.model_name = {{ text_literal(model_name or monitor_name) }}

)

select * from typed
{% endmacro %}


{#- The same for what the training job wrote of its validation data. -#}
{% macro staged_json_baseline(monitor_name, model_name=none) %}
{%- set monitor = monitor_named(monitor_name) %}
with

predictions as (

    select
        *,
        actual as baseline_actual
    from {{ source('raw', 'baseline_logs') }}

),

typed as (

    select
        predictions.prediction_id,
        predictions.model_version,
        predictions.predicted_at,
        predictions.loaded_at,
        {{ json_outcome_columns(monitor, actual='predictions.baseline_actual') }},
        predictions.predicted_at as labelled_at,
        predictions.loaded_at as label_loaded_at,
        predictions.latency_ms,
        predictions.status_code,
        false as is_error
        {{- json_feature_columns(monitor) }}

    from predictions

    where predictions.model_name = {{ text_literal(model_name or monitor_name) }}

)

select * from typed
{% endmacro %}


{#-
    prediction, score and actual: a bare number or label, or {"label": …, "scores":
    {…}}.
-#}
{% macro json_outcome_columns(monitor, actual='labels.actual') -%}
    {%- if monitor.task == 'regression' -%}
    {{ text_number("(predictions.prediction #>> '{}')") }} as prediction,
        null::double precision as score,
        {{ text_number("(" ~ actual ~ " #>> '{}')") }} as actual
    {%- else -%}
    coalesce(
            predictions.prediction ->> 'label', predictions.prediction #>> '{}'
        ) as prediction,
        {%- if monitor.task == 'binary' %}
        {%- set class = text_literal(monitor.positive_class) %}
        {{ text_number(
            "(predictions.prediction #>> array['scores', " ~ class ~ "])"
        ) }} as score,
        {%- else %}
        -- The confidence in the class that was predicted.
        {{ text_number(
            "(predictions.prediction #>> array["
            ~ "'scores', predictions.prediction ->> 'label'])"
        ) }} as score,
        {%- endif %}
        {{ actual }} #>> '{}' as actual
    {%- endif -%}
{%- endmacro %}


{#- The features, and which of them a row lacks or has besides. -#}
{% macro json_feature_columns(monitor) -%}
    {%- for feature in monitor.features -%}
        ,
        {% if feature.kind == 'numerical' -%}
        {{ json_number('predictions.features', feature.name) }}
        {%- elif feature.kind == 'embedding' -%}
        {{ json_vector('predictions.features', feature.name) }}
        {%- else -%}
        predictions.features ->> {{ text_literal(feature.name) }}
        {%- endif %} as {{ adapter.quote(feature.name) }}
    {%- endfor -%}
    {%- set names = monitor.features | map(attribute='name') | list -%}
        ,
        {{ json_missing_keys('predictions.features', names) }} as missing_features,
        {{ json_unknown_keys('predictions.features', names) }} as unknown_features
{%- endmacro %}
