{%- set figures = performance_figures() -%}
{%- set window_keys = [
    'monitor',
    'model_version',
    'segment',
    'segment_value',
    'grain',
    'window_start',
    'window_end',
] -%}
{{
    config(
        meta={'family': 'outcomes'},
        pre_hook='{{ plan_as_written() }}',
        indexes=[
            {
                'columns': [
                    'monitor',
                    'grain',
                    'window_start',
                    'model_version',
                    'segment',
                    'segment_value',
                ],
                'unique': true,
            },
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

positive_classes as (
{% for monitor in monitors() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        '{{ monitor.name }}' as monitor,
        {%- if monitor.positive_class is none %}
        null::text as positive_class
        {%- else %}
        {{ text_literal(monitor.positive_class) }} as positive_class
        {%- endif %}
{%- endfor %}

),

label_parts as (

    {{ windows_and_baseline(
        ref('int_label_stats'), ['prediction_count', 'labelled_count']
    ) }}

),

labels as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(prediction_count) as prediction_count,
        sum(labelled_count) as labelled_count

    from label_parts

    group by
        {{ window_keys | join(',\n        ') }}

),

delay_parts as (

    {{ rolled_up(ref('int_label_delay_buckets'), 'outcomes', [
        'segment',
        'segment_value',
        'bucket',
        'bucket_count',
    ]) }}

),

delay_buckets as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket,
        sum(bucket_count) as bucket_count

    from delay_parts

    group by
        {{ window_keys | join(',\n        ') }},
        bucket

),

{{ sketch_quantiles('delay_buckets', window_keys, {'p50': 0.5, 'p95': 0.95}) }}

-- Classification: everything follows from how often which class was predicted for
-- which.
confusion as (

    {{ windows_and_baseline(
        ref('int_confusion_counts'), ['actual', 'predicted', 'outcome_count']
    ) }}

),

outcomes as (

    select * from confusion where actual is not null

),

class_counts as (

    {{ class_counts('outcomes', window_keys) | indent(4) }}

),

class_rates as (

    select
        *,
        coalesce(correct_count, 0)::double precision / support as recall,
        coalesce(correct_count, 0)::double precision / predicted_count as precision,
        2 * coalesce(correct_count, 0)::double precision
        / (coalesce(support, 0) + coalesce(predicted_count, 0)) as f1

    from class_counts

),

classification as (

    select
        {%- for key in window_keys %}
        class_rates.{{ key }},
        {%- endfor %}
        sum(class_rates.support) as outcome_count,
        sum(class_rates.correct_count) as correct_count,
        min(positive_classes.positive_class) as positive_class,
        avg(class_rates.recall) as balanced_accuracy,
        avg(class_rates.f1) as f1_macro,
        {%- for figure in ['precision', 'recall', 'f1'] %}
        min(class_rates.{{ figure }}) filter (
            where class_rates.class = positive_classes.positive_class
        ) as {{ figure }},
        {%- endfor %}
        {%- for number in ['support', 'predicted_count', 'correct_count'] %}
        min(coalesce(class_rates.{{ number }}, 0)) filter (
            where class_rates.class = positive_classes.positive_class
        ) as positive_{{ number }},
        {%- endfor %}
        sum(class_rates.support) filter (
            where class_rates.class != positive_classes.positive_class
        ) as negative_count,
        sum(class_rates.correct_count) filter (
            where class_rates.class != positive_classes.positive_class
        ) as true_negative_count

    from class_rates

    inner join positive_classes
        on class_rates.monitor = positive_classes.monitor

    group by
        {%- for key in window_keys %}
        class_rates.{{ key }}{{ ',' if not loop.last }}
        {%- endfor %}

),

score_parts as (

    {{ windows_and_baseline(ref('int_score_buckets'), [
        'bucket',
        'labelled_count',
        'positive_count',
        'labelled_score_sum',
        'squared_miss_sum',
        'log_loss_sum',
    ]) }}

),

score_buckets as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket,
        sum(labelled_count)::double precision as labelled_count,
        sum(positive_count)::double precision as positive_count,
        sum(labelled_score_sum) as labelled_score_sum,
        sum(squared_miss_sum) as squared_miss_sum,
        sum(log_loss_sum) as log_loss_sum

    from score_parts

    group by
        {{ window_keys | join(',\n        ') }},
        bucket

),

-- The mean distance of scores and outcomes in ten bins of twenty buckets each.
score_bins as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket / 20 as score_bin,
        sum(labelled_count) as labelled_count,
        abs(sum(labelled_score_sum) - sum(positive_count)) as distance

    from score_buckets

    group by
        {{ window_keys | join(',\n        ') }},
        score_bin

),

calibration as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(labelled_count) as labelled_count,
        sum(distance) / nullif(sum(labelled_count), 0) as expected_calibration_error

    from score_bins

    group by
        {{ window_keys | join(',\n        ') }}

),

