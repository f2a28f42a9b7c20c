{{
    config(
        meta={'family': 'outcomes'},
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'column_name',
                'method',
            ],
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

rolled_up_counts as (

    {{ rolled_up(
        'window_counts', 'outcomes', ['column_name', 'role', 'bin', 'bin_count']
    ) }}

),

observed as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end,
        column_name,
        bin,
        sum(bin_count) as bin_count

    from rolled_up_counts

    -- A label that is not there yet says nothing of the labels.
    where not (role = 'actual' and bin = {{ null_bin() }})

    group by monitor, model_version, grain, window_start, window_end, column_name, bin

),

-- What a version is compared with: its own baseline, or that of the version that came
-- first.
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
        coalesce(
            min(baseline_versions.model_version), min(monitors.reference_version)
        ) as baseline_version

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
        observed.column_name

),

expected as (

    select
        versions.monitor,
        versions.model_version,
        bins.column_name,
        bins.kind,
        bins.role,
        bins.bin,
        bins.coarse_bin,
        case
            when bins.role = 'actual' and bins.bin = {{ null_bin() }} then 0
            else coalesce(reference_counts.bin_count, 0)
        end as baseline_bin_count

    from bins

    inner join (
        select monitor, model_version from baseline_versions
        union
        select monitor, reference_version from monitors
    ) as versions
        on bins.monitor = versions.monitor

    left join reference_counts
        on
            bins.monitor = reference_counts.monitor
            and versions.model_version = reference_counts.model_version
            and bins.column_name = reference_counts.column_name
            and bins.bin = reference_counts.bin

),

-- One row per window, column and bin, also where either side is empty.
both_sides as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end,
        column_name,
        bin,
        null::text as kind,
        null::text as role,
        null::integer as coarse_bin,
        bin_count,
        0 as baseline_bin_count

    from observed

    union all

    select
        samples.monitor,
        samples.model_version,
        samples.grain,
        samples.window_start,
        samples.window_end,
        samples.column_name,
        expected.bin,
        expected.kind,
        expected.role,
        expected.coarse_bin,
        0 as bin_count,
        expected.baseline_bin_count

    from samples

    inner join expected
        on
            samples.monitor = expected.monitor
            and samples.baseline_version is not distinct from expected.model_version
            and samples.column_name = expected.column_name

),

paired as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end,
        column_name,
        bin,
        max(kind) as kind,
        max(role) as role,
        max(coarse_bin) as coarse_bin,
        sum(bin_count) as bin_count,
        sum(baseline_bin_count) as baseline_bin_count

    from both_sides

    group by monitor, model_version, grain, window_start, window_end, column_name, bin

),

totals as (

    select
        *,
        sum(bin_count) over by_column as sample_count,
        sum(baseline_bin_count) over by_column as baseline_sample_count,
        sum(bin_count) filter (where bin >= 0) over by_column as number_count,
        sum(baseline_bin_count) filter (where bin >= 0) over by_column
            as baseline_number_count,
        sum(bin_count) filter (where bin >= 0) over up_to_bin as count_up_to,
        sum(baseline_bin_count) filter (where bin >= 0) over up_to_bin
            as baseline_count_up_to,
        sum(bin_count) over by_coarse_bin as coarse_count,
        sum(baseline_bin_count) over by_coarse_bin as baseline_coarse_count,
        row_number() over (by_coarse_bin order by bin) = 1
        and sum(bin_count + baseline_bin_count) over by_coarse_bin > 0
            as stands_for_coarse_bin

    from paired

    window
        by_column as (
            partition by monitor, model_version, grain, window_start, column_name
        ),
        up_to_bin as (
            partition by monitor, model_version, grain, window_start, column_name
            order by bin
        ),
        by_coarse_bin as (
            partition by
                monitor, model_version, grain, window_start, column_name, coarse_bin
        )

),

coarse_totals as (

    select
        *,
        count(*) filter (where stands_for_coarse_bin) over (
            partition by monitor, model_version, grain, window_start, column_name
        ) as coarse_bin_count

    from totals

),

-- Half a row is added to every count that psi and jensen_shannon compare: no logarithm
-- is infinite, and a rare category that happens to be missing weighs no more than it
-- should, which keeps the scores of small windows without drift below the noise floor.
shares as (

    select
        *,
        (coarse_count + 0.5)::double precision
        / nullif(sample_count + 0.5 * coarse_bin_count, 0)::double precision as share,
        (baseline_coarse_count + 0.5)::double precision
        / nullif(baseline_sample_count + 0.5 * coarse_bin_count, 0)::double precision
            as baseline_share,
        abs(
            count_up_to::double precision / nullif(number_count, 0)::double precision
            - baseline_count_up_to::double precision
            / nullif(baseline_number_count, 0)::double precision
        ) as distance

    from coarse_totals

),

