{{
    config(
        incremental_strategy='replace_evaluations',
        pre_hook=["{{ note_evaluation_scopes() }}", "{{ judge_by_steps() }}"],
        indexes=[
            {
                'columns': [
                    'monitor',
                    'rule_id',
                    'model_version',
                    'segment',
                    'segment_value',
                    'column_name',
                    'grain',
                    'window_start',
                ],
                'unique': true,
            },
            {'columns': ['monitor', 'window_end']},
            {'columns': ['monitor', 'rules_hash']},
            {'columns': ['monitor', 'is_provisional', 'window_start']},
        ]
    )
}}

{%- set series_keys = [
    'monitor', 'model_version', 'segment', 'segment_value', 'column_name', 'grain',
] %}
{%- set window_keys = series_keys + ['window_start'] %}
{%- set find_keys = [
    'subject', 'monitor', 'model_version', 'segment', 'segment_value', 'place',
] %}
{%- set checked_keys = series_keys | reject('equalto', 'column_name') | list %}
{%- set health_parts = alert_figure_parts('service_health') %}
{%- set quality_parts = alert_figure_parts('data_quality') %}
{%- set performance_parts = alert_figure_parts('model_performance') %}

with recursive

scopes as (

    select
        monitor,
        since
    from {{ evaluation_scopes() | indent(4) }}

),

spans as (

    select * from {{ ref('int_traffic_spans') }}

),

earlier as (

    select * from {{ earlier_evaluations() | indent(4) }}

),

-- With the windows that each has to read: a learned rule those it learned from, too,
-- one on requests those before a silence, and one on unknown features those that may
-- have had some.
rules as (

    select
        alert_rules.*,
        scopes.since,
        {{ period_length('alert_rules.period') }} as period_length,
        scopes.since - greatest(
            case
                when
                    alert_rules.method = 'learned'
                    or alert_rules.metric = 'request_count'
                    then 2 * ({{ period_length('alert_rules.period') }})
                else interval '0 hours'
            end,
            case
                when alert_rules.metric = 'unknown_rate'
                    then 2 * ({{ patience_of('alert_rules.grain') | indent(20) }})
            end
        ) as read_since

    from {{ ref('int_alert_rules') }} as alert_rules

    inner join scopes
        on alert_rules.monitor = scopes.monitor

),

health_windows as (

    select
        rules.rule_id,
        rules.metric,
        'all' as column_name,
        rules.read_since,
        rules.period_length,
        health.*

    from rules

    inner join {{ ref('int_service_health') }} as health
        on
            {{ rule_applies('rules', 'health') | indent(12) }}

    where rules.family = 'service_health' and rules.method != 'burn_rate'

),

-- Windows without any request, as long after one with some as a rule looks back: they
-- have no row, and are the first to tell of traffic that stays away.
silences as (

    select
        followed.rule_id,
        followed.{{ series_keys | join(',\n        followed.') }},
        silent.window_start,
        silent.window_start + followed.grain_length as window_end

    from (
        select
            rule_id,
            {{ series_keys | join(',\n            ') }},
            window_end,
            period_length,
            {{ window_length_of('grain') | indent(12) }} as grain_length,
            lead(window_start) over (
                partition by monitor, rule_id
                order by window_start
            ) as next_start
        from health_windows
        where
            metric = 'request_count'
            and model_version = 'all'
            and segment = 'all'
    ) as followed

    inner join spans
        on followed.monitor = spans.monitor

    cross join lateral generate_series(
        followed.window_end,
        least(
            followed.next_start,
            spans.newest_window_start,
            followed.window_end + followed.period_length
        ) - followed.grain_length,
        followed.grain_length
    ) as silent (window_start)

),

health_values as (

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        {{ by_metric(health_parts, 'value') | indent(8) }} as value,
        {{ by_metric(health_parts, 'sample_count', 'bigint') | indent(8) }}
            as sample_count,
        null::double precision as lower_end,
        null::double precision as upper_end,
        {{ by_metric(health_parts, 'rate_total') | indent(8) }} as rate_total,
        null::double precision as baseline_value,
        null::double precision as noise_floor,
        null::text as reason
    from health_windows

    union all

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        0 as value,
        0 as sample_count,
        null as lower_end,
        null as upper_end,
        null as rate_total,
        null as baseline_value,
        null as noise_floor,
        null as reason
    from silences

),

