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

    {{ rolled_up(
        ref('int_label_delay_buckets'), 'outcomes', ['bucket', 'bucket_count']
    ) }}

),

delay_buckets as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        bucket,
        sum(bucket_count) as bucket_count

    from delay_parts

    group by monitor, model_version, grain, window_start, bucket

),

{{ sketch_quantiles(
    'delay_buckets',
    ['monitor', 'model_version', 'grain', 'window_start'],
    {'p50': 0.5, 'p95': 0.95}
) }}

-- Classification: everything follows from how often which class was predicted for
-- which.
confusion as (

    {{ windows_and_baseline(
        ref('int_confusion_counts'), ['actual', 'predicted', 'outcome_count']
    ) }}

),

class_counts as (

    select
        {%- for key in window_keys %}
        confusion.{{ key }},
        {%- endfor %}
        classes.class,
        sum(confusion.outcome_count) filter (
            where confusion.actual = classes.class
        ) as support,
        sum(confusion.outcome_count) filter (
            where confusion.predicted = classes.class
        ) as predicted_count,
        sum(confusion.outcome_count) filter (
            where
                confusion.actual = classes.class
                and confusion.predicted = classes.class
        ) as correct_count

    from confusion

    -- Once for a hit, twice for a miss: in its actual class and in the predicted one.
    cross join lateral (
        select confusion.actual as class
        union
        select confusion.predicted as class
    ) as classes

    group by
        {%- for key in window_keys %}
        confusion.{{ key }},
        {%- endfor %}
        classes.class

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
        avg(class_rates.recall) as balanced_accuracy,
        avg(class_rates.f1) as f1_macro,
        min(class_rates.precision) filter (
            where class_rates.class = positive_classes.positive_class
        ) as precision,
        min(class_rates.recall) filter (
            where class_rates.class = positive_classes.positive_class
        ) as recall,
        min(class_rates.f1) filter (
            where class_rates.class = positive_classes.positive_class
        ) as f1,
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
        'squared_miss_sum',
        'log_loss_sum',
    ]) }}

),

score_buckets as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket,
        sum(labelled_count) as labelled_count,
        sum(positive_count) as positive_count,
        sum(squared_miss_sum) as squared_miss_sum,
        sum(log_loss_sum) as log_loss_sum

    from score_parts

    group by
        {{ window_keys | join(',\n        ') }},
        bucket

),

ranked_scores as (

    select
        *,
        sum(labelled_count - positive_count) over (
            partition by
                {{ window_keys | join(',\n                ') }}
            order by bucket
        ) - (labelled_count - positive_count) as negatives_below

    from score_buckets

),

-- The area under the ROC curve is the share of pairs of a positive and a negative that
-- the scores put in the right order; pairs within one bucket count half.
ranking as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(
            positive_count
            * (negatives_below + (labelled_count - positive_count) / 2.0)
        )::double precision / nullif(
            sum(positive_count) * sum(labelled_count - positive_count), 0
        )::double precision as roc_auc,
        sum(positive_count)::double precision as positive_count,
        sum(labelled_count - positive_count)::double precision as negative_count,
        sum(log_loss_sum) / nullif(sum(labelled_count), 0)::double precision
            as log_loss,
        sum(squared_miss_sum) / nullif(sum(labelled_count), 0)::double precision
            as brier_score

    from ranked_scores

    group by
        {{ window_keys | join(',\n        ') }}

),

-- Regression: means and squared deviations of parts, merged as in data_quality.
error_parts as (

    {{ windows_and_baseline(ref('int_outcome_stats'), [
        'outcome_count',
        'error_mean',
        'absolute_error_mean',
        'absolute_error_m2',
        'squared_error_mean',
        'percentage_count',
        'percentage_error_sum',
        'actual_mean',
        'actual_m2',
    ]) }}

),

centred_parts as (

    select
        *,
        {{ merged_mean(
            'outcome_count', 'absolute_error_mean', window_keys
        ) | indent(8) }} as merged_absolute_error_mean,
        {{ merged_mean(
            'outcome_count', 'actual_mean', window_keys
        ) | indent(8) }} as merged_actual_mean

    from error_parts

),

regression as (

    select
        {{ window_keys | join(',\n        ') }},
        sum(outcome_count) as outcome_count,
        sum(outcome_count * error_mean) / sum(outcome_count) as mean_error,
        min(merged_absolute_error_mean) as mae,
        min(merged_actual_mean) as actual_mean,
        {{ merged_m2(
            'outcome_count',
            'absolute_error_mean',
            'absolute_error_m2',
            'merged_absolute_error_mean'
        ) | indent(8) }} as absolute_error_m2,
        sum(outcome_count * squared_error_mean) as squared_error_sum,
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
        case when labels.segment = 'all' then quantiles.p50 end
            as label_delay_p50_seconds,
        case when labels.segment = 'all' then quantiles.p95 end
            as label_delay_p95_seconds,
        coalesce(
            classification.outcome_count, regression.outcome_count, 0
        )::bigint as outcome_count,
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
        classification.recall,
        coalesce(classification.true_negative_count, 0)::double precision
        / nullif(classification.negative_count, 0)::double precision as specificity,
        classification.f1,
        classification.f1_macro,
        ranking.roc_auc,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        {{ hanley_mcneil_end(
            'ranking.roc_auc', 'ranking.positive_count', 'ranking.negative_count', sign
        ) | indent(8) }} as roc_auc_{{ end }},
        {%- endfor %}
        ranking.log_loss,
        ranking.brier_score,
        regression.mae,
        {%- for end, sign in {'lower': '-', 'upper': '+'}.items() %}
        regression.mae {{ sign }} 1.959963984540054 * sqrt(
            regression.absolute_error_m2
            / nullif(regression.outcome_count - 1, 0)
            / regression.outcome_count
        ) as mae_{{ end }},
        {%- endfor %}
        sqrt(regression.squared_error_sum / regression.outcome_count) as rmse,
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
        regression.mean_error

    from labels

    left join quantiles
        on
            labels.monitor = quantiles.monitor
            and labels.model_version = quantiles.model_version
            and labels.grain = quantiles.grain
            and labels.window_start = quantiles.window_start

    left join classification
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}labels.{{ key }} = classification.{{ key }}
            {%- endfor %}

    left join ranking
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}labels.{{ key }} = ranking.{{ key }}
            {%- endfor %}

    left join regression
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}labels.{{ key }} = regression.{{ key }}
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
        baseline_metrics.outcome_count as baseline_outcome_count,
        {%- set figures = [
            'accuracy',
            'balanced_accuracy',
            'precision',
            'recall',
            'specificity',
            'f1',
            'f1_macro',
            'roc_auc',
            'log_loss',
            'brier_score',
            'mae',
            'rmse',
            'mape',
            'r2',
            'mean_error',
        ] %}
        {%- for figure in figures %}
        metrics.{{ figure }},
        {%- if figure in ['accuracy', 'roc_auc', 'mae'] %}
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
