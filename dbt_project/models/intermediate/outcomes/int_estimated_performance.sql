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
        indexes=[{
            'columns': [
                'monitor',
                'grain',
                'window_start',
                'model_version',
                'segment',
                'segment_value',
            ],
            'unique': true,
        }]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

baseline_versions as (

    select
        monitor,
        model_version
    from {{ ref('int_label_stats') }}
    where grain = 'baseline' and segment = 'all'

),

calibration as (

    select * from {{ ref('int_calibration') }}

),

-- Classification: with a calibrated score, each prediction tells how probably it is
-- right.
{%- set score_counts = [
    'score_count',
    'predicted_positive_count',
    'predicted_negative_count',
    'labelled_count',
    'positive_count',
    'labelled_predicted_positive_count',
    'labelled_predicted_negative_count',
    'correct_count',
    'hit_count',
] %}
score_parts as (

    {{ rolled_up(ref('int_score_buckets'), 'outcomes', [
        'segment',
        'segment_value',
        'model_version as served_version',
        'bucket',
    ] + score_counts) }}

),

-- Scores of several versions mean different things: each is calibrated on a baseline of
-- its own before they are added.
score_buckets as (

    select
        {%- for key in window_keys %}
        score_parts.{{ key }},
        {%- endfor %}
        monitors.task,
        coalesce(baseline_versions.model_version, monitors.reference_version)
            as baseline_version,
        score_parts.bucket,
        {%- for count in score_counts %}
        sum(score_parts.{{ count }})::double precision
            as {{ count }}{{ ',' if not loop.last }}
        {%- endfor %}

    from score_parts

    inner join monitors
        on score_parts.monitor = monitors.monitor

    left join baseline_versions
        on
            score_parts.monitor = baseline_versions.monitor
            and score_parts.served_version = baseline_versions.model_version

    group by
        {%- for key in window_keys %}
        score_parts.{{ key }},
        {%- endfor %}
        monitors.task,
        baseline_version,
        score_parts.bucket

),

calibrated as (

    select
        score_buckets.*,
        calibration.probability,
        calibration.block,
        calibration.block_variance

    from score_buckets

    inner join calibration
        on
            score_buckets.monitor = calibration.monitor
            and score_buckets.baseline_version = calibration.model_version
            and score_buckets.bucket = calibration.bucket

),

-- What the calibration errs by, all buckets of a block do together.
block_weights as (

    select
        {{ window_keys | join(',\n        ') }},
        min(block_variance) as block_variance,
        sum(predicted_positive_count - predicted_negative_count) as weight,
        sum(
            labelled_predicted_positive_count - labelled_predicted_negative_count
        ) as labelled_weight

    from calibrated

    group by
        {{ window_keys | join(',\n        ') }},
        baseline_version,
        block

),

calibration_variances as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(power(weight, 2) * block_variance) as variance,
        sum(power(labelled_weight, 2) * block_variance) as labelled_variance

    from block_weights

    group by
        {{ window_keys | join(',\n        ') }}

),

expected_confusion as (

    select
        {{ window_keys | join(',\n        ') }},
        task,
        sum(predicted_positive_count + predicted_negative_count) as prediction_count,
        sum(predicted_positive_count * probability) as true_positives,
        sum(predicted_positive_count * (1 - probability)) as false_positives,
        sum(predicted_negative_count * probability) as false_negatives,
        sum(predicted_negative_count * (1 - probability)) as true_negatives,
        -- Outcomes are as random as their probabilities say.
        sum(
            (predicted_positive_count + predicted_negative_count)
            * probability * (1 - probability)
        ) as outcome_variance,
        sum(
            labelled_predicted_positive_count + labelled_predicted_negative_count
        ) as labelled_count,
        sum(correct_count) as correct_count,
        sum(hit_count) as hit_count,
        sum(labelled_predicted_positive_count * probability) as expected_hit_count,
        sum(
            labelled_predicted_positive_count * probability
            + labelled_predicted_negative_count * (1 - probability)
        ) as expected_correct_count,
        sum(
            (labelled_predicted_positive_count + labelled_predicted_negative_count)
            * probability * (1 - probability)
        ) as labelled_outcome_variance

    from calibrated

    group by
        {{ window_keys | join(',\n        ') }},
        task

),

