{{ config(materialized='view') }}

with

performance as (

    select * from {{ ref('int_model_performance') }}

),

estimates as (

    select * from {{ ref('int_estimated_performance') }}

),

monitors as (

    select * from {{ ref('int_monitors') }}

),

-- A view, because a window becomes final by growing old, without any row arriving.
judged as (

    select
        performance.monitor,
        performance.model_version,
        performance.segment,
        performance.segment_value,
        performance.grain,
        performance.window_start,
        performance.window_end,
        performance.prediction_count,
        performance.labelled_count,
        performance.outcome_count,
        performance.positive_count,
        performance.predicted_positive_count,
        performance.scored_outcome_count,
        performance.nonzero_outcome_count,
        performance.baseline_outcome_count,
        performance.label_coverage,
        performance.label_delay_p50_seconds,
        performance.label_delay_p95_seconds,
        performance.window_end + monitors.labels_expected_within <= now() as is_final,
        {%- for figure, has_interval in performance_figures().items() %}
        performance.{{ figure }},
        {%- if has_interval %}
        performance.{{ figure }}_lower,
        performance.{{ figure }}_upper,
        {%- endif %}
        {%- endfor %}
        {%- for figure in performance_figures() %}
        performance.baseline_{{ figure }},
        {%- endfor %}
        {%- for figure in estimated_figures() %}
        estimates.{{ figure }},
        {%- endfor %}
        case
            when
                performance.outcome_count < monitors.minimum_sample
                or coalesce(performance.baseline_outcome_count, 0)
                < monitors.minimum_sample
                then 'not_computable'
            when
                performance.accuracy_upper < performance.baseline_accuracy - 0.1
                or performance.roc_auc_upper < performance.baseline_roc_auc - 0.1
                or performance.mae_lower > performance.baseline_mae * 1.5
                then 'critical'
            when
                performance.accuracy_upper < performance.baseline_accuracy - 0.03
                or performance.roc_auc_upper < performance.baseline_roc_auc - 0.03
                or performance.mae_lower > performance.baseline_mae * 1.2
                then 'warning'
            else 'ok'
        end as status,
        case
            when
                performance.labelled_count < monitors.minimum_sample
                and performance.prediction_count >= monitors.minimum_sample
                and performance.window_end + monitors.labels_expected_within <= now()
                then 'labels are overdue: '
                    || performance.labelled_count || ' of '
                    || performance.prediction_count || ' predictions have one'
            when performance.outcome_count < monitors.minimum_sample
                then performance.outcome_count
                    || ' labelled rows, fewer than the minimum of '
                    || monitors.minimum_sample
            when
                coalesce(performance.baseline_outcome_count, 0)
                < monitors.minimum_sample
                then 'the baseline has '
                    || coalesce(performance.baseline_outcome_count, 0)
                    || ' labelled rows here, fewer than the minimum of '
                    || monitors.minimum_sample
            when performance.accuracy_upper < performance.baseline_accuracy - 0.03
                then 'accuracy ' || round(performance.accuracy::numeric, 3)
                    || ', baseline ' || round(performance.baseline_accuracy::numeric, 3)
            when performance.roc_auc_upper < performance.baseline_roc_auc - 0.03
                then 'ROC AUC ' || round(performance.roc_auc::numeric, 3)
                    || ', baseline ' || round(performance.baseline_roc_auc::numeric, 3)
            when performance.mae_lower > performance.baseline_mae * 1.2
                then 'mean absolute error ' || round(performance.mae::numeric, 2)
                    || ', baseline ' || round(performance.baseline_mae::numeric, 2)
        end as reason

    from performance

    inner join monitors
        on performance.monitor = monitors.monitor

    left join estimates
        on
            performance.monitor = estimates.monitor
            and performance.model_version = estimates.model_version
            and performance.segment = estimates.segment
            and performance.segment_value = estimates.segment_value
            and performance.grain = estimates.grain
            and performance.window_start = estimates.window_start

)

select * from judged
