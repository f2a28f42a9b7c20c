{{
    config(
        meta={'family': 'ledger'},
        indexes=[{'columns': ['monitor', 'window_start'], 'unique': true}]
    )
}}

-- Written last, so that a run which dies leaves its windows stale:
{% set refreshed_models = [
    'int_monitors',
    'int_baselines',
    'int_baseline_categories',
    'int_stale_windows',
    'int_refresh_windows',
    'int_traffic_stats',
    'int_latency_buckets',
    'int_status_codes',
    'int_service_health',
    'int_burn_rates',
    'status_codes',
    'int_column_stats',
    'int_column_bins',
    'int_actual_stats',
    'int_actual_bins',
    'int_column_distinct',
    'int_actual_distinct',
    'int_distinct_estimates',
    'int_row_stats',
    'int_schema_counts',
    'int_label_stats',
    'int_label_delay_buckets',
    'int_confusion_counts',
    'int_score_buckets',
    'int_outcome_stats',
    'int_calibration',
    'int_prediction_losses',
    'int_estimated_performance',
    'int_baseline_bins',
    'int_drift_settings',
    'int_drift_scores',
    'int_model_performance',
    'model_performance_by_class',
    'calibration',
    'fairness',
    'data_quality',
    'distributions',
    'int_alert_rules',
    'int_rule_evaluations',
    'int_alert_episodes',
    'int_incidents',
    'alerts',
] %}
{%- for model in refreshed_models %}
-- depends_on: {{ ref(model) }}
{%- endfor %}

with

stale as (

    select * from {{ ref('int_stale_windows') }}

),

refreshed as (

    select
        stale.monitor,
        monitors.traffic_grain as grain,
        stale.window_start,
        stale.prediction_count,
        stale.first_predicted_at,
        stale.last_predicted_at,
        stale.prediction_loaded_at,
        stale.prediction_checksum,
        stale.label_count,
        stale.label_loaded_at,
        stale.label_checksum,
        stale.definition_hash,
        stale.invocation_id as refreshed_by

    from stale

    inner join {{ ref('int_monitors') }} as monitors
        on stale.monitor = monitors.monitor

    where
        stale.invocation_id = '{{ invocation_id }}'
        and stale.prediction_count > 0
        and {{ 'true' if selects_all(refreshed_models) else 'false' }}

)

select * from refreshed