expected_buckets as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket,
        sum(score_count * probability) as all_positives,
        sum(score_count * (1 - probability)) as all_negatives,
        sum(labelled_count * probability) as labelled_positives,
        sum(labelled_count * (1 - probability)) as labelled_negatives,
        sum(positive_count) as real_positives,
        sum(labelled_count - positive_count) as real_negatives

    from calibrated

    where task = 'binary'

    group by
        {{ window_keys | join(',\n        ') }},
        bucket

),

{%- set rankings = ['all', 'labelled', 'real'] %}

ranked_buckets as (

    select
        *,
        {%- for ranking in rankings %}
        sum({{ ranking }}_negatives) over buckets_up_to
            as {{ ranking }}_negatives_up_to{{ ',' if not loop.last }}
        {%- endfor %}

    from expected_buckets

    window buckets_up_to as (
        partition by
            {{ window_keys | join(',\n            ') }}
        order by bucket
    )

),

rankings as (

    select
        {{ window_keys | join(',\n        ') }},
        {%- for ranking in rankings %}
        sum(
            {{ ranking }}_positives
            * ({{ ranking }}_negatives_up_to - {{ ranking }}_negatives / 2)
        ) / nullif(
            sum({{ ranking }}_positives) * sum({{ ranking }}_negatives), 0
        ) as {{ ranking }}_roc_auc{{ ',' if not loop.last }}
        {%- endfor %}

    from ranked_buckets

    group by
        {{ window_keys | join(',\n        ') }}

),

classification as (

    select
        {%- for key in window_keys %}
        expected_confusion.{{ key }},
        {%- endfor %}
        expected_confusion.task,
        expected_confusion.prediction_count,
        expected_confusion.true_positives,
        expected_confusion.false_positives,
        expected_confusion.false_negatives,
        expected_confusion.true_negatives,
        (expected_confusion.true_positives + expected_confusion.true_negatives)
        / nullif(expected_confusion.prediction_count, 0) as accuracy,
        1.959963984540054 * sqrt(
            expected_confusion.outcome_variance + calibration_variances.variance
        ) / nullif(expected_confusion.prediction_count, 0) as accuracy_margin,
        expected_confusion.labelled_count,
        (expected_confusion.correct_count - expected_confusion.expected_correct_count)
        / nullif(expected_confusion.labelled_count, 0) as accuracy_gap,
        1.959963984540054 * sqrt(
            expected_confusion.labelled_outcome_variance
            + calibration_variances.labelled_variance
        ) / nullif(expected_confusion.labelled_count, 0) as accuracy_gap_margin,
        -- F1 is 2 hits by twice the hits and all misses and false alarms, which are the
        -- labelled rows that are not correct.
        2 * expected_confusion.hit_count / nullif(
            2 * expected_confusion.hit_count
            + expected_confusion.labelled_count
            - expected_confusion.correct_count,
            0
        )
        - 2 * expected_confusion.expected_hit_count / nullif(
            2 * expected_confusion.expected_hit_count
            + expected_confusion.labelled_count
            - expected_confusion.expected_correct_count,
            0
        ) as f1_gap,
        rankings.all_roc_auc as roc_auc,
        rankings.real_roc_auc - rankings.labelled_roc_auc as roc_auc_gap

    from expected_confusion

    inner join calibration_variances
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first -}}
            expected_confusion.{{ key }} = calibration_variances.{{ key }}
            {%- endfor %}

    left join rankings
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first -}}
            expected_confusion.{{ key }} = rankings.{{ key }}
            {%- endfor %}

),

-- Regression: errors are expected to be as large as those of the baseline were where
-- it predicted alike.
bin_losses as (

    select
        monitor,
        model_version,
        loss_bin,
        labelled_count as baseline_count,
        absolute_error_sum / labelled_count as absolute_error,
        absolute_error_m2 / (labelled_count - 1) as absolute_error_variance,
        squared_error_sum / labelled_count as squared_error

    from {{ ref('int_prediction_losses') }}

    where grain = 'baseline' and segment = 'all' and labelled_count >= 2

),

