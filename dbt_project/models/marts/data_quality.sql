{{
    config(
        meta={'family': 'outcomes'},
        pre_hook='{{ plan_as_written() }}',
        indexes=[
            {
                'columns': [
                    'monitor',
                    'grain',
                    'window_start',
                    'model_version',
                    'segment',
                    'segment_value',
                    'column_name',
                ],
                'unique': true,
            },
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

{#-
    What is too much, as the lower end of a rate's 95 % interval: warning, critical.
    Nulls and unknown features count by what they exceed the baseline's rate.
-#}
{%- set thresholds = {
    'null': [0.03, 0.2],
    'invalid': [0.01, 0.1],
    'unseen': [0.01, 0.1],
    'out_of_range': [0.05, 0.2],
    'implausible': [0.01, 0.1],
    'duplicate': [0.01, 0.1],
    'unknown': [0.01, none],
} -%}
{%- set quantiles = {
    'p05': 0.05, 'p25': 0.25, 'median': 0.5, 'p75': 0.75, 'p95': 0.95,
} -%}
{%- set window_keys = [
    'monitor', 'model_version', 'segment', 'segment_value', 'grain', 'window_start',
] -%}
{%- set column_keys = window_keys + ['column_name'] -%}
{#- What a column has of its baseline beside its own. -#}
{%- set baseline_figures = [
    'null_rate', 'invalid_rate', 'mean', 'stddev', 'minimum', 'maximum',
] + quantiles.keys() | list + ['distinct_count'] %}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

baselines as (

    select * from {{ ref('int_baselines') }}

),

monitored_columns as (

    select distinct
        monitor,
        column_name,
        kind
    from {{ ref('int_baseline_bins') }}

),

estimates as (

    select * from {{ ref('int_distinct_estimates') }}

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

window_sketches as (

    select * from {{ ref('int_column_distinct') }}
    union all
    select * from {{ ref('int_actual_distinct') }}

),

row_stats as (

    select * from {{ ref('int_row_stats') }}

),

schema_counts as (

    select * from {{ ref('int_schema_counts') }}

),

rolled_up_counts as (

    {{ windows_and_baseline(
        'window_counts', ['column_name', 'role', 'bin', 'bin_count']
    ) }}

),

bin_counts as (

    select
        {{ column_keys | join(',\n        ') }},
        window_end,
        role,
        bin,
        sum(bin_count) as bin_count

    from rolled_up_counts

    group by
        {{ column_keys | join(',\n        ') }},
        window_end,
        role,
        bin

),

counts as (

    select
        counted.{{ column_keys | join(',\n        counted.') }},
        counted.window_end,
        counted.role,
        monitored_columns.kind,
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
            where
                counted.bin = 0 and cardinality(baselines.edges) > 0
                or counted.bin > cardinality(baselines.edges)
        ), 0) as out_of_range_count,
        count(*) filter (where counted.bin >= 0) as filled_bin_count,
        count(*) filter (
            where counted.bin in ({{ other_bin() }}, {{ unseen_bin() }})
        ) as shared_bin_count,
        bool_or(cardinality(baselines.edges) > 0) as has_range

    from bin_counts as counted

    inner join monitors
        on counted.monitor = monitors.monitor

    inner join monitored_columns
        on
            counted.monitor = monitored_columns.monitor
            and counted.column_name = monitored_columns.column_name

    left join baselines
        on
            counted.monitor = baselines.monitor
            and counted.column_name = baselines.column_name

    group by
        counted.{{ column_keys | join(',\n        counted.') }},
        counted.window_end,
        counted.role,
        monitored_columns.kind

),

rolled_up_moments as (

    {{ windows_and_baseline('window_moments', [
        'column_name',
        'value_count',
        'mean',
        'm2',
        'minimum',
        'maximum',
        'implausible_count',
    ]) }}

),

-- Means and sums of squared deviations of parts are merged by Chan, Golub and LeVeque
-- (1979).
partial_moments as (

    select
        *,
        {{ merged_mean('value_count', 'mean', column_keys) | indent(8) }} as merged_mean

    from rolled_up_moments

),

moments as (

    select
        {{ column_keys | join(',\n        ') }},
        sum(value_count) as value_count,
        min(merged_mean) as mean,
        {{ merged_m2('value_count', 'mean', 'm2', 'merged_mean') | indent(8) }} as m2,
        min(minimum) as minimum,
        max(maximum) as maximum,
        sum(implausible_count) as implausible_count

    from partial_moments

    group by
        {{ column_keys | join(',\n        ') }}

),

{{ binned_quantiles('bin_counts', 'moments', column_keys, quantiles) }}

rolled_up_sketches as (

    {{ windows_and_baseline(
        'window_sketches', ['column_name', 'low_bits', 'high_bits']
    ) }}

),

sketches as (

    select
        {{ column_keys | join(',\n        ') }},
        {{ merged_bit_count('low_bits', 'high_bits') | indent(8) }} as bit_count

    from rolled_up_sketches

    group by
        {{ column_keys | join(',\n        ') }}

),

rolled_up_features as (

    {{ windows_and_baseline(
        'schema_counts', ['kind', 'column_name', 'row_count']
    ) }}

),

feature_counts as (

    select
        {{ column_keys | join(',\n        ') }},
        kind,
        window_end,
        sum(row_count) as row_count

    from rolled_up_features

    group by
        {{ column_keys | join(',\n        ') }},
        kind,
        window_end

),

-- Rows of which it is known what features they had.
checked_rows as (

    select * from feature_counts where kind = 'checked'

),

missing_features as (

    select * from feature_counts where kind = 'missing'

),

unknown_features as (

    select * from feature_counts where kind = 'unknown'

),

-- Of the windows and of the baselines alike.
figures as (

    select
        counts.*,
        counts.null_count::double precision / counts.row_count as null_rate,
        counts.invalid_count::double precision / counts.row_count as invalid_rate,
        counts.unseen_count::double precision / counts.row_count as unseen_rate,
        counts.out_of_range_count::double precision / counts.row_count
            as out_of_range_rate,
        case
            when counts.has_range then coalesce(moments.implausible_count, 0)
        end as implausible_count,
        case
            when counts.has_range
                then coalesce(moments.implausible_count, 0)::double precision
                    / counts.row_count
        end as implausible_rate,
        case
            when checked_rows.row_count > 0 and counts.role = 'feature'
                then coalesce(missing_features.row_count, 0)
        end as missing_count,
        case
            when checked_rows.row_count > 0 and counts.role = 'feature'
                then coalesce(missing_features.row_count, 0)::double precision
                    / checked_rows.row_count
        end as missing_rate,
        case when counts.role = 'feature' then checked_rows.row_count end
            as checked_count,
        moments.mean,
        sqrt(moments.m2 / nullif(moments.value_count - 1, 0)) as stddev,
        moments.minimum,
        moments.maximum,
        quantiles.{{ quantiles.keys() | join(',\n        quantiles.') }},
        sketches.bit_count,
        estimates.distinct_count as estimated_count,
        counts.row_count - counts.null_count - counts.invalid_count as value_count

    from counts

    left join moments
        on
            {{ same_keys('counts', 'moments', column_keys) | indent(12) }}

    left join quantiles
        on
            {{ same_keys('counts', 'quantiles', column_keys) | indent(12) }}

    left join sketches
        on
            {{ same_keys('counts', 'sketches', column_keys) | indent(12) }}

    left join estimates
        on sketches.bit_count = estimates.bit_count

    left join checked_rows
        on
            {{ same_keys('counts', 'checked_rows', window_keys) | indent(12) }}

    left join missing_features
        on
            {{ same_keys('counts', 'missing_features', column_keys) | indent(12) }}

),

-- Known exactly where every category has a bin of its own, and where there is no value
-- or one. Else the sketch tells, within what is possible.
distinct_figures as (

    select
        *,
        case
            when kind = 'categorical' and shared_bin_count = 0 then filled_bin_count
            when kind = 'embedding' then null
            when value_count = 0 then 0
            when minimum = maximum then 1
            else least(value_count, greatest(bit_count, round(estimated_count)))
        end as distinct_count,
        case
            when kind != 'embedding'
                then coalesce(
                    (kind = 'categorical' and shared_bin_count = 0)
                    or value_count = 0
                    or minimum = maximum,
                    false
                )
        end as distinct_count_is_exact

    from figures

),

baseline_columns as (

    select * from distinct_figures where grain = 'baseline'

),

baseline_versions as (

    select distinct
        monitor,
        model_version
    from baseline_columns

),

-- Beside the same segment of the version's own baseline, if it has one, or of that of
-- the reference version. A segment without rows there is beside nothing; its nulls are
-- expected to be those of the whole baseline, or none.
compared as (

    select
        windows.*,
        coalesce(
            baseline_versions.model_version, monitors.reference_version
        ) as compared_version,
        {%- for figure in baseline_figures %}
        same_segment.{{ figure }} as baseline_{{ figure }},
        {%- endfor %}
        coalesce(same_segment.null_rate, whole.null_rate, 0) as expected_null_rate,
        monitors.minimum_sample,
        -- Labels that are not there yet can be neither right nor wrong.
        case
            when windows.role = 'actual' then windows.row_count - windows.null_count
            else windows.row_count
        end as judged_count

    from distinct_figures as windows

    inner join monitors
        on windows.monitor = monitors.monitor

    left join baseline_versions
        on
            windows.monitor = baseline_versions.monitor
            and windows.model_version = baseline_versions.model_version

    left join baseline_columns as same_segment
        on
            windows.monitor = same_segment.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = same_segment.model_version
            and windows.segment = same_segment.segment
            and windows.segment_value = same_segment.segment_value
            and windows.column_name = same_segment.column_name

    left join baseline_columns as whole
        on
            windows.monitor = whole.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = whole.model_version
            and whole.segment = 'all'
            and windows.column_name = whole.column_name

    where windows.grain != 'baseline'

),

column_rows as (

    select
        {{ column_keys | join(',\n        ') }},
        window_end,
        role,
        row_count,
        null_count,
        missing_count,
        invalid_count,
        unseen_count,
        out_of_range_count,
        implausible_count,
        null::bigint as duplicate_count,
        value_count,
        checked_count,
        null_rate,
        missing_rate,
        invalid_rate,
        unseen_rate,
        out_of_range_rate,
        implausible_rate,
        null::double precision as duplicate_rate,
        mean,
        stddev,
        minimum,
        maximum,
        {{ quantiles.keys() | join(',\n        ') }},
        distinct_count,
        distinct_count_is_exact,
        baseline_{{ baseline_figures | join(',\n        baseline_') }},
        null::double precision as unknown_rate,
        null::double precision as baseline_unknown_rate,
        minimum_sample,
        judged_count,
        -- A label that is not there yet is no null: labels are judged by their coverage
        -- elsewhere.
        case
            when role != 'actual'
                then {{ wilson_lower('null_count', 'row_count') | indent(20) }}
                    - expected_null_rate
        end as null_excess,
        {%- for problem in ['invalid', 'unseen', 'out_of_range', 'implausible'] %}
        {{ wilson_lower(
            problem ~ '_count', 'judged_count'
        ) | indent(8) }} as {{ problem }}_excess,
        {%- endfor %}
        null::double precision as duplicate_excess,
        null::double precision as unknown_excess

    from compared

),

rolled_up_rows as (

    {{ rolled_up('row_stats', 'outcomes', [
        'segment',
        'segment_value',
        'row_count',
        'id_count',
        'distinct_id_count',
        'distinct_row_count',
    ]) }}

),

row_counts as (

    select
        {{ window_keys | join(',\n        ') }},
        window_end,
        sum(row_count) as row_count,
        sum(row_count - id_count) as null_id_count,
        sum(id_count - distinct_id_count) as duplicate_id_count,
        sum(row_count - distinct_row_count) as duplicate_row_count

    from rolled_up_rows

    group by
        {{ window_keys | join(',\n        ') }},
        window_end

),

-- The identifier of a prediction is null or repeated by mistake, and rows of equal
-- features are not: how many there are depends on the features, and on how many rows.
repeated_rows as (

    select
        row_counts.{{ window_keys | join(',\n        row_counts.') }},
        repeated.column_name,
        row_counts.window_end,
        repeated.role,
        row_counts.row_count,
        repeated.null_count,
        null::bigint as missing_count,
        null::bigint as invalid_count,
        null::bigint as unseen_count,
        null::bigint as out_of_range_count,
        null::bigint as implausible_count,
        repeated.duplicate_count,
        null::bigint as value_count,
        null::bigint as checked_count,
        repeated.null_count::double precision / row_counts.row_count as null_rate,
        null::double precision as missing_rate,
        null::double precision as invalid_rate,
        null::double precision as unseen_rate,
        null::double precision as out_of_range_rate,
        null::double precision as implausible_rate,
        repeated.duplicate_count::double precision / row_counts.row_count
            as duplicate_rate,
        null::double precision as mean,
        null::double precision as stddev,
        null::double precision as minimum,
        null::double precision as maximum,
        {%- for name in quantiles %}
        null::double precision as {{ name }},
        {%- endfor %}
        null::bigint as distinct_count,
        null::boolean as distinct_count_is_exact,
        {%- for figure in baseline_figures %}
        null::double precision as baseline_{{ figure }},
        {%- endfor %}
        null::double precision as unknown_rate,
        null::double precision as baseline_unknown_rate,
        monitors.minimum_sample,
        row_counts.row_count as judged_count,
        case
            when repeated.role = 'key'
                then {{ wilson_lower(
                    'repeated.null_count', 'row_counts.row_count'
                ) | indent(20) }}
        end as null_excess,
        null::double precision as invalid_excess,
        null::double precision as unseen_excess,
        null::double precision as out_of_range_excess,
        null::double precision as implausible_excess,
        case
            when repeated.role = 'key'
                then {{ wilson_lower(
                    'repeated.duplicate_count', 'row_counts.row_count'
                ) | indent(20) }}
        end as duplicate_excess,
        null::double precision as unknown_excess

    from row_counts

    inner join monitors
        on row_counts.monitor = monitors.monitor

    cross join lateral (
        values
        (
            'prediction_id',
            'key',
            row_counts.null_id_count,
            row_counts.duplicate_id_count
        ),
        (
            '(all features)',
            'row',
            null::numeric,
            row_counts.duplicate_row_count
        )
    ) as repeated (column_name, role, null_count, duplicate_count)

),

-- The share of rows that had a feature which the monitor does not name, in the window
-- and in the same segment of the baseline, or else in the whole baseline.
unknown_rates as (

    select
        windows.*,
        checked_rows.row_count as checked_count,
        monitors.minimum_sample,
        case
            when same_segment.row_count is null
                then coalesce(whole_unknown.row_count, 0)::double precision
                    / whole.row_count
            else coalesce(same_unknown.row_count, 0)::double precision
                / same_segment.row_count
        end as baseline_unknown_rate

    from unknown_features as windows

    inner join monitors
        on windows.monitor = monitors.monitor

    inner join checked_rows
        on
            {{ same_keys('windows', 'checked_rows', window_keys) | indent(12) }}

    left join baseline_versions
        on
            windows.monitor = baseline_versions.monitor
            and windows.model_version = baseline_versions.model_version

    left join checked_rows as same_segment
        on
            windows.monitor = same_segment.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = same_segment.model_version
            and windows.segment = same_segment.segment
            and windows.segment_value = same_segment.segment_value
            and same_segment.grain = 'baseline'

    left join unknown_features as same_unknown
        on
            {{ same_keys('same_segment', 'same_unknown', window_keys) | indent(12) }}
            and windows.column_name = same_unknown.column_name

    left join checked_rows as whole
        on
            windows.monitor = whole.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = whole.model_version
            and whole.segment = 'all'
            and whole.grain = 'baseline'

    left join unknown_features as whole_unknown
        on
            {{ same_keys('whole', 'whole_unknown', window_keys) | indent(12) }}
            and windows.column_name = whole_unknown.column_name

    where windows.grain != 'baseline'

),

unknown_rows as (

    select
        {{ column_keys | join(',\n        ') }},
        window_end,
        'unknown' as role,
        row_count,
        {%- for count in [
            'null',
            'missing',
            'invalid',
            'unseen',
            'out_of_range',
            'implausible',
            'duplicate',
        ] %}
        null::bigint as {{ count }}_count,
        {%- endfor %}
        null::bigint as value_count,
        checked_count,
        {%- for rate in [
            'null',
            'missing',
            'invalid',
            'unseen',
            'out_of_range',
            'implausible',
            'duplicate',
        ] %}
        null::double precision as {{ rate }}_rate,
        {%- endfor %}
        null::double precision as mean,
        null::double precision as stddev,
        null::double precision as minimum,
        null::double precision as maximum,
        {%- for name in quantiles %}
        null::double precision as {{ name }},
        {%- endfor %}
        null::bigint as distinct_count,
        null::boolean as distinct_count_is_exact,
        {%- for figure in baseline_figures %}
        null::double precision as baseline_{{ figure }},
        {%- endfor %}
        row_count::double precision / checked_count as unknown_rate,
        baseline_unknown_rate,
        minimum_sample,
        checked_count as judged_count,
        null::double precision as null_excess,
        null::double precision as invalid_excess,
        null::double precision as unseen_excess,
        null::double precision as out_of_range_excess,
        null::double precision as implausible_excess,
        null::double precision as duplicate_excess,
        {{ wilson_lower('row_count', 'checked_count') | indent(8) }}
        - baseline_unknown_rate as unknown_excess

    from unknown_rates

),

all_rows as (

    select * from column_rows
    union all
    select * from repeated_rows
    union all
    select * from unknown_rows

),

judged as (

    select
        {{ window_keys | join(',\n        ') }},
        window_end,
        column_name,
        role,
        {%- for count in [
            'row',
            'null',
            'missing',
            'invalid',
            'unseen',
            'out_of_range',
            'implausible',
            'duplicate',
            'value',
            'checked',
        ] %}
        {{ count }}_count::bigint as {{ count }}_count,
        {%- endfor %}
        null_rate,
        missing_rate,
        unknown_rate,
        invalid_rate,
        unseen_rate,
        out_of_range_rate,
        implausible_rate,
        duplicate_rate,
        mean,
        stddev,
        minimum,
        maximum,
        {{ quantiles.keys() | join(',\n        ') }},
        distinct_count::bigint as distinct_count,
        distinct_count_is_exact,
        {%- for figure in baseline_figures if figure != 'distinct_count' %}
        baseline_{{ figure }},
        {%- endfor %}
        baseline_distinct_count::bigint as baseline_distinct_count,
        baseline_unknown_rate,
        case
            when judged_count < minimum_sample then 'not_computable'
            when role = 'unknown' and unknown_excess is null then 'not_computable'
            when
                {%- for problem, limits in thresholds.items() if limits[1] %}
                {{ 'or ' if not loop.first }}{{ problem }}_excess > {{ limits[1] }}
                {%- endfor %}
                then 'critical'
            when
                {%- for problem, limits in thresholds.items() %}
                {{ 'or ' if not loop.first }}{{ problem }}_excess > {{ limits[0] }}
                {%- endfor %}
                then 'warning'
            else 'ok'
        end as status,
        case
            when judged_count < minimum_sample
                then judged_count
                    || case role when 'actual' then ' labelled' else '' end
                    || ' rows, fewer than the minimum of ' || minimum_sample
            when role = 'unknown' and unknown_excess is null
                then 'the baseline does not tell which features its rows had'
            -- Most of the nulls are where the log has no such feature at all.
            when
                null_excess > {{ thresholds.null[0] }}
                and missing_count * 2 > null_count
                then 'is missing from '
                    || {{ percentage('missing_rate') }} || ' of rows'
            when null_excess > {{ thresholds.null[0] }}
                then {{ percentage('null_rate') }} || ' are null'
            when invalid_excess > {{ thresholds.invalid[0] }}
                then {{ percentage('invalid_rate') }} || ' are invalid'
            when unseen_excess > {{ thresholds.unseen[0] }}
                then {{ percentage('unseen_rate') }}
                    || ' are of categories that the baseline lacks'
            when implausible_excess > {{ thresholds.implausible[0] }}
                then {{ percentage('implausible_rate') }}
                    || ' are implausible beside the baseline'
            when out_of_range_excess > {{ thresholds.out_of_range[0] }}
                then {{ percentage('out_of_range_rate') }}
                    || ' are outside the range of the baseline'
            when duplicate_excess > {{ thresholds.duplicate[0] }}
                then {{ percentage('duplicate_rate') }} || ' repeat another row''s'
            when unknown_excess > {{ thresholds.unknown[0] }}
                then 'no feature of the monitor, but in '
                    || {{ percentage('unknown_rate') }} || ' of rows'
        end as reason

    from all_rows

)

select * from judged