-- Both the long and the short window have to burn, by ten requests at least: see
-- `burn_rates`.
burn_rate_values as (

    select
        rules.rule_id,
        burn_rates.monitor,
        burn_rates.model_version,
        burn_rates.segment,
        burn_rates.segment_value,
        burn_rates.slo || ' ' || burn_rates.alert as column_name,
        burn_rates.grain,
        burn_rates.window_start,
        burn_rates.window_end,
        burn_rates.long_burn_rate as value,
        burn_rates.long_request_count as sample_count,
        least(burn_rates.long_burn_rate, burn_rates.short_burn_rate) as lower_end,
        null::double precision as upper_end,
        null::double precision as rate_total,
        null::double precision as baseline_value,
        null::double precision as noise_floor,
        case
            when burn_rates.is_burning is null then burn_rates.reason
            when
                burn_rates.short_burn_rate is null
                and burn_rates.long_burn_rate > least(rules.warning, rules.critical)
                then 'no request of the short window tells whether it goes on'
            when
                least(burn_rates.long_burn_rate, burn_rates.short_burn_rate)
                > least(rules.warning, rules.critical)
                and burn_rates.long_bad_count < 10
                then 'above the bound by ' || burn_rates.long_bad_count
                    || ' requests only'
        end as reason

    from rules

    inner join {{ ref('burn_rates') }} as burn_rates
        on
            {{ rule_applies('rules', 'burn_rates') | indent(12) }}
            and burn_rates.slo || ' ' || burn_rates.alert
            like {{ glob_pattern('rules.columns') }}

    where rules.method = 'burn_rate'

),

quality_windows as (

    select
        rules.rule_id,
        rules.metric,
        quality.*

    from rules

    inner join {{ ref('data_quality') }} as quality
        on
            {{ rule_applies('rules', 'quality') | indent(12) }}
            and {{ rule_names_column('rules', 'quality') | indent(12) }}

    where rules.family = 'data_quality'

),

-- An unknown feature has a row where some rows of the log had it. What says that it is
-- gone are the windows after it whose rows had others.
unknown_features as (

    select
        rule_id,
        {{ series_keys | join(',\n        ') }},
        window_end,
        baseline_unknown_rate,
        lead(window_start) over (
            partition by rule_id, {{ series_keys | join(', ') }}
            order by window_start
        ) as next_start,
        {{ patience_of('grain') | indent(8) }} as patience

    from quality_windows

    where metric = 'unknown_rate' and role = 'unknown'

),

absences as (

    select
        unknown_features.rule_id,
        unknown_features.{{ series_keys | join(',\n        unknown_features.') }},
        checked_windows.window_start,
        checked_windows.window_end,
        checked_windows.checked_count,
        unknown_features.baseline_unknown_rate

    from unknown_features

    cross join lateral (
        select
            checked.window_start,
            checked.window_end,
            max(checked.checked_count) as checked_count
        from {{ ref('data_quality') }} as checked
        where
            {{ same_keys('unknown_features', 'checked', checked_keys) | indent(12) }}
            and checked.role = 'feature'
            and checked.checked_count > 0
            and checked.window_start >= unknown_features.window_end
            and checked.window_start
            < coalesce(unknown_features.next_start, 'infinity')
            and checked.window_start
            <= unknown_features.window_end + unknown_features.patience
        group by checked.window_start, checked.window_end
    ) as checked_windows

),

quality_values as (

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        {{ by_metric(quality_parts, 'value') | indent(8) }} as value,
        {{ by_metric(quality_parts, 'sample_count', 'bigint') | indent(8) }}
            as sample_count,
        null::double precision as lower_end,
        null::double precision as upper_end,
        {{ by_metric(quality_parts, 'rate_total') | indent(8) }} as rate_total,
        {{ by_metric(quality_parts, 'baseline_value') | indent(8) }} as baseline_value,
        null::double precision as noise_floor,
        null::text as reason
    from quality_windows

    union all

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        0 as value,
        checked_count as sample_count,
        null as lower_end,
        null as upper_end,
        checked_count as rate_total,
        baseline_unknown_rate as baseline_value,
        null as noise_floor,
        null as reason
    from absences

),