version_losses as (

    select
        stats.monitor,
        stats.model_version,
        stats.outcome_count as baseline_count,
        stats.absolute_error_mean as absolute_error,
        stats.absolute_error_m2 / nullif(stats.outcome_count - 1, 0)
            as absolute_error_variance,
        stats.squared_error_mean as squared_error

    from {{ ref('int_outcome_stats') }} as stats

    inner join monitors
        on
            stats.monitor = monitors.monitor
            and stats.outcome_count >= monitors.minimum_sample

    where stats.grain = 'baseline' and stats.segment = 'all'

),

-- A bin that the baseline leaves all but empty takes what all bins have.
expected_losses as (

    select
        version_losses.monitor,
        version_losses.model_version,
        bins.loss_bin,
        {%- for figure in [
            'baseline_count',
            'absolute_error',
            'absolute_error_variance',
            'squared_error',
        ] %}
        case
            when bin_losses.loss_bin is null then version_losses.{{ figure }}
            else bin_losses.{{ figure }}
        end::double precision as {{ figure }}{{ ',' if not loop.last }}
        {%- endfor %}

    from version_losses

    cross join generate_series(0, 9) as bins (loss_bin)

    left join bin_losses
        on
            version_losses.monitor = bin_losses.monitor
            and version_losses.model_version = bin_losses.model_version
            and bins.loss_bin = bin_losses.loss_bin

),

loss_parts as (

    {{ rolled_up(ref('int_prediction_losses'), 'outcomes', [
        'segment',
        'segment_value',
        'model_version as served_version',
        'loss_bin',
        'prediction_count',
        'labelled_count',
        'absolute_error_sum',
        'squared_error_sum',
    ]) }}

),

losses as (

    select
        {%- for key in window_keys %}
        loss_parts.{{ key }},
        {%- endfor %}
        coalesce(baseline_versions.model_version, monitors.reference_version)
            as baseline_version,
        loss_parts.loss_bin,
        {%- for sum in [
            'prediction_count',
            'labelled_count',
            'absolute_error_sum',
            'squared_error_sum',
        ] %}
        sum(loss_parts.{{ sum }})::double precision
            as {{ sum }}{{ ',' if not loop.last }}
        {%- endfor %}

    from loss_parts

    inner join monitors
        on loss_parts.monitor = monitors.monitor

    left join baseline_versions
        on
            loss_parts.monitor = baseline_versions.monitor
            and loss_parts.served_version = baseline_versions.model_version

    group by
        {%- for key in window_keys %}
        loss_parts.{{ key }},
        {%- endfor %}
        baseline_version,
        loss_parts.loss_bin

),

regression as (

    select
        {%- for key in window_keys %}
        losses.{{ key }},
        {%- endfor %}
        sum(losses.prediction_count) as prediction_count,
        sum(losses.prediction_count * expected_losses.absolute_error)
        / sum(losses.prediction_count) as mae,
        sqrt(
            sum(losses.prediction_count * expected_losses.squared_error)
            / sum(losses.prediction_count)
        ) as rmse,
        sum(losses.labelled_count) as labelled_count,
        (
            sum(losses.absolute_error_sum)
            - sum(losses.labelled_count * expected_losses.absolute_error)
        ) / nullif(sum(losses.labelled_count), 0) as mae_gap,
        sqrt(
            sum(losses.squared_error_sum) / nullif(sum(losses.labelled_count), 0)
        )
        - sqrt(
            sum(losses.labelled_count * expected_losses.squared_error)
            / nullif(sum(losses.labelled_count), 0)
        ) as rmse_gap,
        -- The errors vary, and so do the means of the baseline.
        {%- for count, margin in {
            'prediction_count': 'mae_margin',
            'labelled_count': 'mae_gap_margin',
        }.items() %}
        1.959963984540054 * sqrt(sum(
            losses.{{ count }}
            * (1 + losses.{{ count }} / expected_losses.baseline_count)
            * expected_losses.absolute_error_variance
        )) / nullif(
            sum(losses.{{ count }}), 0
        ) as {{ margin }}{{ ',' if not loop.last }}
        {%- endfor %}

    from losses

    inner join expected_losses
        on
            losses.monitor = expected_losses.monitor
            and losses.baseline_version = expected_losses.model_version
            and losses.loss_bin = expected_losses.loss_bin

    group by
        {%- for key in window_keys %}
        losses.{{ key }}{{ ',' if not loop.last }}
        {%- endfor %}

),

