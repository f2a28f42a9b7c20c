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
                    'column_name',
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

bins as (

    select * from {{ ref('int_baseline_bins') }}

),

window_counts as (

    select * from {{ ref('int_column_bins') }}
    union all
    select * from {{ ref('int_actual_bins') }}

),

window_moments as (

    select * from {{ ref('int_column_stats') }}
    union all
    select * from {{ ref('int_actual_stats') }}

),

reference_counts as (

    select * from {{ ref('int_column_bins') }} where grain = 'baseline'
    union all
    select * from {{ ref('int_actual_bins') }} where grain = 'baseline'

),

reference_moments as (

    select * from {{ ref('int_column_stats') }} where grain = 'baseline'
    union all
    select * from {{ ref('int_actual_stats') }} where grain = 'baseline'

),

rolled_up_counts as (

    {{ rolled_up(
        'window_counts', 'outcomes', ['column_name', 'role', 'bin', 'bin_count']
    ) }}

),

counts as (

    select
        counted.monitor,
        counted.model_version,
        counted.grain,
        counted.window_start,
        counted.window_end,
        counted.column_name,
        counted.role,
        sum(counted.bin_count) as row_count,
        coalesce(sum(counted.bin_count) filter (
            where counted.bin = {{ null_bin() }}
        ), 0) as null_count,
        coalesce(sum(counted.bin_count) filter (
            where counted.bin = {{ invalid_bin() }}
        ), 0) as invalid_count,
        -- Without any baseline nothing has been seen, and nothing is odd about that.
        coalesce(sum(counted.bin_count) filter (
            where
                counted.bin = {{ unseen_bin() }}
                and monitors.reference_version is not null
        ), 0) as unseen_count,
        coalesce(sum(counted.bin_count) filter (
            where bins.is_out_of_range
        ), 0) as out_of_range_count

    from rolled_up_counts as counted

    inner join monitors
        on counted.monitor = monitors.monitor

    left join bins
        on
            counted.monitor = bins.monitor
            and counted.column_name = bins.column_name
            and counted.bin = bins.bin

    group by
        counted.monitor,
        counted.model_version,
        counted.grain,
        counted.window_start,
        counted.window_end,
        counted.column_name,
        counted.role

),

rolled_up_moments as (

    {{ rolled_up('window_moments', 'outcomes', [
        'column_name',
        'value_count',
        'mean',
        'm2',
        'minimum',
        'maximum',
    ]) }}

),

-- Means and sums of squared deviations of parts are merged by Chan, Golub and LeVeque
-- (1979).
partial_moments as (

    select
        *,
        {{ merged_mean('value_count', 'mean', [
            'monitor',
            'model_version',
            'grain',
            'window_start',
            'column_name',
        ]) | indent(8) }} as merged_mean

    from rolled_up_moments

),

moments as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        column_name,
        sum(value_count) as value_count,
        min(merged_mean) as mean,
        {{ merged_m2('value_count', 'mean', 'm2', 'merged_mean') | indent(8) }} as m2,
        min(minimum) as minimum,
        max(maximum) as maximum

    from partial_moments

    group by monitor, model_version, grain, window_start, column_name

),

baseline_rates as (

    select
        monitor,
        model_version,
        column_name,
        coalesce(
            sum(bin_count) filter (where bin = {{ null_bin() }}), 0
        )::double precision / sum(bin_count) as null_rate

    from reference_counts

    group by monitor, model_version, column_name

),

-- Labels that are not there yet can be neither right nor wrong.
judged_counts as (

    select
        *,
        case
            when role = 'actual' then row_count - null_count
            else row_count
        end as judged_count

    from counts

),