performance_windows as (

    select
        rules.rule_id,
        rules.metric,
        'all' as column_name,
        performance.*

    from rules

    inner join {{ ref('model_performance') }} as performance
        on
            {{ rule_applies('rules', 'performance') | indent(12) }}

    where rules.family = 'model_performance'

),

performance_values as (

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        {{ by_metric(performance_parts, 'value') | indent(8) }} as value,
        {{ by_metric(performance_parts, 'sample_count', 'bigint') | indent(8) }}
            as sample_count,
        {{ by_metric(performance_parts, 'lower') | indent(8) }} as lower_end,
        {{ by_metric(performance_parts, 'upper') | indent(8) }} as upper_end,
        {{ by_metric(performance_parts, 'rate_total') | indent(8) }} as rate_total,
        {{ by_metric(performance_parts, 'baseline_value') | indent(8) }}
            as baseline_value,
        null::double precision as noise_floor,
        null::text as reason
    from performance_windows

),

-- Of a rule on significance the p-value is judged, of the others the score.
drift_values as (

    select
        rules.rule_id,
        scores.monitor,
        scores.model_version,
        scores.segment,
        scores.segment_value,
        scores.column_name,
        scores.grain,
        scores.window_start,
        scores.window_end,
        case rules.method
            when 'significance' then scores.p_value_adjusted
            else scores.score
        end as value,
        scores.sample_count,
        null::double precision as lower_end,
        null::double precision as upper_end,
        null::double precision as rate_total,
        null::double precision as baseline_value,
        -- What stays within the noise is no drift, whatever the bound.
        case when scores.score <= scores.noise_floor then scores.noise_floor end
            as noise_floor,
        case when scores.status = 'not_computable' then scores.reason end as reason

    from rules

    inner join {{ ref('int_drift_scores') }} as scores
        on
            {{ rule_applies('rules', 'scores') | indent(12) }}
            and rules.metric = scores.method
            and rules.compared_to = scores.compared_to
            and {{ rule_names_column('rules', 'scores') | indent(12) }}

    where rules.family = 'drift'

),

all_values as (
{% for family in ['health', 'burn_rate', 'quality', 'performance', 'drift'] %}
    select * from {{ family }}_values
    {%- if not loop.last %}
    union all
    {%- endif %}
{%- endfor %}

),

-- A figure that a window has no meaning for is no figure: it has no row.
described as (

    select
        found.*,
        rules.family,
        rules.metric,
        rules.method,
        rules.compared_as,
        rules.direction,
        rules.warning,
        rules.critical,
        rules.minimum_sample,
        rules.season,
        rules.period_length,
        rules.minimum_history,
        rules.minimum_change,
        rules.minimum_ratio,
        rules.rules_hash,
        rules.since,
        -- Before its end, a window holds some hours of the day, and the labels of some
        -- predictions; and low is only what is followed by more.
        case
            when rules.metric = 'request_count' and rules.direction != 'above'
                then coalesce(found.window_end <= spans.newest_window_start, false)
            when rules.family = 'model_performance' and rules.metric like 'label%'
                then found.window_end + rules.labels_expected_within <= now()
            when rules.method = 'learned' or rules.family = 'drift'
                then found.window_end <= now()
            else true
        end as is_settled

    from all_values as found

    inner join rules
        on found.monitor = rules.monitor and found.rule_id = rules.rule_id

    left join spans
        on found.monitor = spans.monitor

    where found.value is not null or found.reason is not null

),

readable as (

    select
        rule_id,
        {{ window_keys | join(',\n        ') }},
        window_end,
        value,
        sample_count,
        family,
        metric,
        method,
        compared_as,
        direction,
        warning,
        critical,
        {{ season_part('season', 'window_start') | indent(8) }} as season_part,
        period_length,
        minimum_history,
        minimum_change,
        minimum_ratio,
        rules_hash,
        since,
        noise_floor is not null as is_noise,
        coalesce(
            lower_end,
            {{ wilson_lower('round(value * rate_total)', 'rate_total') | indent(12) }},
            value
        ) as lower_end,
        coalesce(
            upper_end,
            {{ wilson_upper('round(value * rate_total)', 'rate_total') | indent(12) }},
            value
        ) as upper_end,
        baseline_value,
        not is_settled as is_provisional,
        case
            when reason is not null then reason
            when not is_settled and metric like 'label%'
                then 'labels are still expected'
            when not is_settled then 'the window still fills'
            when sample_count < minimum_sample
                then sample_count || ' rows, fewer than the minimum of '
                    || minimum_sample
            when method = 'learned' and compared_as = 'ratio' and value <= 0
                then 'there is no ratio to ' || value
            when method = 'baseline' and baseline_value is null
                then 'the baseline has no such figure'
            when method = 'baseline' and compared_as = 'ratio' and baseline_value <= 0
                then 'there is no ratio to the baseline''s ' || baseline_value
        end as reason

    from described

),

