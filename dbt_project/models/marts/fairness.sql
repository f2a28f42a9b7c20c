{%- set window_keys = [
    'monitor',
    'model_version',
    'segment',
    'grain',
    'window_start',
    'window_end',
] -%}
{%- set group_keys = window_keys + ['segment_value'] -%}
{%- set rates = {
    'selection_rate': ['selected_count', 'prediction_count'],
    'true_positive_rate': ['hit_count', 'positive_count'],
    'false_positive_rate': ['false_alarm_count', 'negative_count'],
    'positive_predictive_value': ['hit_count', 'labelled_selected_count'],
} -%}
{%- set figures = (rates | list) + ['mae'] -%}
{%- set compared = [] -%}
{%- for monitor in monitors() -%}
    {%- for segment in monitor.fairness -%}
        {%- do compared.append({'monitor': monitor, 'segment': segment.name}) -%}
    {%- endfor -%}
{%- endfor -%}
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
                'compared_to',
                'class',
            ],
            'unique': true,
        }]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

compared_segments as (

    select
        null::text as monitor,
        null::text as segment,
        null::text as positive_class
    where false
    {%- for item in compared %}
    union all
    select
        '{{ item.monitor.name }}',
        '{{ item.segment }}',
        {{ key_text(text_literal(item.monitor.positive_class)) | indent(8)
            if item.monitor.positive_class else 'null' }}
    {%- endfor %}

),

-- Classification: who is selected, and who rightly so, by class and group.
outcome_parts as (

    {{ rolled_up(ref('int_confusion_counts'), 'outcomes', [
        'segment',
        'segment_value',
        'actual',
        'predicted',
        'outcome_count',
    ]) }}

),

outcomes as (

    select
        {%- for key in group_keys %}
        outcome_parts.{{ key }},
        {%- endfor %}
        compared_segments.positive_class,
        {{ key_text('outcome_parts.actual') | indent(8) }} as actual,
        {{ key_text('outcome_parts.predicted') | indent(8) }} as predicted,
        outcome_parts.outcome_count

    from outcome_parts

    inner join compared_segments
        on
            outcome_parts.monitor = compared_segments.monitor
            and outcome_parts.segment = compared_segments.segment

),

all_groups as (

    select
        {{ group_keys | join(',\n        ') }},
        sum(outcome_count) as prediction_count,
        coalesce(sum(outcome_count) filter (where actual is not null), 0)
            as labelled_count

    from outcomes

    group by
        {{ group_keys | join(',\n        ') }}

),

classes as (

    select distinct
        {%- for key in window_keys %}
        outcomes.{{ key }},
        {%- endfor %}
        labels.class

    from outcomes

    cross join lateral (
        values
        (coalesce(outcomes.positive_class, outcomes.predicted)),
        (coalesce(outcomes.positive_class, outcomes.actual))
    ) as labels (class)

    where labels.class is not null

),

class_counts as (

    select
        {%- for key in group_keys %}
        outcomes.{{ key }},
        {%- endfor %}
        labels.class,
        sum(outcomes.outcome_count) filter (
            where outcomes.predicted = labels.class
        ) as selected_count,
        sum(outcomes.outcome_count) filter (
            where outcomes.predicted = labels.class and outcomes.actual is not null
        ) as labelled_selected_count,
        sum(outcomes.outcome_count) filter (
            where outcomes.actual = labels.class
        ) as positive_count,
        sum(outcomes.outcome_count) filter (
            where outcomes.predicted = labels.class and outcomes.actual = labels.class
        ) as hit_count

    from outcomes

    cross join lateral (
        select outcomes.predicted as class
        union
        select outcomes.actual as class
    ) as labels

    group by
        {%- for key in group_keys %}
        outcomes.{{ key }},
        {%- endfor %}
        labels.class

),

{%- set counts = [
    'prediction_count',
    'labelled_count',
    'selected_count',
    'labelled_selected_count',
    'positive_count',
    'hit_count',
    'negative_count',
    'false_alarm_count',
] %}

-- Every class of the window in every group, also where it never occurred.
group_classes as (

    select
        {%- for key in group_keys %}
        all_groups.{{ key }},
        {%- endfor %}
        classes.class,
        all_groups.prediction_count,
        all_groups.labelled_count,
        {%- for count in counts[2:6] %}
        coalesce(class_counts.{{ count }}, 0) as {{ count }},
        {%- endfor %}
        all_groups.labelled_count - coalesce(class_counts.positive_count, 0)
            as negative_count,
        coalesce(class_counts.labelled_selected_count, 0)
        - coalesce(class_counts.hit_count, 0) as false_alarm_count

    from all_groups

    inner join classes
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}all_groups.{{ key }} = classes.{{ key }}
            {%- endfor %}

    left join class_counts
        on
            {%- for key in group_keys %}
            {{ 'and ' if not loop.first }}all_groups.{{ key }} = class_counts.{{ key }}
            {%- endfor %}
            and classes.class = class_counts.class

),

