{{ config(materialized='view') }}

{#-
    For each mart of figures: what stands in the key besides the window, and how many
    rows a figure rests on, by the beginning of its name (the first that fits). Of a
    figure of the baseline, or of other windows, that is not known here. A suffix tells
    apart the figures of rows whose key has more parts than this view.
-#}
{%- set marts = {
    'service_health': {
        'column_name': "'all'",
        'sample_counts': {
            'expected_': 'null',
            'traffic_share': 'round(mart.request_count / mart.traffic_share)',
            'latency_count': 'mart.request_count',
            'latency_': 'mart.latency_count',
            'slow_': 'mart.latency_count',
            'burn_rate_latency': 'mart.latency_count',
            'apdex': 'mart.rated_count',
            '': 'mart.request_count',
        },
    },
    'status_codes': {
        'column_name': 'mart.status_code',
        'sample_counts': {
            'share': 'round(mart.request_count / mart.share)',
            '': 'mart.request_count',
        },
    },
    'burn_rates': {
        'column_name': "mart.slo || ' ' || mart.alert",
        'sample_counts': {
            'short_': 'mart.short_request_count', '': 'mart.long_request_count',
        },
    },
    'data_quality': {
        'column_name': 'mart.column_name',
        'sample_counts': {
            'baseline_': 'null',
            'missing_': 'mart.checked_count',
            'unknown_': 'mart.checked_count',
            'mean': 'mart.value_count',
            'stddev': 'mart.value_count',
            'minimum': 'mart.value_count',
            'maximum': 'mart.value_count',
            'p05': 'mart.value_count',
            'p25': 'mart.value_count',
            'median': 'mart.value_count',
            'p75': 'mart.value_count',
            'p95': 'mart.value_count',
            'distinct_': 'mart.value_count',
            '': "case mart.role
                when 'unknown' then mart.checked_count
                else mart.row_count
            end",
        },
    },
    'model_performance': {
        'column_name': "'all'",
        'sample_counts': {
            'baseline_': 'null',
            'prediction_count': 'mart.prediction_count',
            'outcome_count': 'mart.prediction_count',
            'scored_': 'mart.prediction_count',
            'label_delay_': 'mart.labelled_count',
            'label': 'mart.prediction_count',
            'precision': 'mart.predicted_positive_count',
            'recall': 'mart.positive_count',
            'specificity': 'mart.outcome_count - mart.positive_count',
            'roc_auc': 'mart.scored_outcome_count',
            'average_precision': 'mart.scored_outcome_count',
            'log_loss': 'mart.scored_outcome_count',
            'brier_score': 'mart.scored_outcome_count',
            'expected_calibration_error': 'mart.scored_outcome_count',
            'mape': 'mart.nonzero_outcome_count',
            'estimated_count': 'mart.prediction_count',
            'estimated_': 'mart.estimated_count',
            'compared_count': 'mart.prediction_count',
            'realised_': 'mart.compared_count',
            '': 'mart.outcome_count',
        },
    },
    'model_performance_by_class': {
        'column_name': 'mart.class',
        'sample_counts': {
            'baseline_': 'null',
            'precision': 'mart.predicted_count',
            'predicted_count': 'mart.predicted_count',
            'f1': 'mart.support + mart.predicted_count - mart.correct_count',
            '': 'mart.support',
        },
    },
    'fairness': {
        'column_name': 'mart.class',
        'suffix': "case when mart.compared_to = 'each other'
            then '_each_other' else ''
        end",
        'sample_counts': {
            'prediction_count': 'mart.prediction_count',
            'labelled_count': 'mart.prediction_count',
            'group_count': 'mart.prediction_count',
            'selection_rate': 'mart.prediction_count',
            'true_positive_rate': 'mart.positive_count',
            'false_positive_rate': 'mart.labelled_count - mart.positive_count',
            'positive_predictive_value': 'mart.labelled_selected_count',
            '': 'mart.labelled_count',
        },
    },
} -%}
{%- set figures = figures_by_mart(marts) -%}

with

{% for mart, parts in marts.items() -%}
{{ mart }}_values as (

    select
        mart.monitor,
        mart.model_version,
        mart.segment,
        mart.segment_value,
        mart.grain,
        mart.window_start,
        mart.window_end,
        '{{ mart }}' as family,
        {{ parts.column_name }} as column_name,
        {%- if parts.suffix %}
        figures.metric
        || {{ parts.suffix }}
            as metric,
        {%- else %}
        figures.metric,
        {%- endif %}
        figures.value,
        figures.sample_count

    from {{ ref(mart) }} as mart

    cross join lateral (
        values
        {%- for figure in figures[mart] %}
        {%- set sample_counts = [] %}
        {%- for beginning, sample_count in parts.sample_counts.items()
            if figure.startswith(beginning) %}
        {%- do sample_counts.append(sample_count) %}
        {%- endfor %}
        (
            '{{ figure }}',
            mart.{{ figure }}::double precision,
            ({{ sample_counts[0] }})::bigint
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as figures (metric, value, sample_count)

    where figures.value is not null

),

{% endfor -%}

-- A method has a name of its own for what it is compared with and for its engine, but
-- in the plain case.
drift_values as (

    select
        drift.monitor,
        drift.model_version,
        drift.segment,
        drift.segment_value,
        drift.grain,
        drift.window_start,
        drift.window_end,
        'drift' as family,
        drift.column_name,
        case drift.engine when 'sql' then '' else drift.engine || '_' end
        || drift.method
        || case drift.compared_to
            when 'baseline' then ''
            else '_' || drift.compared_to
        end
        || figures.suffix as metric,
        figures.value,
        drift.sample_count

    from {{ ref('drift') }} as drift

    cross join lateral (
        values
        ('', drift.score),
        ('_p_value', drift.p_value),
        ('_p_value_adjusted', drift.p_value_adjusted),
        ('_noise_floor', drift.noise_floor),
        ('_threshold', drift.threshold)
    ) as figures (suffix, value)

    where figures.value is not null

),

-- A challenger has one champion in a window: as rests on few rows of either, so does
-- the difference.
version_comparison_values as (

    select
        comparisons.monitor,
        comparisons.challenger_version as model_version,
        'all' as segment,
        'all' as segment_value,
        comparisons.grain,
        comparisons.window_start,
        comparisons.window_end,
        'version_comparison' as family,
        comparisons.champion_version as column_name,
        comparisons.metric || figures.suffix as metric,
        figures.value,
        least(
            comparisons.champion_sample_count, comparisons.challenger_sample_count
        ) as sample_count

    from {{ ref('version_comparison') }} as comparisons

    cross join lateral (
        values
        ('_difference', comparisons.difference),
        ('_difference_lower', comparisons.difference_lower),
        ('_difference_upper', comparisons.difference_upper)
    ) as figures (suffix, value)

    where figures.value is not null

),

metric_values as (
{% for mart in marts %}
    select * from {{ mart }}_values
    union all
{%- endfor %}
    select * from drift_values
    union all
    select * from version_comparison_values

)

select * from metric_values