directed as (

    select
        *,
        case method
            when 'baseline' then baseline_value
        end as expected,
        case
            when method = 'significance' or direction = 'below' then -1
            when direction = 'both' and value < coalesce(
                case method when 'baseline' then baseline_value end, 0
            )
                then -1
            else 1
        end as side

    from readable

    where method != 'learned' and window_end > since

),

-- Of a rule in both directions the bound on the value's own side.
bounded as (

    select
        *,
        case side when 1 then lower_end else upper_end end as near_end,
        {%- for bound in ['warning', 'critical'] %}
        case
            when {{ bound }} is null or method = 'significance' then {{ bound }}
            when method = 'baseline' and compared_as = 'ratio' and direction = 'both'
                then baseline_value * power(nullif({{ bound }}, 0), side)
            when method = 'baseline' and compared_as = 'ratio'
                then baseline_value * {{ bound }}
            when method = 'baseline'
                then least(
                    baseline_value
                    + case direction when 'both' then side else sign({{ bound }}) end
                    * greatest(
                        abs({{ bound }}),
                        minimum_change,
                        minimum_ratio * abs(baseline_value)
                    ),
                    -- A rate that is high in the baseline can still be told from all.
                    case when metric like '%\_rate' then (3 + baseline_value) / 4 end
                )
            when direction = 'both' then side * {{ bound }}
            else {{ bound }}
        end as {{ bound }}_bound{{ ',' if not loop.last }}
        {%- endfor %}

    from directed

),

direct_evaluations as (

    select
        *,
        case
            when reason is not null then null
            when is_noise then 0
            {%- for bound, severity in {'critical': 2, 'warning': 1}.items() %}
            when side * near_end > side * {{ bound }}_bound then {{ severity }}
            {%- endfor %}
            else 0
        end as severity

    from bounded

),

-- What rules that do not learn could judge, now and before.
judged_windows as (

    select
        rule_id,
        {{ series_keys | join(',\n        ') }},
        window_start,
        window_end,
        severity
    from direct_evaluations
    where severity is not null

    union all

    select
        rule_id,
        {{ series_keys | join(',\n        ') }},
        window_start,
        window_end,
        severity
    from earlier
    where severity is not null

),

-- The series that ever fired: nothing lasts in the others.
fired_series as (

    select distinct
        rule_id,
        {{ series_keys | join(',\n        ') }}

    from judged_windows

    where severity > 0

),

followed_windows as (

    select
        judged_windows.*,
        rules.close_after,
        {{ find_subject('rules.family') | indent(8) }} as subject,
        {{ find_place('rules.family', 'judged_windows.column_name') | indent(8) }}
            as place,
        {{ patience_of('judged_windows.grain') | indent(8) }} as patience,
        -- Windows that could not be judged leave things as they are, for a while.
        lead(judged_windows.window_start) over in_order as next_start,
        count(*) filter (where judged_windows.severity > 0) over in_order as find_number

    from judged_windows

    inner join fired_series
        on
            judged_windows.rule_id = fired_series.rule_id
            and {{ same_keys('judged_windows', 'fired_series', series_keys)
                | indent(12) }}

    inner join rules
        on
            judged_windows.monitor = rules.monitor
            and judged_windows.rule_id = rules.rule_id

    where rules.method != 'learned'

    window in_order as (
        partition by
            judged_windows.rule_id,
            judged_windows.{{ series_keys | join(',\n            judged_windows.') }}
        order by judged_windows.window_start
    )

),