with_rest as (

    select
        *,
        {%- for count in counts %}
        sum({{ count }}) over one_class - {{ count }}
            as rest_{{ count }}{{ ',' if not loop.last }}
        {%- endfor %}

    from group_classes

    window one_class as (
        partition by
            {{ window_keys | join(',\n            ') }},
            class
    )

),

-- Of fewer rows than the minimum sample no rate is shown.
shown_counts as (

    select
        {%- for key in group_keys %}
        with_rest.{{ key }},
        {%- endfor %}
        with_rest.class,
        with_rest.prediction_count,
        with_rest.labelled_count,
        with_rest.positive_count,
        with_rest.labelled_selected_count,
        {%- for rate, parts in rates.items() %}
        {%- for prefix in ['', 'rest_'] %}
        with_rest.{{ prefix }}{{ parts[0] }} as {{ prefix }}{{ rate }}_hits,
        case
            when with_rest.{{ prefix }}{{ parts[1] }} >= monitors.minimum_sample
                then with_rest.{{ prefix }}{{ parts[1] }}
        end as {{ prefix }}{{ rate }}_base{{ ',' if not loop.last }}
        {%- endfor %}{{ ',' if not loop.last }}
        {%- endfor %}

    from with_rest

    inner join monitors
        on with_rest.monitor = monitors.monitor

),

-- Regression: the mean absolute error of each group, and that of the rest.
error_parts as (

    {{ rolled_up(ref('int_outcome_stats'), 'outcomes', [
        'segment',
        'segment_value',
        'outcome_count',
        'absolute_error_mean',
        'absolute_error_m2',
    ]) }}

),

centred_parts as (

    select
        error_parts.*,
        {{ merged_mean(
            'error_parts.outcome_count', 'error_parts.absolute_error_mean', [
                'error_parts.monitor',
                'error_parts.model_version',
                'error_parts.segment',
                'error_parts.segment_value',
                'error_parts.grain',
                'error_parts.window_start',
            ]
        ) | indent(8) }} as mae

    from error_parts

    inner join compared_segments
        on
            error_parts.monitor = compared_segments.monitor
            and error_parts.segment = compared_segments.segment

),

error_groups as (

    select
        {{ group_keys | join(',\n        ') }},
        sum(outcome_count)::double precision as outcome_count,
        min(mae) as mae,
        {{ merged_m2(
            'outcome_count', 'absolute_error_mean', 'absolute_error_m2', 'mae'
        ) | indent(8) }} as m2

    from centred_parts

    group by
        {{ group_keys | join(',\n        ') }}

),

shifted_errors as (

    select
        *,
        mae - sum(outcome_count * mae) over one_window
        / sum(outcome_count) over one_window as shift

    from error_groups

    window one_window as (
        partition by
            {{ window_keys | join(',\n            ') }}
    )

),

-- Sums of the groups before and after, because a difference of sums would lose what is
-- small beside a large group.
error_sums as (

    select
        *,
        {%- for sum, expression in {
            'rest_count': 'outcome_count',
            'rest_errors': 'outcome_count * mae',
            'rest_shifts': 'outcome_count * shift',
            'rest_m2': 'm2 + outcome_count * (' ~ squared('shift') ~ ')',
        }.items() %}
        coalesce(sum({{ expression | indent(8) }}) over groups_before, 0)
        + coalesce(sum({{ expression | indent(8) }}) over groups_after, 0)
            as {{ sum }}{{ ',' if not loop.last }}
        {%- endfor %}

    from shifted_errors

    window
        groups_before as (
            partition by
                {{ window_keys | join(',\n                ') }}
            order by segment_value
            rows between unbounded preceding and 1 preceding
        ),
        groups_after as (
            partition by
                {{ window_keys | join(',\n                ') }}
            order by segment_value desc
            rows between unbounded preceding and 1 preceding
        )

),

