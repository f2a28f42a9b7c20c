{{
    config(
        incremental_strategy='replace_rows',
        pre_hook='{{ plan_as_written() }}',
        indexes=[{'columns': ['monitor', 'model_version', 'bucket'], 'unique': true}]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

-- Buckets of the baseline that hold any label.
baseline_buckets as (

    select
        monitor,
        model_version,
        bucket,
        labelled_count,
        positive_count

    from {{ ref('int_score_buckets') }}

    where grain = 'baseline' and segment = 'all' and labelled_count > 0

),

cumulated as (

    select
        *,
        sum(labelled_count) over buckets_up_to as labelled_up_to,
        sum(positive_count) over buckets_up_to as positives_up_to,
        sum(labelled_count) over (
            partition by monitor, model_version
        ) as all_labelled

    from baseline_buckets

    window buckets_up_to as (partition by monitor, model_version order by bucket)

),

buckets as (

    select cumulated.*

    from cumulated

    inner join monitors
        on
            cumulated.monitor = monitors.monitor
            and cumulated.all_labelled >= monitors.minimum_sample

),

-- Isotonic regression, as the max-min formula has it (Robertson, Wright & Dykstra,
-- 1988): of all runs of neighbouring buckets that start here or below, take the lowest
-- rate that is seen up to here or above, and of those the highest.
runs as (

    select
        first_buckets.monitor,
        first_buckets.model_version,
        first_buckets.bucket as first_bucket,
        last_buckets.bucket as last_bucket,
        (
            last_buckets.positives_up_to
            - first_buckets.positives_up_to
            + first_buckets.positive_count
        )::double precision / (
            last_buckets.labelled_up_to
            - first_buckets.labelled_up_to
            + first_buckets.labelled_count
        )::double precision as observed_rate

    from buckets as first_buckets

    inner join buckets as last_buckets
        on
            first_buckets.monitor = last_buckets.monitor
            and first_buckets.model_version = last_buckets.model_version
            and first_buckets.bucket <= last_buckets.bucket

),

lowest_rates as (

    select
        monitor,
        model_version,
        last_bucket as bucket,
        min(observed_rate) over (
            partition by monitor, model_version, first_bucket
            order by last_bucket desc
        ) as lowest_rate

    from runs

),

fitted as (

    select
        monitor,
        model_version,
        bucket,
        max(lowest_rate) as probability

    from lowest_rates

    group by monitor, model_version, bucket

),

-- Buckets of one probability were fitted together, and err together.
blocks as (

    select
        fitted.monitor,
        fitted.model_version,
        fitted.bucket,
        fitted.probability,
        min(fitted.bucket) over one_probability as block,
        sum(buckets.labelled_count) over one_probability as block_labelled_count,
        sum(buckets.positive_count) over one_probability as block_positive_count

    from fitted

    inner join buckets
        on
            fitted.monitor = buckets.monitor
            and fitted.model_version = buckets.model_version
            and fitted.bucket = buckets.bucket

    window one_probability as (
        partition by fitted.monitor, fitted.model_version, fitted.probability
    )

),

calibrated_versions as (

    select distinct
        monitor,
        model_version
    from blocks

),

-- Buckets that the baseline left empty lie on the line between their neighbours.
neighbours as (

    select
        calibrated_versions.monitor,
        calibrated_versions.model_version,
        steps.bucket,
        max(blocks.bucket) over (
            partition by calibrated_versions.monitor, calibrated_versions.model_version
            order by steps.bucket
        ) as bucket_below,
        min(blocks.bucket) over (
            partition by calibrated_versions.monitor, calibrated_versions.model_version
            order by steps.bucket desc
        ) as bucket_above

    from calibrated_versions

    cross join generate_series(0, 199) as steps (bucket)

    left join blocks
        on
            calibrated_versions.monitor = blocks.monitor
            and calibrated_versions.model_version = blocks.model_version
            and steps.bucket = blocks.bucket

),

calibration as (

    select
        neighbours.monitor,
        neighbours.model_version,
        neighbours.bucket,
        case
            when above.bucket > below.bucket
                then below.probability
                    + (above.probability - below.probability)
                    / (above.bucket - below.bucket)
                    * (neighbours.bucket - below.bucket)
            else below.probability
        end as probability,
        below.block,
        below.block_labelled_count::bigint as block_labelled_count,
        -- Half a positive and half a negative more, or a block of one outcome would
        -- have no variance.
        ((below.block_positive_count + 0.5) / (below.block_labelled_count + 1)
        * (below.block_labelled_count - below.block_positive_count + 0.5)
        / (below.block_labelled_count + 1)
        / below.block_labelled_count)::double precision as block_variance

    from neighbours

    inner join blocks as below
        on
            neighbours.monitor = below.monitor
            and neighbours.model_version = below.model_version
            and coalesce(neighbours.bucket_below, neighbours.bucket_above)
            = below.bucket

    inner join blocks as above
        on
            neighbours.monitor = above.monitor
            and neighbours.model_version = above.model_version
            and coalesce(neighbours.bucket_above, neighbours.bucket_below)
            = above.bucket

)

select * from calibration