-- A find lasts until so many windows in a row are quiet that its episode closes.
lasting_windows as (

    select
        *,
        find_number > 0 and row_number() over (
            partition by rule_id, {{ series_keys | join(', ') }}, find_number
            order by window_start
        ) <= close_after as is_within

    from followed_windows

),

-- When rules that do not learn had found something, by what it was about: windows that
-- follow each other are one span. Learned ones don't count, or each would have to wait
-- for the other.
flagged_spans as (

    select
        {{ find_keys | join(',\n        ') }},
        window_end - window_start as window_length,
        unnest(
            range_agg(
                tstzrange(window_start, least(next_start, window_end + patience))
            )
        ) as span

    from lasting_windows

    where is_within

    group by
        {{ find_keys | join(',\n        ') }},
        window_end - window_start

),

flagged as (

    select
        *,
        lower(span) as flagged_from,
        upper(span) as flagged_until
    from flagged_spans

),

-- What is found in longer windows is no reason to leave out their parts: a week of drift
-- is not news of each of its days, and a day that fills may come to find something when
-- its hours have been judged.
flagged_windows as (

    select distinct
        readable.rule_id,
        readable.{{ window_keys | join(',\n        readable.') }}

    from readable

    inner join flagged
        on
            {{ find_subject('readable.family') | indent(12) }} = flagged.subject
            and readable.monitor = flagged.monitor
            and readable.model_version = flagged.model_version
            and readable.segment = flagged.segment
            and readable.segment_value = flagged.segment_value
            and {{ find_place('readable.family', 'readable.column_name') | indent(12) }}
            = flagged.place
            and readable.window_end > flagged.flagged_from
            and readable.window_start < flagged.flagged_until
            and flagged.window_length <= readable.window_end - readable.window_start

    where readable.method = 'learned'

),

-- The windows of each series of a season's part, in their order. Ratios are differences
-- of logarithms.
learned_windows as (

    select
        dense_rank() over (
            order by
                readable.rule_id,
                readable.{{ series_keys | join(',\n                readable.') }},
                readable.season_part
        ) as series_id,
        row_number() over (
            partition by
                readable.rule_id,
                readable.{{ series_keys | join(',\n                readable.') }},
                readable.season_part
            order by readable.window_start
        )::integer as step,
        readable.*,
        case
            when readable.compared_as = 'difference' then readable.value
            when readable.value > 0 then ln(readable.value)
        end as measure,
        flagged_windows.window_start is not null as is_flagged,
        readable.window_end <= readable.since as is_known,
        earlier.severity as known_severity

    from readable

    left join flagged_windows
        on
            readable.rule_id = flagged_windows.rule_id
            and {{ same_keys('readable', 'flagged_windows', window_keys) | indent(12) }}

    left join earlier
        on
            readable.rule_id = earlier.rule_id
            and {{ same_keys('readable', 'earlier', window_keys) | indent(12) }}

    where readable.method = 'learned'

),

-- What a step needs to know, and no more.
steps as materialized (

    select
        series_id,
        step,
        window_start,
        value,
        measure,
        compared_as = 'ratio' as is_ratio,
        direction,
        warning,
        critical,
        window_start - period_length as learned_from,
        minimum_history,
        minimum_change,
        minimum_ratio,
        is_noise,
        is_flagged,
        is_known,
        known_severity,
        reason is null as is_readable

    from learned_windows

),