error_rests as (

    select
        {%- for key in group_keys %}
        error_sums.{{ key }},
        {%- endfor %}
        error_sums.outcome_count,
        error_sums.rest_count,
        error_sums.outcome_count >= monitors.minimum_sample as is_shown,
        error_sums.rest_count >= monitors.minimum_sample as is_rest_shown,
        error_sums.mae,
        error_sums.m2,
        error_sums.rest_errors / nullif(error_sums.rest_count, 0) as rest_mae,
        greatest(
            error_sums.rest_m2 - error_sums.rest_count * (
                {{ squared(
                    'error_sums.rest_shifts / nullif(error_sums.rest_count, 0)'
                ) | indent(16) }}
            ),
            0
        ) as rest_m2

    from error_sums

    inner join monitors
        on error_sums.monitor = monitors.monitor

),

measured as (

    select
        {{ group_keys | join(',\n        ') }},
        class,
        prediction_count::bigint as prediction_count,
        labelled_count::bigint as labelled_count,
        positive_count::bigint as positive_count,
        labelled_selected_count::bigint as labelled_selected_count,
        {%- for rate in rates %}
        {%- for prefix in ['', 'rest_'] %}
        {%- set name = prefix ~ rate %}
        {{ name }}_hits::double precision / nullif({{ name }}_base, 0)
            as {{ name }},
        {{ wilson_lower(name ~ '_hits', name ~ '_base') | indent(8) }}
            as {{ name }}_lower,
        {{ wilson_upper(name ~ '_hits', name ~ '_base') | indent(8) }}
            as {{ name }}_upper,
        {%- endfor %}
        {%- endfor %}
        {%- for name in ['mae', 'rest_mae'] %}
        null::double precision as {{ name }},
        null::double precision as {{ name }}_lower,
        null::double precision as {{ name }}_upper{{ ',' if not loop.last }}
        {%- endfor %}

    from shown_counts

    union all

    select
        {{ group_keys | join(',\n        ') }},
        'all' as class,
        outcome_count::bigint as prediction_count,
        outcome_count::bigint as labelled_count,
        null::bigint as positive_count,
        null::bigint as labelled_selected_count,
        {%- for rate in rates %}
        {%- for prefix in ['', 'rest_'] %}
        null as {{ prefix }}{{ rate }},
        null as {{ prefix }}{{ rate }}_lower,
        null as {{ prefix }}{{ rate }}_upper,
        {%- endfor %}
        {%- endfor %}
        case when is_shown then mae end as mae,
        case when is_shown then
            {{ mean_end('mae', 'm2', 'outcome_count', '-') | indent(12) }}
        end as mae_lower,
        case when is_shown then
            {{ mean_end('mae', 'm2', 'outcome_count', '+') | indent(12) }}
        end as mae_upper,
        case when is_rest_shown then rest_mae end as rest_mae,
        case when is_rest_shown then
            {{ mean_end('rest_mae', 'rest_m2', 'rest_count', '-') | indent(12) }}
        end as rest_mae_lower,
        case when is_rest_shown then
            {{ mean_end('rest_mae', 'rest_m2', 'rest_count', '+') | indent(12) }}
        end as rest_mae_upper

    from error_rests

),

differences as (

    select
        *,
        {%- for figure in figures %}
        {{ figure }} - rest_{{ figure }} as {{ figure }}_difference,
        {{ difference_lower(figure, 'rest_' ~ figure) | indent(8) }}
            as {{ figure }}_difference_lower,
        {{ difference_upper(figure, 'rest_' ~ figure) | indent(8) }}
            as {{ figure }}_difference_upper,
        case when rest_{{ figure }} > 1e-100 then {{ figure }} / rest_{{ figure }} end
            as {{ figure }}_ratio{{ ',' if not loop.last }}
        {%- endfor %}

    from measured

),

-- Surely apart, by the whole interval: rates by a tenth or a fifth, errors by a quarter
-- or a half of those of the rest, on the worse side.
severities as (

    select
        *,
        case
            {%- for severity, limits in {3: [0.2, 0.5], 2: [0.1, 0.25]}.items() %}
            when
                {%- for rate in rates %}
                {{ 'or ' if not loop.first -}}
                {{ rate }}_difference_lower > {{ limits[0] }}
                or {{ rate }}_difference_upper < -{{ limits[0] }}
                {%- endfor %}
                or mae_difference_lower > {{ limits[1] }} * rest_mae
                then {{ severity }}
            {%- endfor %}
            -- Selection alone can alarm, but says nothing of who was right.
            when coalesce(
                true_positive_rate_difference,
                false_positive_rate_difference,
                positive_predictive_value_difference,
                mae_difference
            ) is not null then 1
            else 0
        end as severity

    from differences

),