estimates as (

    select
        {{ window_keys | join(',\n        ') }},
        prediction_count::bigint as estimated_count,
        accuracy as estimated_accuracy,
        -- With a condition, because `greatest` and `least` pass nulls over.
        case when accuracy is not null then greatest(accuracy - accuracy_margin, 0) end
            as estimated_accuracy_lower,
        case when accuracy is not null then least(accuracy + accuracy_margin, 1) end
            as estimated_accuracy_upper,
        {%- set rates = {
            'precision': ['true_positives', 'false_positives'],
            'recall': ['true_positives', 'false_negatives'],
            'specificity': ['true_negatives', 'false_positives'],
        } %}
        {%- for rate, parts in rates.items() %}
        case
            when task = 'binary'
                then {{ parts[0] }} / nullif({{ parts[0] }} + {{ parts[1] }}, 0)
        end as estimated_{{ rate }},
        {%- endfor %}
        case
            when task = 'binary'
                then 2 * true_positives / nullif(
                    2 * true_positives + false_positives + false_negatives, 0
                )
        end as estimated_f1,
        roc_auc as estimated_roc_auc,
        null::double precision as estimated_mae,
        null::double precision as estimated_mae_lower,
        null::double precision as estimated_mae_upper,
        null::double precision as estimated_rmse,
        labelled_count::bigint as compared_count,
        accuracy_gap as realised_minus_estimated_accuracy,
        accuracy_gap - accuracy_gap_margin as realised_minus_estimated_accuracy_lower,
        accuracy_gap + accuracy_gap_margin as realised_minus_estimated_accuracy_upper,
        case when task = 'binary' then f1_gap end as realised_minus_estimated_f1,
        roc_auc_gap as realised_minus_estimated_roc_auc,
        null::double precision as realised_minus_estimated_mae,
        null::double precision as realised_minus_estimated_mae_lower,
        null::double precision as realised_minus_estimated_mae_upper,
        null::double precision as realised_minus_estimated_rmse

    from classification

    union all

    select
        {{ window_keys | join(',\n        ') }},
        prediction_count::bigint as estimated_count,
        {%- for figure in [
            'accuracy',
            'accuracy_lower',
            'accuracy_upper',
            'precision',
            'recall',
            'specificity',
            'f1',
            'roc_auc',
        ] %}
        null as estimated_{{ figure }},
        {%- endfor %}
        mae as estimated_mae,
        case when mae_margin is not null then greatest(mae - mae_margin, 0) end
            as estimated_mae_lower,
        mae + mae_margin as estimated_mae_upper,
        rmse as estimated_rmse,
        labelled_count::bigint as compared_count,
        null as realised_minus_estimated_accuracy,
        null as realised_minus_estimated_accuracy_lower,
        null as realised_minus_estimated_accuracy_upper,
        null as realised_minus_estimated_f1,
        null as realised_minus_estimated_roc_auc,
        mae_gap as realised_minus_estimated_mae,
        mae_gap - mae_gap_margin as realised_minus_estimated_mae_lower,
        mae_gap + mae_gap_margin as realised_minus_estimated_mae_upper,
        rmse_gap as realised_minus_estimated_rmse

    from regression

),

balanced as (

    select
        {%- for key in window_keys %}
        estimates.{{ key }},
        {%- endfor %}
        {%- for figure in estimated_figures() %}
        {%- if figure == 'estimated_balanced_accuracy' %}
        (estimates.estimated_recall + estimates.estimated_specificity) / 2
            as {{ figure }}{{ ',' if not loop.last }}
        {%- else %}
        estimates.{{ figure }}{{ ',' if not loop.last }}
        {%- endif %}
        {%- endfor %}

    from estimates

)

select * from balanced
