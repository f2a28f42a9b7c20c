{{
    config(
        meta={'family': 'outcomes'},
        indexes=[{
            'columns': ['monitor', 'window_start', 'grain', 'model_version', 'column_name', 'method'],
            'unique': true,
        }]
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

reference_counts as (

    select * from {{ ref('int_column_bins') }} where grain = 'baseline'
    union all
    select * from {{ ref('int_actual_bins') }} where grain = 'baseline'

),

refreshed as (
    {{ refreshed_windows('outcomes', ref('int_column_bins')) }}
),

observed as (

    select
        refreshed.monitor,
        versions.model_version,
        refreshed.grain,
        refreshed.window_start,
        refreshed.window_end,
        statistics.column_name,
        statistics.bin,
        sum(statistics.bin_count) as bin_count

    from {{ rolled_up('window_counts') }}

    -- A label that is not there yet says nothing of the labels.
    where not (statistics.role = 'actual' and statistics.bin = {{ null_bin() }})

    group by
        refreshed.monitor,
        versions.model_version,
        refreshed.grain,
        refreshed.window_start,
        refreshed.window_end,
        statistics.column_name,
        statistics.bin

),

-- What a version is compared with: its own baseline, or that of the version that came first.
baseline_versions as (

    select distinct
        monitor,
        model_version
    from reference_counts

),

samples as (

    select
        observed.monitor,
        observed.model_version,
        observed.grain,
        observed.window_start,
        observed.window_end,
        observed.column_name,
        coalesce(baseline_versions.model_version, monitors.reference_version) as baseline_version,
        monitors.minimum_sample,
        sum(observed.bin_count) as sample_count

    from observed

    inner join monitors
        on observed.monitor = monitors.monitor

    left join baseline_versions
        on
            observed.monitor = baseline_versions.monitor
            and observed.model_version = baseline_versions.model_version

    group by
        observed.monitor,
        observed.model_version,
        observed.grain,
        observed.window_start,
        observed.window_end,
        observed.column_name,
        coalesce(baseline_versions.model_version, monitors.reference_version),
        monitors.minimum_sample

),

baseline_counts as (

    select
        monitor,
        model_version,
        column_name,
        bin,
        bin_count,
        sum(bin_count) over (partition by monitor, model_version, column_name) as sample_count,
        sum(bin_count) filter (where bin >= 0) over (partition by monitor, model_version, column_name) as number_count

    from reference_counts

    where not (role = 'actual' and bin = {{ null_bin() }})

),

baseline_samples as (

    select distinct
        monitor,
        model_version,
        column_name,
        sample_count
    from baseline_counts

),

-- One row per window, column and bin, also where either side is empty.
paired as (

    select
        samples.monitor,
        samples.model_version,
        samples.grain,
        samples.window_start,
        samples.column_name,
        bins.kind,
        bins.bin,
        bins.coarse_bin,
        coalesce(observed.bin_count, 0) as bin_count,
        coalesce(baseline_counts.bin_count, 0) as baseline_bin_count

    from samples

    inner join bins
        on
            samples.monitor = bins.monitor
            and samples.column_name = bins.column_name

    left join observed
        on
            samples.monitor = observed.monitor
            and samples.model_version = observed.model_version
            and samples.grain = observed.grain
            and samples.window_start = observed.window_start
            and samples.column_name = observed.column_name
            and bins.bin = observed.bin

    left join baseline_counts
        on
            samples.monitor = baseline_counts.monitor
            and samples.baseline_version = baseline_counts.model_version
            and samples.column_name = baseline_counts.column_name
            and bins.bin = baseline_counts.bin

),

totals as (

    select
        *,
        sum(bin_count) over by_column as sample_count,
        sum(baseline_bin_count) over by_column as baseline_sample_count,
        sum(bin_count) filter (where bin >= 0) over by_column as number_count,
        sum(baseline_bin_count) filter (where bin >= 0) over by_column as baseline_number_count,
        sum(bin_count) filter (where bin >= 0) over up_to_bin as count_up_to,
        sum(baseline_bin_count) filter (where bin >= 0) over up_to_bin as baseline_count_up_to

    from paired

    window
        by_column as (partition by monitor, model_version, grain, window_start, column_name),
        up_to_bin as (partition by monitor, model_version, grain, window_start, column_name order by bin)

),

coarse_shares as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        column_name,
        coarse_bin,
        sum(bin_count)::double precision / nullif(min(sample_count), 0) as share,
        sum(baseline_bin_count)::double precision / nullif(min(baseline_sample_count), 0) as baseline_share,
        {{ floored_share('sum(bin_count)', 'nullif(min(sample_count), 0)') }} as floored,
        {{ floored_share('sum(baseline_bin_count)', 'nullif(min(baseline_sample_count), 0)') }} as baseline_floored

    from totals

    group by monitor, model_version, grain, window_start, column_name, coarse_bin

    having sum(bin_count) + sum(baseline_bin_count) > 0

),

divergences as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        column_name,
        count(*) - 1 as degrees_of_freedom,
        sum((floored - baseline_floored) * ln(floored / baseline_floored)) as psi,
        sqrt(greatest(0, sum(
            coalesce(share * ln(nullif(share, 0) / ((share + baseline_share) / 2)), 0)
            + coalesce(baseline_share * ln(nullif(baseline_share, 0) / ((share + baseline_share) / 2)), 0)
        ) / 2 / ln(2::double precision))) as jensen_shannon

    from coarse_shares

    group by monitor, model_version, grain, window_start, column_name

),

distances as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        column_name,
        min(number_count) as number_count,
        min(baseline_number_count) as baseline_number_count,
        max(abs(
            count_up_to::double precision / nullif(number_count, 0)
            - baseline_count_up_to::double precision / nullif(baseline_number_count, 0)
        )) as ks

    from totals

    where kind = 'numerical' and bin >= 0

    group by monitor, model_version, grain, window_start, column_name

),

