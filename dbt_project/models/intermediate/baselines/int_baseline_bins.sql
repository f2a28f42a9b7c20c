{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['monitor', 'column_name', 'bin'], 'unique': true}]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

baselines as (

    select * from {{ ref('int_baselines') }}

),

categories as (

    select * from {{ ref('int_baseline_categories') }}

),

-- Materialized, or the planner may look it up again for every bin.
baseline_counts as materialized (

    select * from {{ ref('int_column_bins') }}
    where grain = 'baseline' and segment = 'all'
    union all
    select * from {{ ref('int_actual_bins') }}
    where grain = 'baseline' and segment = 'all'

),

monitored_columns as (
{% for monitor in monitors() %}
    {%- set outer_loop = loop %}
    {%- for column in monitor.columns + [monitor.actual] %}
    {%- if not (outer_loop.first and loop.first) %}
    union all
    {%- endif %}
    select
        '{{ monitor.name }}' as monitor,
        '{{ column.name }}' as column_name,
        '{{ column.role }}' as role,
        '{{ column.kind }}' as kind
    {%- endfor %}
{%- endfor %}

),

-- Every bin that a value could fall into, also those that the baseline left empty.
numerical_bins as (

    select
        monitored_columns.monitor,
        monitored_columns.column_name,
        bins.bin,
        case
            when bins.bin = 0 then 'below ' || baselines.edges[1]
            when bins.bin > cardinality(baselines.edges)
                then 'above ' || baselines.maximum
            else baselines.edges[bins.bin] || ' to '
                || coalesce(baselines.edges[bins.bin + 1], baselines.maximum)
        end as label,
        baselines.edges[bins.bin] as lower_bound,
        case
            when bins.bin = cardinality(baselines.edges) then baselines.maximum
            else baselines.edges[bins.bin + 1]
        end as upper_bound,
        -- No edges, no range: then nothing can be outside of it.
        coalesce(
            cardinality(baselines.edges) > 0
            and (bins.bin = 0 or bins.bin > cardinality(baselines.edges)),
            false
        ) as is_out_of_range

    from monitored_columns

    left join baselines
        on
            monitored_columns.monitor = baselines.monitor
            and monitored_columns.column_name = baselines.column_name

    cross join lateral generate_series(
        0, coalesce(cardinality(baselines.edges) + 1, 0)
    ) as bins (bin)

    where monitored_columns.kind = 'numerical'

),

categorical_bins as (

    select
        monitor,
        column_name,
        bin,
        category as label,
        null::double precision as lower_bound,
        null::double precision as upper_bound,
        false as is_out_of_range

    from categories

    where bin >= 0

),

special_bins as (

    select
        monitored_columns.monitor,
        monitored_columns.column_name,
        special.bin,
        special.label,
        null::double precision as lower_bound,
        null::double precision as upper_bound,
        false as is_out_of_range

    from monitored_columns

    inner join (
        values
        ({{ null_bin() }}, 'null', null),
        ({{ invalid_bin() }}, 'invalid', 'numerical'),
        ({{ invalid_bin() }}, 'invalid', 'embedding'),
        ({{ unseen_bin() }}, 'unseen', 'categorical'),
        ({{ other_bin() }}, 'other', 'categorical'),
        ({{ other_bin() }}, 'any text', 'text'),
        ({{ other_bin() }}, 'any vector', 'embedding')
    ) as special (bin, label, kind)
        on special.kind is null or special.kind = monitored_columns.kind

),

bins as (

    select * from numerical_bins
    union all
    select * from categorical_bins
    union all
    select * from special_bins

),

counted as (

    select
        bins.*,
        monitored_columns.role,
        monitored_columns.kind,
        coalesce(baseline_counts.bin_count, 0) as reference_count,
        sum(baseline_counts.bin_count) filter (where bins.bin >= 0) over (
            partition by bins.monitor, bins.column_name
        ) as reference_total,
        coalesce(sum(baseline_counts.bin_count) filter (where bins.bin >= 0) over (
            partition by bins.monitor, bins.column_name
            order by bins.bin
            rows between unbounded preceding and 1 preceding
        ), 0) as reference_below

    from bins

    inner join monitored_columns
        on
            bins.monitor = monitored_columns.monitor
            and bins.column_name = monitored_columns.column_name

    inner join monitors
        on bins.monitor = monitors.monitor

    left join baseline_counts
        on
            bins.monitor = baseline_counts.monitor
            and bins.column_name = baseline_counts.column_name
            and bins.bin = baseline_counts.bin
            and monitors.reference_version = baseline_counts.model_version

),

merged as (

    select
        monitor,
        column_name,
        role,
        kind,
        bin,
        -- The index of population stability and its kin compare ten bins: neighbours
        -- that hold a tenth of the baseline together. Categories and special bins stay
        -- apart.
        case
            when kind = 'numerical' and bin >= 0
                then least(
                    9,
                    coalesce(
                        floor(
                            10 * (reference_below + reference_count / 2.0)
                            / reference_total
                        ),
                        0
                    )
                )::integer
            else bin
        end as coarse_bin,
        label,
        lower_bound,
        upper_bound,
        is_out_of_range

    from counted

)

select * from merged