group_rows as (

    select
        severities.monitor,
        severities.model_version,
        severities.segment,
        severities.segment_value,
        severities.grain,
        severities.window_start,
        severities.window_end,
        'the rest' as compared_to,
        severities.class,
        severities.prediction_count,
        severities.labelled_count,
        severities.positive_count,
        severities.labelled_selected_count,
        null::bigint as group_count,
        {%- for figure in figures %}
        severities.{{ figure }},
        severities.{{ figure }}_difference,
        severities.{{ figure }}_difference_lower,
        severities.{{ figure }}_difference_upper,
        severities.{{ figure }}_ratio,
        {%- endfor %}
        case
            when
                severities.true_positive_rate_difference is not null
                and severities.false_positive_rate_difference is not null
                then greatest(
                    abs(severities.true_positive_rate_difference),
                    abs(severities.false_positive_rate_difference)
                )
        end as equalised_odds_difference,
        severities.severity,
        case
            when severities.severity = 0
                then severities.labelled_count || ' labelled of '
                    || severities.prediction_count
                    || ' predictions: no figure of the group and the rest rests on '
                    || 'the minimum of '
                    || monitors.minimum_sample
            when severities.severity >= 2
                then concat_ws(
                    '; '
                    {%- for rate in rates %},
                    case
                        when
                            severities.{{ rate }}_difference_lower > 0.1
                            or severities.{{ rate }}_difference_upper < -0.1
                            then '{{ rate | replace('_', ' ') }} '
                                || round(severities.{{ rate }}::numeric, 3)
                                || ', the rest '
                                || round(severities.rest_{{ rate }}::numeric, 3)
                    end
                    {%- endfor %},
                    case
                        when
                            severities.mae_difference_lower
                            > 0.25 * severities.rest_mae
                            then 'mean absolute error '
                                || round(severities.mae::numeric, 2)
                                || ', the rest '
                                || round(severities.rest_mae::numeric, 2)
                    end
                )
        end as reason

    from severities

    inner join monitors
        on severities.monitor = monitors.monitor

),

summaries as (

    select
        {{ window_keys | join(',\n        ') }},
        class,
        sum(prediction_count)::bigint as prediction_count,
        sum(labelled_count)::bigint as labelled_count,
        sum(positive_count)::bigint as positive_count,
        sum(labelled_selected_count)::bigint as labelled_selected_count,
        {%- for figure in figures %}
        count({{ figure }}) as {{ figure }}_groups,
        max({{ figure }}) - min({{ figure }}) as {{ figure }}_span,
        min({{ figure }}) / nullif(max({{ figure }}), 0) as {{ figure }}_ratio,
        {%- endfor %}
        max(severity) as severity,
        count(*) filter (where severity >= 2) as flagged_count

    from group_rows

    group by
        {{ window_keys | join(',\n        ') }},
        class

),

spans as (

    select
        *,
        greatest(
            {{ figures | join('_groups,\n            ') }}_groups
        ) as group_count,
        {%- for figure in figures %}
        case when {{ figure }}_groups > 1 then {{ figure }}_span end
            as {{ figure }}_difference{{ ',' if not loop.last }}
        {%- endfor %}

    from summaries

),

summary_rows as (

    select
        monitor,
        model_version,
        segment,
        'all' as segment_value,
        grain,
        window_start,
        window_end,
        'each other' as compared_to,
        class,
        prediction_count,
        labelled_count,
        positive_count,
        labelled_selected_count,
        group_count,
        {%- for figure in figures %}
        null::double precision as {{ figure }},
        {{ figure }}_difference,
        null::double precision as {{ figure }}_difference_lower,
        null::double precision as {{ figure }}_difference_upper,
        case when {{ figure }}_groups > 1 then {{ figure }}_ratio end
            as {{ figure }}_ratio,
        {%- endfor %}
        case
            when
                true_positive_rate_difference is not null
                and false_positive_rate_difference is not null
                then greatest(
                    true_positive_rate_difference, false_positive_rate_difference
                )
        end as equalised_odds_difference,
        severity,
        case
            when severity = 0
                then 'no figure of a group and the rest rests on the minimum sample'
            when severity >= 2 then flagged_count || ' groups differ from the rest'
        end as reason

    from spans

),

all_rows as (

    select * from group_rows
    union all
    select * from summary_rows

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
        compared_to,
        class,
        prediction_count,
        labelled_count,
        positive_count,
        labelled_selected_count,
        group_count,
        {%- for figure in figures %}
        {{ figure }},
        {{ figure }}_difference,
        {{ figure }}_difference_lower,
        {{ figure }}_difference_upper,
        {{ figure }}_ratio,
        {%- endfor %}
        equalised_odds_difference,
        case severity
            when 3 then 'critical'
            when 2 then 'warning'
            when 1 then 'ok'
            else 'not_computable'
        end as status,
        reason

    from all_rows

)

select * from judged