ranked_scores as (

    select
        {%- for key in window_keys %}
        score_buckets.{{ key }},
        {%- endfor %}
        score_buckets.labelled_count,
        score_buckets.positive_count,
        score_buckets.labelled_count - score_buckets.positive_count as negative_count,
        score_buckets.squared_miss_sum,
        score_buckets.log_loss_sum,
        sum(score_buckets.labelled_count) over scores_up_to as labelled_up_to,
        sum(score_buckets.positive_count) over scores_up_to as positives_up_to,
        sum(score_buckets.labelled_count) over all_scores as all_labelled,
        sum(score_buckets.positive_count) over all_scores as all_positives

    from score_buckets

    inner join positive_classes
        on
            score_buckets.monitor = positive_classes.monitor
            and positive_classes.positive_class is not null

    window
        all_scores as (
            partition by
                {%- for key in window_keys %}
                score_buckets.{{ key }}{{ ',' if not loop.last }}
                {%- endfor %}
        ),
        scores_up_to as (all_scores order by score_buckets.bucket)

),

-- The area under the ROC curve is the share of pairs of a positive and a negative that
-- the scores put in the right order; pairs within one bucket count half. Average
-- precision is the precision down to each bucket, weighted by its positives.
ranking as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(
            positive_count
            * (labelled_up_to - positives_up_to - negative_count / 2)
        ) / nullif(sum(positive_count) * sum(negative_count), 0) as roc_auc,
        sum(
            positive_count * (all_positives - positives_up_to + positive_count)
            / nullif(all_labelled - labelled_up_to + labelled_count, 0)
        ) / nullif(sum(positive_count), 0) as average_precision,
        sum(positive_count) as positive_count,
        sum(negative_count) as negative_count,
        sum(log_loss_sum) / nullif(sum(labelled_count), 0) as log_loss,
        sum(squared_miss_sum) / nullif(sum(labelled_count), 0) as brier_score

    from ranked_scores

    group by
        {{ window_keys | join(',\n        ') }}

),

-- Regression: means and squared deviations of parts, merged as in data_quality.
error_parts as (

    {{ windows_and_baseline(ref('int_outcome_stats'), [
        'outcome_count',
        'error_mean',
        'error_m2',
        'absolute_error_mean',
        'absolute_error_m2',
        'squared_error_mean',
        'squared_error_m2',
        'percentage_count',
        'percentage_error_sum',
        'actual_mean',
        'actual_m2',
    ]) }}

),

-- Only where all rows of the part have a square that can be squared again.
limited_parts as (

    select
        *,
        case when squared_error_m2 is not null then squared_error_mean end
            as limited_squared_error_mean

    from error_parts

),

centred_parts as (

    select
        *,
        {%- for mean in [
            'error_mean',
            'absolute_error_mean',
            'limited_squared_error_mean',
            'actual_mean',
        ] %}
        {{ merged_mean('outcome_count', mean, window_keys) | indent(8) }}
            as merged_{{ mean }}{{ ',' if not loop.last }}
        {%- endfor %}

    from limited_parts

),