rates as (

    select
        counts.monitor,
        counts.model_version,
        'all' as segment,
        'all' as segment_value,
        counts.grain,
        counts.window_start,
        counts.window_end,
        counts.column_name,
        counts.role,
        counts.row_count::bigint as row_count,
        counts.null_count::bigint as null_count,
        counts.invalid_count::bigint as invalid_count,
        counts.unseen_count::bigint as unseen_count,
        counts.out_of_range_count::bigint as out_of_range_count,
        counts.null_count::double precision / counts.row_count as null_rate,
        counts.invalid_count::double precision / counts.row_count as invalid_rate,
        counts.unseen_count::double precision / counts.row_count as unseen_rate,
        counts.out_of_range_count::double precision / counts.row_count
            as out_of_range_rate,
        baseline_rates.null_rate as baseline_null_rate,
        moments.mean,
        sqrt(moments.m2 / nullif(moments.value_count - 1, 0)) as stddev,
        moments.minimum,
        moments.maximum,
        reference_moments.mean as baseline_mean,
        sqrt(reference_moments.m2 / nullif(reference_moments.value_count - 1, 0))
            as baseline_stddev,
        monitors.minimum_sample,
        counts.judged_count,
        {{ wilson_lower(
            'counts.null_count', 'counts.row_count'
        ) | indent(8) }} as null_rate_lower,
        {{ wilson_lower(
            'counts.invalid_count', 'counts.judged_count'
        ) | indent(8) }} as invalid_rate_lower,
        {{ wilson_lower(
            'counts.unseen_count', 'counts.judged_count'
        ) | indent(8) }} as unseen_rate_lower,
        {{ wilson_lower(
            'counts.out_of_range_count', 'counts.judged_count'
        ) | indent(8) }} as out_of_range_rate_lower

    from judged_counts as counts

    inner join monitors
        on counts.monitor = monitors.monitor

    left join moments
        on
            counts.monitor = moments.monitor
            and counts.model_version = moments.model_version
            and counts.grain = moments.grain
            and counts.window_start = moments.window_start
            and counts.column_name = moments.column_name

    left join (
        select distinct
            monitor,
            model_version
        from reference_counts
    ) as baseline_versions
        on
            counts.monitor = baseline_versions.monitor
            and counts.model_version = baseline_versions.model_version

    left join baseline_rates
        on
            counts.monitor = baseline_rates.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = baseline_rates.model_version
            and counts.column_name = baseline_rates.column_name

    left join reference_moments
        on
            counts.monitor = reference_moments.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = reference_moments.model_version
            and counts.column_name = reference_moments.column_name

),

-- A label that is not there yet is no null: labels are judged by their coverage
-- elsewhere.
excesses as (

    select
        *,
        case
            when role = 'actual' then 0
            else null_rate_lower - coalesce(baseline_null_rate, 0)
        end as null_excess

    from rates

),

judged as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        column_name,
        role,
        row_count,
        null_count,
        invalid_count,
        unseen_count,
        out_of_range_count,
        null_rate,
        invalid_rate,
        unseen_rate,
        out_of_range_rate,
        baseline_null_rate,
        mean,
        stddev,
        minimum,
        maximum,
        baseline_mean,
        baseline_stddev,
        case
            when judged_count < minimum_sample then 'not_computable'
            when
                null_excess > 0.2
                or invalid_rate_lower > 0.1
                or unseen_rate_lower > 0.1
                or out_of_range_rate_lower > 0.2
                then 'critical'
            when
                null_excess > 0.03
                or invalid_rate_lower > 0.01
                or unseen_rate_lower > 0.01
                or out_of_range_rate_lower > 0.05
                then 'warning'
            else 'ok'
        end as status,
        case
            when judged_count < minimum_sample
                then judged_count
                    || case role when 'actual' then ' labelled' else '' end
                    || ' rows, fewer than the minimum of ' || minimum_sample
            when null_excess > 0.03
                then round((100 * null_rate)::numeric, 1) || ' % are null'
            when invalid_rate_lower > 0.01
                then round((100 * invalid_rate)::numeric, 1) || ' % are invalid'
            when unseen_rate_lower > 0.01
                then round((100 * unseen_rate)::numeric, 1)
                    || ' % are of categories that the baseline lacks'
            when out_of_range_rate_lower > 0.05
                then round((100 * out_of_range_rate)::numeric, 1)
                    || ' % are outside the range of the baseline'
        end as reason

    from excesses

)

select * from judged