terms as (

    select
        *,
        (share - baseline_share) * ln(share / baseline_share) as psi_term,
        share * ln(share / ((share + baseline_share) / 2))
        + baseline_share * ln(baseline_share / ((share + baseline_share) / 2))
            as divergence_term

    from shares

),

distances as (

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_end,
        column_name,
        min(kind) as kind,
        min(role) as role,
        min(sample_count)::double precision as sample_count,
        min(baseline_sample_count)::double precision as baseline_sample_count,
        min(number_count)::double precision as number_count,
        min(baseline_number_count)::double precision as baseline_number_count,
        greatest(
            count(*) filter (where stands_for_coarse_bin) - 1, 1
        )::double precision as degrees_of_freedom,
        sum(psi_term) filter (where stands_for_coarse_bin) as psi,
        sqrt(greatest(
            0,
            sum(divergence_term) filter (where stands_for_coarse_bin)
            / 2 / ln(2::double precision)
        )) as jensen_shannon,
        max(distance) filter (where bin >= 0) as ks

    from terms

    group by monitor, model_version, grain, window_start, window_end, column_name

),

-- Without drift, the index of population stability is about a chi-squared variable
-- times (1/n + 1/m), the Jensen-Shannon divergence an eighth of it in nats, and the
-- distance of two distribution functions goes beyond 1.63·√(1/n + 1/m) once in a
-- hundred.
noises as (

    select
        *,
        1 / nullif(sample_count, 0) + 1 / nullif(baseline_sample_count, 0) as spread,
        1 / nullif(number_count, 0) + 1 / nullif(baseline_number_count, 0)
            as number_spread,
        {{ chi_squared_99('degrees_of_freedom') | indent(8) }} as chi_squared

    from distances

),

scores as (

    select
        noises.monitor,
        noises.model_version,
        noises.grain,
        noises.window_start,
        noises.window_end,
        noises.column_name,
        noises.role,
        monitors.minimum_sample,
        methods.method,
        case when noises.baseline_sample_count > 0 then methods.score end as score,
        case when noises.baseline_sample_count > 0 then methods.p_value end as p_value,
        methods.noise_floor,
        methods.threshold,
        methods.critical_threshold,
        coalesce(methods.sample_count, 0)::bigint as sample_count,
        coalesce(methods.baseline_sample_count, 0)::bigint as baseline_sample_count

    from noises

    inner join monitors
        on noises.monitor = monitors.monitor

    cross join lateral (
        values
        (
            'psi',
            noises.psi,
            null::double precision,
            noises.spread * noises.chi_squared,
            0.1::double precision,
            0.25::double precision,
            noises.sample_count,
            noises.baseline_sample_count
        ),
        (
            'jensen_shannon',
            noises.jensen_shannon,
            null,
            sqrt(noises.spread * noises.chi_squared / 8 / ln(2::double precision)),
            0.1,
            0.2,
            noises.sample_count,
            noises.baseline_sample_count
        ),
        (
            'ks',
            noises.ks,
            {{ kolmogorov_p_value(
                'noises.ks / sqrt(noises.number_spread)'
            ) | indent(12) }},
            1.6276 * sqrt(noises.number_spread),
            0.1,
            0.2,
            noises.number_count,
            noises.baseline_number_count
        )
    ) as methods (
        method,
        score,
        p_value,
        noise_floor,
        threshold,
        critical_threshold,
        sample_count,
        baseline_sample_count
    )

    where methods.method != 'ks' or noises.kind = 'numerical'

),

judged as (

    select
        *,
        case
            when baseline_sample_count = 0 then 'the baseline is empty'
            when baseline_sample_count < minimum_sample
                then 'the baseline has ' || baseline_sample_count
                    || ' rows, fewer than the minimum of ' || minimum_sample
            when sample_count < minimum_sample
                then sample_count
                    || ' rows, fewer than the minimum of ' || minimum_sample
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
        judged.role,
        judged.score,
        judged.p_value,
        judged.noise_floor,
        judged.threshold,
        case
            when judged.not_computable_reason is null then judged.is_above
        end as is_drifted,
        judged.sample_count,
        judged.baseline_sample_count,
        case
            when judged.not_computable_reason is not null then 'not_computable'
            when judged.is_above and judged.score > judged.critical_threshold
                then 'critical'
            when judged.is_above then 'warning'
            else 'ok'
        end as status,
        coalesce(
            judged.not_computable_reason,
            case
                when judged.is_above
                    then judged.method || ' ' || round(judged.score::numeric, 3)
                        || ' is above ' || judged.threshold
                when judged.score > judged.threshold
                    then 'above the threshold, but within the noise of so few rows'
            end
        ) as reason

    from judged

)

select * from drift_scores