regression as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(outcome_count) as outcome_count,
        min(merged_error_mean) as mean_error,
        {{ merged_m2(
            'outcome_count', 'error_mean', 'error_m2', 'merged_error_mean'
        ) | indent(8) }} as error_m2,
        min(merged_absolute_error_mean) as mae,
        min(merged_actual_mean) as actual_mean,
        {{ merged_m2(
            'outcome_count',
            'absolute_error_mean',
            'absolute_error_m2',
            'merged_absolute_error_mean'
        ) | indent(8) }} as absolute_error_m2,
        sum(outcome_count * squared_error_mean) as squared_error_sum,
        case
            when count(squared_error_m2) = count(*)
                then {{ merged_m2(
                    'outcome_count',
                    'limited_squared_error_mean',
                    'squared_error_m2',
                    'merged_limited_squared_error_mean'
                ) | indent(20) }}
        end as squared_error_m2,
        sum(percentage_count) as percentage_count,
        sum(percentage_error_sum) as percentage_error_sum,
        {{ merged_m2(
            'outcome_count', 'actual_mean', 'actual_m2', 'merged_actual_mean'
        ) | indent(8) }} as actual_m2

    from centred_parts

    group by
        {{ window_keys | join(',\n        ') }}

),

metrics as (

    select
        {%- for key in window_keys %}
        labels.{{ key }},
        {%- endfor %}
        labels.prediction_count::bigint as prediction_count,
        labels.labelled_count::bigint as labelled_count,
        labels.labelled_count::double precision / labels.prediction_count
            as label_coverage,
        quantiles.p50 as label_delay_p50_seconds,
        quantiles.p95 as label_delay_p95_seconds,
        coalesce(
            classification.outcome_count, regression.outcome_count, 0
        )::bigint as outcome_count,
        {%- for count in ['support', 'predicted_count'] %}
        case
            when classification.positive_class is not null
                then coalesce(classification.positive_{{ count }}, 0)
        end::bigint as {{ {
            'support': 'positive_count', 'predicted_count': 'predicted_positive_count',
        }[count] }},
        {%- endfor %}
        coalesce(calibration.labelled_count, 0)::bigint as scored_outcome_count,
        regression.percentage_count::bigint as nonzero_outcome_count,
        coalesce(classification.correct_count, 0)::double precision
        / classification.outcome_count::double precision as accuracy,
        {{ wilson_lower(
            'coalesce(classification.correct_count, 0)', 'classification.outcome_count'
        ) | indent(8) }} as accuracy_lower,
        {{ wilson_upper(
            'coalesce(classification.correct_count, 0)', 'classification.outcome_count'
        ) | indent(8) }} as accuracy_upper,
        classification.balanced_accuracy,
        classification.precision,
        {{ wilson_lower(
            'classification.positive_correct_count',
            'classification.positive_predicted_count'
        ) | indent(8) }} as precision_lower,
        {{ wilson_upper(
            'classification.positive_correct_count',
            'classification.positive_predicted_count'
        ) | indent(8) }} as precision_upper,
        classification.recall,
        {{ wilson_lower(
            'classification.positive_correct_count', 'classification.positive_support'
        ) | indent(8) }} as recall_lower,
        {{ wilson_upper(
            'classification.positive_correct_count', 'classification.positive_support'
        ) | indent(8) }} as recall_upper,
        coalesce(classification.true_negative_count, 0)::double precision
        / nullif(classification.negative_count, 0)::double precision as specificity,
        classification.f1,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        {{ f1_end(
            'classification.positive_correct_count',
            'classification.positive_support',
            'classification.positive_predicted_count',
            sign
        ) | indent(8) }} as f1_{{ end }},
        {%- endfor %}
        classification.f1_macro,
        ranking.roc_auc,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        {{ hanley_mcneil_end(
            'ranking.roc_auc', 'ranking.positive_count', 'ranking.negative_count', sign
        ) | indent(8) }} as roc_auc_{{ end }},
        {%- endfor %}
        ranking.average_precision,
        ranking.log_loss,
        ranking.brier_score,
        calibration.expected_calibration_error,
        regression.mae,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        {{ mean_end(
            'regression.mae',
            'regression.absolute_error_m2',
            'regression.outcome_count',
            sign
        ) | indent(8) }} as mae_{{ end }},
        {%- endfor %}
        sqrt(regression.squared_error_sum / regression.outcome_count) as rmse,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        -- The root of what ends the interval of the mean square, which is 0 or more.
        case
            when
                regression.outcome_count > 1
                and regression.squared_error_m2 is not null
                then sqrt(greatest(0, {{ mean_end(
                    'regression.squared_error_sum / regression.outcome_count',
                    'regression.squared_error_m2',
                    'regression.outcome_count',
                    sign
                ) | indent(16) }}))
        end as rmse_{{ end }},
        {%- endfor %}
        regression.percentage_error_sum / nullif(regression.percentage_count, 0)
            as mape,
        -- A variance within the rounding of the mean is none; and numbers as far apart
        -- as doubles can be have a quotient that no double can hold.
        case
            when
                regression.actual_m2 > greatest(
                    1e-100,
                    1e-28 * regression.outcome_count
                    * {{ squared('regression.actual_mean') | indent(20) }}
                )
                then 1 - case
                    when regression.squared_error_sum > 1e-100
                        then regression.squared_error_sum
                    else 0
                end / regression.actual_m2
        end as r2,
        regression.mean_error,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        {{ mean_end(
            'regression.mean_error',
            'regression.error_m2',
            'regression.outcome_count',
            sign
        ) | indent(8) }} as mean_error_{{ end }}{{ ',' if not loop.last }}
        {%- endfor %}

    from labels

    {%- for part in [
        'quantiles',
        'classification',
        'ranking',
        'calibration',
        'regression',
    ] %}

    left join {{ part }}
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}labels.{{ key }} = {{ part }}.{{ key }}
            {%- endfor %}
    {%- endfor %}

),