-- One window after the other, with the values that were accepted so far: those of the
-- trailing period in which nothing was found. The condition below makes the planner
-- expect many series, so that it hashes the steps once and not what has been learned.
learned as (

    select
        series_id,
        0 as step,
        '{}'::double precision[] as accepted_values,
        '{}'::timestamptz[] as accepted_at,
        0 as accepted_count,
        null::double precision as centre,
        null::double precision as expected,
        null::double precision as warning_bound,
        null::double precision as critical_bound,
        null::integer as severity
    from steps
    where step < 2

    union all

    select
        steps.series_id,
        steps.step,
        case
            when accepted.is_accepted then history.measures || steps.measure
            else history.measures
        end as accepted_values,
        case
            when accepted.is_accepted then history.starts || steps.window_start
            else history.starts
        end as accepted_at,
        history.accepted_count,
        history.centre,
        judged.expected,
        judged.warning_bound,
        judged.critical_bound,
        judged.severity

    from learned

    inner join steps
        on learned.series_id = steps.series_id and learned.step + 1 = steps.step

    cross join lateral (
        select
            coalesce(array_agg(measure order by started_at), '{}') as measures,
            coalesce(array_agg(started_at order by started_at), '{}') as starts,
            count(*)::integer as accepted_count,
            percentile_cont(0.5) within group (order by measure) as centre
        from unnest(
            learned.accepted_values, learned.accepted_at
        ) as accepted (measure, started_at)
        where started_at >= steps.learned_from
    ) as history

    cross join lateral (
        select
            not steps.is_known
            and steps.is_readable
            and history.accepted_count >= steps.minimum_history as is_judged
    ) as judgeable

    cross join lateral (
        select
            1.4826 * percentile_cont(0.5) within group (
                order by abs(measure - history.centre)
            ) as spread
        from unnest(
            case when judgeable.is_judged then history.measures end
        ) as accepted (measure)
    ) as deviations

    cross join lateral (
        select
            case
                when judgeable.is_judged and steps.is_ratio
                    then {{ bounded_exp('history.centre') | indent(20) }}
                when judgeable.is_judged then history.centre
            end as expected
    ) as usual

    cross join lateral (
        select
            case
                when steps.direction = 'below' then -1
                when steps.direction = 'both' and steps.value < usual.expected then -1
                else 1
            end as side
    ) as directed

    cross join lateral (
        select
            {%- for bound in ['warning', 'critical'] %}
            {%- set end = 'history.centre + directed.side * steps.' ~ bound
                ~ ' * deviations.spread' %}
            case
                when steps.is_ratio then {{ bounded_exp(end) | indent(16) }}
                else {{ end }}
            end as {{ bound }}_end{{ ',' if not loop.last }}
            {%- endfor %}
    ) as distances

    cross join lateral (
        select
            {%- for bound in ['warning', 'critical'] %}
            case
                when steps.{{ bound }} is not null
                    then usual.expected + directed.side * greatest(
                        abs(distances.{{ bound }}_end - usual.expected),
                        steps.minimum_change,
                        steps.minimum_ratio * abs(usual.expected)
                    )
            end as {{ bound }}_bound{{ ',' if not loop.last }}
            {%- endfor %}
    ) as bounds

    cross join lateral (
        select
            usual.expected,
            bounds.warning_bound,
            bounds.critical_bound,
            case
                when steps.is_known then steps.known_severity
                when not judgeable.is_judged then null
                when steps.is_noise then 0
                {%- for bound, severity in {'critical': 2, 'warning': 1}.items() %}
                when directed.side * steps.value
                > directed.side * bounds.{{ bound }}_bound
                    then {{ severity }}
                {%- endfor %}
                else 0
            end as severity
    ) as judged

    cross join lateral (
        select
            steps.is_readable
            and not steps.is_flagged
            and coalesce(judged.severity, 0) = 0 as is_accepted
    ) as accepted

),

learned_evaluations as (

    select
        learned_windows.*,
        learned.expected as usual_value,
        learned.warning_bound,
        learned.critical_bound,
        learned.severity,
        case
            when
                learned_windows.reason is null
                and learned.accepted_count < learned_windows.minimum_history
                then learned.accepted_count || ' of the '
                    || learned_windows.minimum_history || ' windows of history'
            else learned_windows.reason
        end as learned_reason

    from learned_windows

    inner join learned
        on
            learned_windows.series_id = learned.series_id
            and learned_windows.step = learned.step

    where not learned_windows.is_known

),

evaluations as (

    select
        rule_id,
        {{ series_keys | join(',\n        ') }},
        metric,
        window_start,
        window_end,
        value,
        sample_count,
        expected,
        warning_bound,
        critical_bound,
        severity,
        reason,
        is_provisional,
        rules_hash
    from direct_evaluations

    union all

    select
        rule_id,
        {{ series_keys | join(',\n        ') }},
        metric,
        window_start,
        window_end,
        value,
        sample_count,
        usual_value as expected,
        warning_bound,
        critical_bound,
        severity,
        learned_reason as reason,
        is_provisional,
        rules_hash
    from learned_evaluations

)

select * from evaluations
