select
    predictions.id::text as prediction_id,
    predictions.model_version,
    predictions.predicted_at,
    predictions.loaded_at,
    predictions.prediction,
    predictions.score,
    outcomes.actual,
    outcomes.observed_at as labelled_at,
    outcomes.loaded_at as label_loaded_at,
    predictions.latency_ms,
    predictions.status_code,
    predictions.status_code >= 500 as is_error,
    predictions.amount,
    predictions.balance,
    predictions.device_clock,
    predictions.temperature_kelvin,
    predictions.age,
    predictions.hour_of_day,
    predictions.item_count,
    predictions.discount,
    predictions.distance_km,
    predictions.seconds_on_page,
    predictions.risk_of_merchant,
    predictions.days_since_signup,
    predictions.velocity,
    predictions.share_of_night,
    predictions.country,
    predictions.plan,
    predictions.device,
    predictions.browser,
    predictions.campaign,
    predictions.city

from {{ source('bench', 'predictions') }} as predictions

left join {{ source('bench', 'outcomes') }} as outcomes
    on predictions.id = outcomes.id