scores as (

    select
        samples.monitor,
        samples.model_version,
        samples.grain,
        samples.window_start,
        samples.window_end,
        samples.column_name,
        samples.minimum_sample,
        methods.method,
        case when methods.baseline_sample_count > 0 then methods.score end as score,
        case when methods.baseline_sample_count > 0 then methods.p_value end as p_value,
        methods.noise_floor,
        methods.threshold,
        methods.critical_threshold,
        coalesce(methods.sample_count, 0)::bigint as sample_count,
        coalesce(methods.baseline_sample_count, 0)::bigint as baseline_sample_count

    from samples

    left join divergences
        on
            samples.monitor = divergences.monitor
            and samples.model_version = divergences.model_version
            and samples.grain = divergences.grain
            and samples.window_start = divergences.window_start
            and samples.column_name = divergences.column_name

    left join distances
        on
            samples.monitor = distances.monitor
            and samples.model_version = distances.model_version
            and samples.grain = distances.grain
            and samples.window_start = distances.window_start
            and samples.column_name = distances.column_name

    left join baseline_samples
        on
            samples.monitor = baseline_samples.monitor
            and samples.baseline_version = baseline_samples.model_version
            and samples.column_name = baseline_samples.column_name

    -- Without drift, the index of population stability is about a chi-squared variable times
    -- (1/n + 1/m), the Jensen-Shannon divergence an eighth of it, and the distance of two
    -- distribution functions goes beyond 1.63 √(1/n + 1/m) once in a hundred.
    cross join lateral (
        select
            1.0 / nullif(samples.sample_count, 0) + 1.0 / nullif(baseline_samples.sample_count, 0) as spread,
            1.0 / nullif(distances.number_count, 0) + 1.0 / nullif(distances.baseline_number_count, 0) as number_spread,
            greatest(divergences.degrees_of_freedom, 1)::double precision as degrees_of_freedom
    ) as noise

    cross join lateral (
        values
        (
            'psi',
            divergences.psi,
            null::double precision,
            noise.spread * {{ chi_squared_99('noise.degrees_of_freedom') }},
            0.1,
            0.25,
            samples.sample_count,
            baseline_samples.sample_count
        ),
        (
            'jensen_shannon',
            divergences.jensen_shannon,
            null,
            sqrt(noise.spread * {{ chi_squared_99('noise.degrees_of_freedom') }} / 8 / ln(2::double precision)),
            0.1,
            0.2,
            samples.sample_count,
            baseline_samples.sample_count
        ),
        (
            'ks',
            distances.ks,
            {{ kolmogorov_p_value('distances.ks / sqrt(noise.number_spread)') }},
            1.6276 * sqrt(noise.number_spread),
            0.1,
            0.2,
            distances.number_count,
            distances.baseline_number_count
        )
    ) as methods (
        method, score, p_value, noise_floor, threshold, critical_threshold, sample_count, baseline_sample_count
    )

    where methods.method != 'ks' or distances.column_name is not null

),

judged as (

    select
        *,
        case
            when baseline_sample_count = 0 then 'the baseline is empty'
            when sample_count < minimum_sample
                then sample_count || ' rows, fewer than the minimum of ' || minimum_sample
        end as not_computable_reason,
        score > threshold and score > noise_floor as is_above

    from scores

),

drift_scores as (

    select
        judged.monitor,
        judged.model_version,
        'all' as segment,
        'all' as segment_value,
        judged.grain,
        judged.window_start,
        judged.window_end,
        judged.column_name,
        judged.method,
        'baseline' as compared_to,
        monitored_columns.role,
        judged.score,
        judged.p_value,
        judged.noise_floor,
        judged.threshold,
        case when judged.not_computable_reason is null then judged.is_above end as is_drifted,
        judged.sample_count,
        judged.baseline_sample_count,
        case
            when judged.not_computable_reason is not null then 'not_computable'
            when judged.is_above and judged.score > judged.critical_threshold then 'critical'
            when judged.is_above then 'warning'
            else 'ok'
        end as status,
        coalesce(
            judged.not_computable_reason,
            case
                when judged.is_above
                    then judged.method || ' ' || round(judged.score::numeric, 3) || ' is above ' || judged.threshold
                when judged.score > judged.threshold then 'above the threshold, but within the noise of so few rows'
            end
        ) as reason

    from judged

    inner join (select distinct monitor, column_name, role from bins) as monitored_columns
        on
            judged.monitor = monitored_columns.monitor
            and judged.column_name = monitored_columns.column_name

)

select * from drift_scores