baseline_metrics as (

    select * from metrics where grain = 'baseline'

),

baseline_versions as (

    select distinct
        monitor,
        model_version
    from baseline_metrics

),

beside_baseline as (

    select
        metrics.monitor,
        metrics.model_version,
        metrics.segment,
        metrics.segment_value,
        metrics.grain,
        metrics.window_start,
        metrics.window_end,
        metrics.prediction_count,
        metrics.labelled_count,
        metrics.label_coverage,
        metrics.label_delay_p50_seconds,
        metrics.label_delay_p95_seconds,
        metrics.outcome_count,
        metrics.positive_count,
        metrics.predicted_positive_count,
        metrics.scored_outcome_count,
        metrics.nonzero_outcome_count,
        baseline_metrics.outcome_count as baseline_outcome_count,
        {%- for figure, has_interval in figures.items() %}
        metrics.{{ figure }},
        {%- if has_interval %}
        metrics.{{ figure }}_lower,
        metrics.{{ figure }}_upper,
        {%- endif %}
        {%- endfor %}
        {%- for figure in figures %}
        baseline_metrics.{{ figure }}
            as baseline_{{ figure }}{{ ',' if not loop.last }}
        {%- endfor %}

    from metrics

    inner join monitors
        on metrics.monitor = monitors.monitor

    left join baseline_versions
        on
            metrics.monitor = baseline_versions.monitor
            and metrics.model_version = baseline_versions.model_version

    left join baseline_metrics
        on
            metrics.monitor = baseline_metrics.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = baseline_metrics.model_version
            and metrics.segment = baseline_metrics.segment
            and metrics.segment_value = baseline_metrics.segment_value

    where metrics.grain != 'baseline'

)

select * from beside_baseline
