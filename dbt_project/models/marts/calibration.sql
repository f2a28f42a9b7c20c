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
                'score_bin',
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

score_parts as (

    {{ windows_and_baseline(ref('int_score_buckets'), [
        'bucket',
        'score_count',
        'labelled_count',
        'labelled_score_sum',
        'positive_count',
    ]) }}

),

-- Twenty of the 200 buckets each.
score_bins as (

    select
        {{ window_keys | join(',\n        ') }},
        bucket / 20 as score_bin,
        sum(score_count)::bigint as score_count,
        sum(labelled_count)::bigint as labelled_count,
        sum(positive_count)::bigint as positive_count,
        sum(labelled_score_sum) as labelled_score_sum

    from score_parts

    group by
        {{ window_keys | join(',\n        ') }},
        score_bin

),

observed as (

    select
        {{ window_keys | join(',\n        ') }},
        score_bin,
        score_bin * 0.1::double precision as lower_bound,
        (score_bin + 1) * 0.1::double precision as upper_bound,
        score_count,
        labelled_count,
        positive_count,
        labelled_score_sum / nullif(labelled_count, 0) as score_mean,
        positive_count::double precision / nullif(labelled_count, 0) as observed_rate,
        {{ wilson_lower('positive_count', 'labelled_count') | indent(8) }}
            as observed_rate_lower,
        {{ wilson_upper('positive_count', 'labelled_count') | indent(8) }}
            as observed_rate_upper

    from score_bins

),

baseline_bins as (

    select * from observed where grain = 'baseline'

),

beside_baseline as (

    select
        observed.monitor,
        observed.model_version,
        observed.segment,
        observed.segment_value,
        observed.grain,
        observed.window_start,
        observed.window_end,
        observed.score_bin,
        observed.lower_bound,
        observed.upper_bound,
        observed.score_count,
        observed.labelled_count,
        observed.positive_count,
        observed.score_mean,
        observed.observed_rate,
        observed.observed_rate_lower,
        observed.observed_rate_upper,
        baseline_bins.labelled_count as baseline_labelled_count,
        baseline_bins.score_mean as baseline_score_mean,
        baseline_bins.observed_rate as baseline_observed_rate

    from observed

    inner join monitors
        on observed.monitor = monitors.monitor

    left join baseline_versions
        on
            observed.monitor = baseline_versions.monitor
            and observed.model_version = baseline_versions.model_version

    left join baseline_bins
        on
            observed.monitor = baseline_bins.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = baseline_bins.model_version
            and observed.segment = baseline_bins.segment
            and observed.segment_value = baseline_bins.segment_value
            and observed.score_bin = baseline_bins.score_bin

    where observed.grain != 'baseline'

)

select * from beside_baseline
