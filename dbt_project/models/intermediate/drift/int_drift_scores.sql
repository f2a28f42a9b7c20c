{{
    config(
        meta={'family': 'drift'},
        pre_hook="{{ plan_as_written() }}",
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'segment',
                'segment_value',
                'column_name',
                'method',
                'compared_to',
            ],
            'unique': true,
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

settings as (

    select * from {{ ref('int_drift_settings') }}

),

bins as (

    select
        *,
        -- Where the values of a bin stand on the number line: at its lower end, and
        -- those outside the baseline's range at its ends.
        coalesce(
            lower_bound,
            upper_bound,
            max(upper_bound) over (partition by monitor, column_name)
        ) as position

    from {{ ref('int_baseline_bins') }}

),

-- A label that is not there yet says nothing of the labels.
window_counts as not materialized (

    select * from {{ ref('int_column_bins') }}
    union all
    select * from {{ ref('int_actual_bins') }} where bin != {{ null_bin() }}

),

window_stats as not materialized (

    select * from {{ ref('int_column_stats') }}
    union all
    select * from {{ ref('int_actual_stats') }}

),

rolled_up_counts as (

    {{ rolled_up(
        'window_counts',
        'drift_inputs',
        ['segment', 'segment_value', 'column_name', 'bin', 'bin_count']
    ) }}

    union all

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_start as window_end,
        segment,
        segment_value,
        column_name,
        bin,
        bin_count

    from window_counts

    where grain = 'baseline'

),

summed_counts as (

    select
        {{ sample_keys | join(',\n        ') }},
        bin,
        sum(bin_count)::bigint as bin_count

    from rolled_up_counts

    group by
        {{ sample_keys | join(',\n        ') }},
        bin

),

-- One column in one window, version and segment, with a number, so that what follows
-- need not compare so many keys.
numbered_samples as (

    select
        row_number() over () as sample_id,
        counted.*

    from (
        select
            {{ sample_keys | join(',\n            ') }},
            sum(bin_count) as row_count,
            array_agg(bin) as sample_bins,
            array_agg(bin_count) as bin_counts

        from summed_counts

        group by
            {{ sample_keys | join(',\n            ') }}
    ) as counted

),

rolled_up_stats as (

    {{ rolled_up(
        'window_stats',
        'drift_inputs',
        ['segment', 'segment_value', 'column_name', 'value_count', 'mean', 'm2']
    ) }}

    union all

    select
        monitor,
        model_version,
        grain,
        window_start,
        window_start as window_end,
        segment,
        segment_value,
        column_name,
        value_count,
        mean,
        m2

    from window_stats

    where grain = 'baseline'

),

centred_stats as (

    select
        *,
        {{ merged_mean('value_count', 'mean', sample_keys) | indent(8) }} as merged_mean

    from rolled_up_stats

),

moments as (

    select
        {{ sample_keys | join(',\n        ') }},
        sum(value_count)::double precision as number_count,
        min(merged_mean) as mean,
        {{ merged_m2('value_count', 'mean', 'm2', 'merged_mean') | indent(8) }} as m2

    from centred_stats

    group by
        {{ sample_keys | join(',\n        ') }}

),

samples as materialized (

    select
        numbered_samples.*,
        moments.number_count,
        moments.mean,
        moments.m2

    from numbered_samples

    left join moments
        on
            {% for key in sample_keys -%}
            {{ 'and ' if not loop.first }}numbered_samples.{{ key }} = moments.{{ key }}
            {% endfor %}
),

comparisons as (

    select distinct
        monitor,
        column_name,
        role,
        kind,
        compared_to
    from settings

),

-- What a version is compared with: its own baseline, or that of the version that came
-- first.
baseline_versions as (

    select distinct
        monitor,
        model_version
    from samples
    where grain = 'baseline'

),

-- What the scores of this run are about; the other samples are what they are compared
-- with.
refreshed as (

    select
        statistics.*,
        comparisons.role,
        comparisons.kind,
        comparisons.compared_to,
        case comparisons.compared_to
            when 'baseline' then 'baseline'
            else statistics.grain
        end as reference_grain,
        case comparisons.compared_to
            when 'baseline'
                then coalesce(
                    baseline_versions.model_version, monitors.reference_version
                )
            else statistics.model_version
        end as reference_version,
        case
            when comparisons.compared_to = 'baseline' then {{ baseline_window() }}
            when comparisons.compared_to = 'last_week'
                then statistics.window_start - {{ window_length('week') }}
            {%- for grain in grains_of_family('drift') %}
            when statistics.grain = '{{ grain }}'
                then statistics.window_start - {{ window_length(grain) }}
            {%- endfor %}
        end as reference_start

    from samples as statistics

    inner join comparisons
        on
            statistics.monitor = comparisons.monitor
            and statistics.column_name = comparisons.column_name

    inner join monitors
        on statistics.monitor = monitors.monitor

    left join baseline_versions
        on
            statistics.monitor = baseline_versions.monitor
            and statistics.model_version = baseline_versions.model_version

    where
        statistics.grain != 'baseline'
        -- The week before is the window before.
        and not (statistics.grain = 'week' and comparisons.compared_to = 'last_week')
        {%- if execute and is_incremental() %}
        and (
            {%- for grain in grains_of_family('drift') %}
            {{ 'or ' if not loop.first }}(
                statistics.grain = '{{ grain }}'
                and {{ in_refreshed_windows('drift', grain) | indent(16) }}
            )
            {%- endfor %}
        )
        {%- endif %}

),

pairs as materialized (

    select
        row_number() over () as pair_id,
        refreshed.*,
        known.sample_id as reference_id,
        coalesce(known.row_count, 0) as reference_row_count,
        known.number_count as reference_number_count,
        known.mean as reference_mean,
        known.m2 as reference_m2

    from refreshed

    left join samples as known
        on
            refreshed.monitor = known.monitor
            and refreshed.reference_version = known.model_version
            and refreshed.segment = known.segment
            and refreshed.segment_value = known.segment_value
            and refreshed.reference_grain = known.grain
            and refreshed.reference_start = known.window_start
            and refreshed.column_name = known.column_name

),

counted_bins as (

    select
        samples.sample_id,
        samples.monitor,
        samples.column_name,
        counted.bin,
        counted.bin_count

    from samples

    cross join lateral unnest(
        samples.sample_bins, samples.bin_counts
    ) as counted (bin, bin_count)

),

sample_bins as materialized (

    select
        counted_bins.sample_id,
        bins.bin,
        bins.kind,
        bins.coarse_bin,
        bins.position,
        counted_bins.bin_count

    from counted_bins

    inner join bins
        on
            counted_bins.monitor = bins.monitor
            and counted_bins.column_name = bins.column_name
            and counted_bins.bin = bins.bin

),

-- Shares are compared twice, among the rows that have a usable value and of those that
-- have none: or else nulls, however many, would hide how the values moved.
share_counts as materialized (

    select
        sample_id,
        'values' as part,
        coarse_bin as bin,
        sum(bin_count) as bin_count
    from sample_bins
    where bin not in ({{ null_bin() }}, {{ invalid_bin() }})
    group by sample_id, coarse_bin

    union all

    select
        sample_id,
        'presence' as part,
        case when bin in ({{ null_bin() }}, {{ invalid_bin() }}) then bin else 0 end
            as bin,
        sum(bin_count) as bin_count
    from sample_bins
    group by 1, 2, 3

),

paired_shares as (

    select
        pair_id,
        part,
        bin,
        sum(bin_count)::double precision as bin_count,
        sum(reference_bin_count)::double precision as reference_bin_count

    from (
        select
            pairs.pair_id,
            share_counts.part,
            share_counts.bin,
            share_counts.bin_count,
            0 as reference_bin_count
        from pairs
        inner join share_counts
            on pairs.sample_id = share_counts.sample_id

        union all

        select
            pairs.pair_id,
            share_counts.part,
            share_counts.bin,
            0 as bin_count,
            share_counts.bin_count as reference_bin_count
        from pairs
        inner join share_counts
            on pairs.reference_id = share_counts.sample_id
    ) as both_sides

    group by pair_id, part, bin

),

share_totals as (

    select
        *,
        sum(bin_count) over by_part as part_count,
        sum(reference_bin_count) over by_part as reference_part_count,
        count(*) over by_part as filled_bins

    from paired_shares

    window by_part as (partition by pair_id, part)

),

-- Half a row is added to every count where a logarithm or a root follows: none is
-- infinite, and a rare category that happens to be missing weighs no more than it
-- should, which keeps the scores of small windows without drift below the noise floor.
shares as (

    select
        *,
        bin_count / part_count as share,
        reference_bin_count / reference_part_count as reference_share,
        (bin_count + reference_bin_count) / (part_count + reference_part_count)
            as common_share,
        (bin_count + 0.5) / (part_count + 0.5 * filled_bins) as smooth_share,
        (reference_bin_count + 0.5) / (reference_part_count + 0.5 * filled_bins)
            as smooth_reference_share

    from share_totals

    where part_count > 0 and reference_part_count > 0

),

share_distances as (

    select
        pair_id,
        part,
        min(part_count) as part_count,
        min(reference_part_count) as reference_part_count,
        min(filled_bins) as filled_bins,
        sum(
            (smooth_share - smooth_reference_share)
            * ln(smooth_share / smooth_reference_share)
        ) as psi,
        sqrt(greatest(0, sum(
            smooth_share
            * ln(2 * smooth_share / (smooth_share + smooth_reference_share))
            + smooth_reference_share
            * ln(2 * smooth_reference_share / (smooth_share + smooth_reference_share))
        ) / 2 / ln(2::double precision))) as jensen_shannon,
        sqrt(sum(
            power(sqrt(smooth_share) - sqrt(smooth_reference_share), 2)
        ) / 2) as hellinger,
        sum(abs(share - reference_share)) / 2 as total_variation,
        max(abs(share - reference_share)) as l_infinity,
        sum(
            power(share - reference_share, 2)
            / (bin_count + reference_bin_count)
        ) * min(part_count) * min(reference_part_count) as chi_squared,
        sum(sqrt(common_share * (1 - common_share))) as deviation_sum,
        max(sqrt(common_share * (1 - common_share))) as largest_deviation

    from shares

    group by pair_id, part

),

-- Without drift, the index of population stability is about a chi-squared variable
-- times (1/n + 1/m), the Jensen-Shannon divergence in nats and the square of
-- Hellinger's distance an eighth of it. The difference of two shares is normal, with a
-- deviation of √(p·(1 - p)·(1/n + 1/m)).
share_noises as (

    select
        share_distances.*,
        chi_squareds.smooth_spread * chi_squareds.quantile as psi_noise,
        sqrt(
            chi_squareds.smooth_spread * chi_squareds.quantile
            / 8 / ln(2::double precision)
        ) as jensen_shannon_noise,
        sqrt(
            chi_squareds.smooth_spread * chi_squareds.quantile / 8
        ) as hellinger_noise,
        sqrt(chi_squareds.spread)
        * (deviation_sum / sqrt(2 * pi()) + 0.8891) as total_variation_noise,
        sqrt(
            chi_squareds.spread
            * 2 * ln(32 * chi_squareds.degrees_of_freedom)
        ) * largest_deviation as l_infinity_noise

    from share_distances

    cross join lateral (
        select
            greatest(share_distances.filled_bins - 1, 1)::integer as degrees_of_freedom,
            1 / share_distances.part_count + 1 / share_distances.reference_part_count
                as spread,
            1 / (share_distances.part_count + share_distances.filled_bins / 2.0)
            + 1 / (
                share_distances.reference_part_count + share_distances.filled_bins / 2.0
            ) as smooth_spread
    ) as spreads

    cross join lateral (
        select
            spreads.*,
            {{ chi_squared_99('spreads.degrees_of_freedom') | indent(12) }} as quantile
    ) as chi_squareds

),

paired_numbers as (

    select
        pair_id,
        bin,
        min(position) as position,
        sum(bin_count)::double precision as bin_count,
        sum(reference_bin_count)::double precision as reference_bin_count

    from (
        select
            pairs.pair_id,
            sample_bins.bin,
            sample_bins.position,
            sample_bins.bin_count,
            0 as reference_bin_count
        from pairs
        inner join sample_bins
            on pairs.sample_id = sample_bins.sample_id
        where sample_bins.kind = 'numerical' and sample_bins.bin >= 0

        union all

        select
            pairs.pair_id,
            sample_bins.bin,
            sample_bins.position,
            0 as bin_count,
            sample_bins.bin_count as reference_bin_count
        from pairs
        inner join sample_bins
            on pairs.reference_id = sample_bins.sample_id
        where sample_bins.kind = 'numerical' and sample_bins.bin >= 0
    ) as both_sides

    group by pair_id, bin

),

cumulated_numbers as (

    select
        pair_id,
        position,
        lead(position) over up_to_bin as next_position,
        sum(bin_count) over up_to_bin as count_up_to,
        sum(reference_bin_count) over up_to_bin as reference_count_up_to,
        sum(bin_count) over by_pair as number_count,
        sum(reference_bin_count) over by_pair as reference_number_count

    from paired_numbers

    window
        by_pair as (partition by pair_id),
        up_to_bin as (partition by pair_id order by bin)

),

-- Both distribution functions after each bin, and how far it is to the next.
number_steps as (

    select
        pair_id,
        number_count,
        reference_number_count,
        abs(
            count_up_to / number_count - reference_count_up_to / reference_number_count
        ) as distance,
        (count_up_to + reference_count_up_to) / (number_count + reference_number_count)
            as common_share,
        -- Products with what is closer to zero could underflow.
        case
            when next_position - position > 1e-100 then next_position - position
            else 0
        end as width

    from cumulated_numbers

    where number_count > 0 and reference_number_count > 0

),

number_distances as (

    select
        pair_id,
        1 / min(number_count) + 1 / min(reference_number_count) as spread,
        max(distance) as ks,
        sum(distance * width) as wasserstein,
        sum(sqrt(greatest(0, common_share * (1 - common_share))) * width)
            as deviation_sum

    from number_steps

    group by pair_id

),

-- Welch's test: the difference of the means in deviations of its own, and its degrees
-- of freedom by Welch and Satterthwaite.
mean_distances as (

    select
        pairs.pair_id,
        abs(pairs.mean - pairs.reference_mean) as difference,
        spreads.deviation,
        case
            when pairs.number_count > 1
                then least(
                    1e13,
                    abs(pairs.mean - pairs.reference_mean)
                    / sqrt(spreads.variance + spreads.reference_variance)
                )
        end as t,
        1 / (
            power(shares.share, 2) / nullif(pairs.number_count - 1, 0)
            + power(1 - shares.share, 2) / (pairs.reference_number_count - 1)
        ) as degrees_of_freedom

    from pairs

    cross join lateral (
        select
            sqrt(pairs.reference_m2 / nullif(pairs.reference_number_count - 1, 0))
                as deviation,
            pairs.m2 / pairs.number_count / nullif(pairs.number_count - 1, 0) as variance,
            pairs.reference_m2 / pairs.reference_number_count
            / nullif(pairs.reference_number_count - 1, 0) as reference_variance
    ) as spreads

    -- By logarithms, since the quotient of two variances can underflow.
    cross join lateral (
        select
            case
                when spreads.variance > 0 and spreads.reference_variance > 0
                    then 1 / (1 + exp(greatest(-200, least(
                        200, ln(spreads.reference_variance) - ln(spreads.variance)
                    ))))
                else 0
            end as share
    ) as shares

    where
        pairs.number_count > 0
        -- Less is what the rounding of equal numbers leaves.
        and spreads.deviation > 1e-10 * abs(pairs.reference_mean)

),

-- Every method once, as of the values and as of the presence of values.
measured as (

    select
        pairs.pair_id,
        methods.method,
        methods.value_score,
        methods.value_noise,
        methods.presence_score,
        methods.presence_noise,
        case methods.method
            when 'chi_squared' then {{ chi_squared_p_value(
                'independence.chi_squared', 'independence.degrees_of_freedom'
            ) | indent(12) }}
            when 'ks' then {{ kolmogorov_p_value(
                'number_distances.ks / sqrt(number_distances.spread)'
            ) | indent(12) }}
            when 'mean_shift' then {{ student_p_value(
                'mean_distances.t', 'mean_distances.degrees_of_freedom'
            ) | indent(12) }}
        end as p_value,
        case
            when methods.method in ('ks', 'wasserstein', 'mean_shift')
                then coalesce(pairs.number_count, 0)
            else pairs.row_count
        end::bigint as sample_count,
        case
            when methods.method in ('ks', 'wasserstein', 'mean_shift')
                then coalesce(pairs.reference_number_count, 0)
            else pairs.reference_row_count
        end::bigint as baseline_sample_count

    from pairs

    left join share_noises as of_values
        on pairs.pair_id = of_values.pair_id and of_values.part = 'values'

    left join share_noises as of_presence
        on pairs.pair_id = of_presence.pair_id and of_presence.part = 'presence'

    left join number_distances
        on pairs.pair_id = number_distances.pair_id

    left join mean_distances
        on pairs.pair_id = mean_distances.pair_id

    cross join lateral (
        select
            of_presence.chi_squared + coalesce(of_values.chi_squared, 0) as chi_squared,
            of_presence.filled_bins - 1 + coalesce(of_values.filled_bins - 1, 0)
                as degrees_of_freedom
    ) as independence

    cross join lateral (
        values
        {%- for method in [
            'psi', 'jensen_shannon', 'hellinger', 'total_variation', 'l_infinity'
        ] %}
        (
            '{{ method }}',
            of_values.{{ method }},
            of_values.{{ method }}_noise,
            of_presence.{{ method }},
            of_presence.{{ method }}_noise
        ),
        {%- endfor %}
        -- Cramér's V.
        (
            'chi_squared',
            sqrt(
                of_values.chi_squared
                / (of_values.part_count + of_values.reference_part_count)
            ),
            null::double precision,
            sqrt(
                of_presence.chi_squared
                / (of_presence.part_count + of_presence.reference_part_count)
            ),
            null::double precision
        ),
        -- Kolmogorov's distribution is beyond 1.6276 once in a hundred.
        (
            'ks',
            number_distances.ks,
            1.6276 * sqrt(number_distances.spread),
            null,
            null
        ),
        (
            'wasserstein',
            number_distances.wasserstein / mean_distances.deviation,
            sqrt(number_distances.spread) * (
                sqrt(2 / pi())
                * number_distances.deviation_sum / mean_distances.deviation
                + 1.7781
            ),
            null,
            null
        ),
        (
            'mean_shift',
            case
                when mean_distances.t is not null
                    then mean_distances.difference / mean_distances.deviation
            end,
            -- By the deviation of the other side: where few rows of a skewed column
            -- have hardly any of their own, Welch's test takes them too seriously.
            2.5758 * sqrt(number_distances.spread),
            null,
            null
        )
    ) as methods (method, value_score, value_noise, presence_score, presence_noise)

),

-- Of the two, the one that is above its noise floor; of two such, or none, the greater.
chosen as (

    select
        measured.*,
        coalesce(
            value_score is null
            or (coalesce(presence_score > presence_noise, false), presence_score)
            > (coalesce(value_score > value_noise, false), value_score),
            false
        ) as is_of_presence

    from measured

),

scores as (

    select
        pairs.monitor,
        pairs.model_version,
        pairs.segment,
        pairs.segment_value,
        pairs.grain,
        pairs.window_start,
        pairs.window_end,
        pairs.column_name,
        settings.method,
        settings.compared_to,
        pairs.role,
        settings.threshold,
        settings.critical_threshold,
        settings.alpha,
        settings.is_first_method,
        settings.is_headline,
        monitors.minimum_sample,
        chosen.p_value,
        chosen.sample_count,
        chosen.baseline_sample_count,
        case
            when chosen.is_of_presence then chosen.presence_score
            else chosen.value_score
        end as score,
        case
            when chosen.is_of_presence then chosen.presence_noise
            else chosen.value_noise
        end as noise_floor,
        case settings.compared_to
            when 'baseline' then 'the baseline'
            when 'previous' then 'the window before'
            else 'the window a week before'
        end as reference_name,
        case
            when pairs.grain in ('day', 'week')
                then {{ window_start('pairs.window_start', 'week') | indent(20) }}
            else {{ window_start('pairs.window_start', 'day') | indent(16) }}
        end as period_start

    from chosen

    inner join pairs
        on chosen.pair_id = pairs.pair_id

    inner join settings
        on
            pairs.monitor = settings.monitor
            and pairs.column_name = settings.column_name
            and pairs.compared_to = settings.compared_to
            and chosen.method = settings.method

    inner join monitors
        on pairs.monitor = monitors.monitor

),

computable as (

    select
        *,
        case
            when baseline_sample_count = 0 then reference_name || ' is empty'
            when baseline_sample_count < minimum_sample
                then reference_name || ' has ' || baseline_sample_count
                    || ' rows, fewer than the minimum of ' || minimum_sample
            when sample_count < minimum_sample
                then sample_count
                    || ' rows, fewer than the minimum of ' || minimum_sample
            when score is null and sample_count < 2 then 'one row has no spread'
            when score is null then reference_name || ' has no spread'
        end as not_computable_reason

    from scores

),

tested as (

    select
        *,
        case when not_computable_reason is null then p_value end as tested_p_value

    from computable

),

ranked as (

    select
        *,
        tested_p_value
        * count(tested_p_value) over tests
        / count(tested_p_value) over (tests order by tested_p_value) as scaled_p_value

    from tested

    window
        tests as (
            partition by
                monitor, model_version, grain, period_start, method, compared_to
        )

),

-- Benjamini and Hochberg (Journal of the Royal Statistical Society B, 1995): of what
-- alarms below alpha, at most the share alpha is chance.
adjusted as (

    select
        *,
        case
            when tested_p_value is not null then least(1, min(scaled_p_value) over (
                partition by
                    monitor, model_version, grain, period_start, method, compared_to
                order by tested_p_value desc
            ))
        end as p_value_adjusted

    from ranked

),

-- A score must matter, be more than noise, and more than chance finds among so many
-- tests: with enough rows, any difference is significant.
judged as (

    select
        *,
        score > threshold
        and coalesce(score > noise_floor, true)
        and coalesce(p_value_adjusted < alpha, true) as is_above

    from adjusted

),

columns_judged as (

    select
        *,
        case when not_computable_reason is null then is_above end as is_drifted,
        case
            when not_computable_reason is not null then 'not_computable'
            when is_above and score > critical_threshold then 'critical'
            when is_above then 'warning'
            else 'ok'
        end as status,
        coalesce(
            not_computable_reason,
            case
                when is_above
                    then method || ' ' || round(score::numeric, 3)
                        || ' is above ' || threshold
                when score > threshold and score <= noise_floor
                    then 'above the threshold, but within the noise of so few rows'
                when score > threshold
                    then 'above the threshold, but so many tests find as much by chance'
            end
        ) as reason

    from judged

),

-- The share of features that drifted, by the first method of each.
datasets as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        compared_to,
        count(*) filter (where is_drifted)::double precision
        / nullif(count(is_drifted), 0) as score,
        count(*) filter (where is_drifted) as drifted_count,
        count(is_drifted) as computable_count,
        max(sample_count) as sample_count,
        max(baseline_sample_count) as baseline_sample_count

    from columns_judged

    where is_first_method and role = 'feature'

    group by
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        compared_to

),

drift_scores as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        column_name,
        method,
        compared_to,
        role,
        score,
        p_value,
        p_value_adjusted,
        noise_floor,
        threshold,
        is_drifted,
        is_headline,
        sample_count,
        baseline_sample_count,
        status,
        reason

    from columns_judged

    union all

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        '(dataset)' as column_name,
        'drifted_share' as method,
        compared_to,
        'dataset' as role,
        score,
        null as p_value,
        null as p_value_adjusted,
        null as noise_floor,
        0.5 as threshold,
        score >= 0.5 as is_drifted,
        false as is_headline,
        sample_count,
        baseline_sample_count,
        case
            when score is null then 'not_computable'
            when score >= 0.5 then 'warning'
            else 'ok'
        end as status,
        case
            when score is null then 'no feature could be compared'
            when score >= 0.5
                then drifted_count || ' of ' || computable_count || ' features drifted'
        end as reason

    from datasets

)

select * from drift_scores
