{{
    config(
        meta={'family': 'outcomes'},
        pre_hook="{{ plan_as_written() }}",
        indexes=[{
            'columns': [
                'monitor',
                'column_name',
                'grain',
                'window_start',
                'model_version',
                'segment',
                'segment_value',
                'bin',
            ],
            'unique': true,
        }, {
            'columns': ['monitor', 'window_start', 'grain'],
        }]
    )
}}

{% set sample_keys = [
    'monitor',
    'model_version',
    'segment',
    'segment_value',
    'grain',
    'window_start',
    'window_end',
    'column_name',
] -%}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

fine_bins as (

    select
        *,
        max(bin) over (partition by monitor, column_name) as last_bin,
        max(upper_bound) over (partition by monitor, column_name) as maximum
    from {{ ref('int_baseline_bins') }}

),

-- The ends are open: what is below or above the baseline's range counts to the tenth
-- next to it, or has the last tenth for itself, which then begins above the maximum.
bins as (

    select
        monitor,
        column_name,
        coarse_bin as bin,
        min(role) as role,
        min(kind) as kind,
        case
            when min(bin) > 0 then coalesce(min(lower_bound), min(maximum))
        end as lower_bound,
        min(lower_bound) is null as is_above_maximum,
        case when max(bin) != max(last_bin) then max(upper_bound) end as upper_bound,
        min(label) as label

    from fine_bins

    group by monitor, column_name, coarse_bin

),

labelled_bins as (

    select
        monitor,
        column_name,
        bin,
        role,
        lower_bound,
        upper_bound,
        case
            when kind = 'categorical' or bin < 0
                then {{ key_text('label') | indent(20) }}
            when lower_bound is null and upper_bound is null then 'any number'
            when lower_bound is null then 'below ' || upper_bound
            when upper_bound is null and is_above_maximum then 'above ' || lower_bound
            when upper_bound is null then 'from ' || lower_bound
            else lower_bound || ' to ' || upper_bound
        end as label

    from bins

),

-- A label that is not there yet says nothing of the labels.
window_counts as not materialized (

    select * from {{ ref('int_column_bins') }}
    union all
    select * from {{ ref('int_actual_bins') }} where bin != {{ null_bin() }}

),

rolled_up_counts as (

    {{ rolled_up(
        'window_counts',
        'outcomes',
        ['segment', 'segment_value', 'column_name', 'bin', 'bin_count']
    ) }}

),

observed as materialized (

    select
        {% for key in sample_keys -%}
        rolled_up_counts.{{ key }},
        {% endfor -%}
        fine_bins.coarse_bin as bin,
        sum(rolled_up_counts.bin_count)::bigint as bin_count

    from rolled_up_counts

    inner join fine_bins
        on
            rolled_up_counts.monitor = fine_bins.monitor
            and rolled_up_counts.column_name = fine_bins.column_name
            and rolled_up_counts.bin = fine_bins.bin

    group by
        {% for key in sample_keys -%}
        rolled_up_counts.{{ key }},
        {% endfor -%}
        fine_bins.coarse_bin

),

baseline_counts as materialized (

    select
        window_counts.monitor,
        window_counts.model_version,
        window_counts.segment,
        window_counts.segment_value,
        window_counts.column_name,
        fine_bins.coarse_bin as bin,
        sum(window_counts.bin_count)::bigint as bin_count

    from window_counts

    inner join fine_bins
        on
            window_counts.monitor = fine_bins.monitor
            and window_counts.column_name = fine_bins.column_name
            and window_counts.bin = fine_bins.bin

    where window_counts.grain = 'baseline'

    group by
        window_counts.monitor,
        window_counts.model_version,
        window_counts.segment,
        window_counts.segment_value,
        window_counts.column_name,
        fine_bins.coarse_bin

),

-- What a version is compared with: its own baseline, or that of the version that came
-- first.
baseline_versions as (

    select distinct
        monitor,
        model_version
    from baseline_counts

),

samples as (

    select distinct
        {% for key in sample_keys -%}
        observed.{{ key }},
        {% endfor -%}
        coalesce(
            baseline_versions.model_version, monitors.reference_version
        ) as baseline_version

    from observed

    inner join monitors
        on observed.monitor = monitors.monitor

    left join baseline_versions
        on
            observed.monitor = baseline_versions.monitor
            and observed.model_version = baseline_versions.model_version

),

-- One row per bin, also where either side is empty.
both_sides as (

    select
        {{ sample_keys | join(',\n        ') }},
        bin,
        bin_count,
        0 as baseline_count

    from observed

    union all

    select
        {% for key in sample_keys -%}
        samples.{{ key }},
        {% endfor -%}
        baseline_counts.bin,
        0 as bin_count,
        baseline_counts.bin_count as baseline_count

    from samples

    inner join baseline_counts
        on
            samples.monitor = baseline_counts.monitor
            and samples.baseline_version = baseline_counts.model_version
            and samples.segment = baseline_counts.segment
            and samples.segment_value = baseline_counts.segment_value
            and samples.column_name = baseline_counts.column_name

),

paired as (

    select
        {{ sample_keys | join(',\n        ') }},
        bin,
        sum(bin_count)::bigint as bin_count,
        sum(baseline_count)::bigint as baseline_count

    from both_sides

    group by
        {{ sample_keys | join(',\n        ') }},
        bin

),

totals as (

    select
        *,
        sum(bin_count) over by_sample as row_count,
        sum(baseline_count) over by_sample as baseline_row_count

    from paired

    window
        by_sample as (
            partition by
                {{ sample_keys | join(',\n                ') }}
        )

),

distributions as (

    select
        {% for key in sample_keys -%}
        totals.{{ key }},
        {% endfor -%}
        totals.bin,
        labelled_bins.role,
        labelled_bins.label,
        labelled_bins.lower_bound,
        labelled_bins.upper_bound,
        totals.bin_count,
        totals.baseline_count,
        totals.bin_count::double precision
        / nullif(totals.row_count, 0)::double precision as share,
        totals.baseline_count::double precision
        / nullif(totals.baseline_row_count, 0)::double precision as baseline_share

    from totals

    inner join labelled_bins
        on
            totals.monitor = labelled_bins.monitor
            and totals.column_name = labelled_bins.column_name
            and totals.bin = labelled_bins.bin

)

select * from distributions
