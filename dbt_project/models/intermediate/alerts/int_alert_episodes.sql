{{
    config(
        incremental_strategy='replace_rows',
        pre_hook='{{ plan_as_written() }}',
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
                    'started_at',
                ],
                'unique': true,
            },
            {'columns': ['incident_id']},
        ]
    )
}}

{%- set series_keys = [
    'monitor',
    'rule_id',
    'model_version',
    'segment',
    'segment_value',
    'column_name',
    'grain',
] %}
{%- set series = series_keys | join(', ') %}

with

rules as (

    select * from {{ ref('int_alert_rules') }}

),

spans as (

    select * from {{ ref('int_traffic_spans') }}

),

evaluations as (

    select * from {{ ref('int_rule_evaluations') }}

),

-- The series that ever fired, with a number, so that what follows need not compare so
-- many keys. What may still be judged is no silence.
fired_series as (

    select
        row_number() over () as series_id,
        {{ series_keys | join(',\n        ') }},
        min(window_start) filter (where is_provisional) as provisional_from

    from evaluations

    group by {{ series }}

    having max(severity) > 0

),

-- Windows that could not be judged say neither that it goes on nor that it is over.
judged as (

    select
        evaluations.*,
        rules.family,
        rules.method,
        rules.compared_to,
        rules.open_after,
        rules.close_after,
        fired_series.series_id,
        fired_series.provisional_from,
        evaluations.severity > 0 as is_fired,
        case evaluations.severity
            when 2 then evaluations.critical_bound
            when 1 then evaluations.warning_bound
        end as bound,
        {{ window_length_of('evaluations.grain') | indent(8) }} as window_length,
        {{ patience_of('evaluations.grain') | indent(8) }} as patience

    from evaluations

    inner join fired_series
        on
            {{ same_keys('evaluations', 'fired_series', series_keys) | indent(12) }}

    inner join rules
        on
            evaluations.monitor = rules.monitor
            and evaluations.rule_id = rules.rule_id

    where evaluations.severity is not null

),

followed as (

    select
        *,
        coalesce(
            window_start - lag(window_end) over in_order > patience, true
        ) as is_after_silence

    from judged

    window in_order as (
        partition by series_id
        order by window_start
    )

),

stretches as (

    select
        *,
        count(*) filter (where is_after_silence) over (
            partition by series_id
            order by window_start
        ) as stretch

    from followed

),

-- Within a stretch, windows in a row that fired, or did not.
numbered as (

    select
        *,
        row_number() over (
            partition by series_id, stretch
            order by window_start
        )
        - row_number() over (
            partition by series_id, stretch, is_fired
            order by window_start
        ) as streak

    from stretches

),

streaks as (

    select
        *,
        row_number() over in_streak as streak_length,
        first_value(window_start) over in_streak as streak_started_at

    from numbered

    window in_streak as (
        partition by series_id, stretch, is_fired, streak
        order by window_start
    )

),

-- 1 opens an episode, 0 closes it, null leaves it as it is.
switched as (

    select
        *,
        case
            when is_fired and streak_length >= open_after then 1
            when not is_fired and streak_length >= close_after then 0
        end as switch

    from streaks

),

grouped as (

    select
        *,
        count(switch) over (
            partition by series_id, stretch
            order by window_start
        ) as switch_count

    from switched

),

states as (

    select
        *,
        coalesce(
            max(switch) over (partition by series_id, stretch, switch_count), 0
        ) as state

    from grouped

),

changes as (

    select
        *,
        coalesce(lag(state) over in_stretch, 0) as state_before

    from states

    window in_stretch as (
        partition by series_id, stretch
        order by window_start
    )

),

-- The windows up to the one that closes an episode have its number.
open_windows as (

    select
        *,
        state = 1 and state_before = 0 as is_opening,
        state = 0 and state_before = 1 as is_closing,
        count(*) filter (where state = 1 and state_before = 0) over (
            partition by series_id
            order by window_start
        ) as episode

    from changes

),

-- A streak begins before the window that opens the episode.
openings as (

    select
        series_id,
        {{ series_keys | join(',\n        ') }},
        stretch,
        episode,
        streak_started_at as started_at,
        window_end as opened_at,
        family,
        metric,
        method,
        compared_to,
        patience,
        provisional_from,
        window_length

    from open_windows

    where is_opening

),

closings as (

    select
        series_id,
        episode,
        window_end as closed_at

    from open_windows

    where is_closing

),

last_windows as (

    select
        series_id,
        stretch,
        max(window_end) as last_window_end,
        stretch < max(max(stretch)) over (partition by series_id) as is_followed

    from stretches

    group by series_id, stretch

),

spanned as (

    select
        openings.*,
        case
            when closings.closed_at is not null then closings.closed_at
            when
                last_windows.is_followed
                or least(spans.newest_window_end, openings.provisional_from)
                - last_windows.last_window_end > openings.patience
                then last_windows.last_window_end
        end as closed_at,
        case
            when closings.closed_at is not null then 'recovered'
            when
                last_windows.is_followed
                or least(spans.newest_window_end, openings.provisional_from)
                - last_windows.last_window_end > openings.patience
                then 'no data'
        end as end_reason

    from openings

    inner join last_windows
        on
            openings.series_id = last_windows.series_id
            and openings.stretch = last_windows.stretch

    left join closings
        on
            openings.series_id = closings.series_id
            and openings.episode = closings.episode

    left join spans
        on openings.monitor = spans.monitor

),

-- How many times as far from what is usual as the bound is.
fired_windows as (

    select
        spanned.started_at,
        judged.*,
        case judged.method
            when 'significance' then judged.bound / greatest(judged.value, 1e-100)
            else abs(judged.value - coalesce(judged.expected, 0))
                / greatest(abs(judged.bound - coalesce(judged.expected, 0)), 1e-100)
        end as strength

    from spanned

    inner join judged
        on
            spanned.series_id = judged.series_id
            and judged.window_start >= spanned.started_at
            and (spanned.closed_at is null or judged.window_end <= spanned.closed_at)

    where judged.is_fired

),

ranked as (

    select
        fired_windows.*,
        {{ alert_sentence('fired_windows') | indent(8) }} as sentence,
        row_number() over (
            partition by fired_windows.series_id, fired_windows.started_at
            order by
                fired_windows.severity desc,
                fired_windows.strength desc nulls last,
                fired_windows.window_start
        ) as place

    from fired_windows

),

found as (

    select
        series_id,
        started_at,
        max(severity) as severity,
        count(*) as alert_count,
        max(window_end) as last_alert_at,
        max(strength) filter (where place = 1) as strength,
        max(sentence) filter (where place = 1) as reason

    from ranked

    group by series_id, started_at

),

episodes as (

    select
        spanned.{{ series_keys | join(',\n        spanned.') }},
        spanned.family,
        spanned.metric,
        spanned.started_at,
        spanned.opened_at,
        spanned.closed_at,
        spanned.end_reason,
        found.severity,
        found.alert_count,
        found.last_alert_at,
        found.strength,
        found.reason,
        spanned.window_length

    from spanned

    inner join found
        on
            spanned.series_id = found.series_id
            and spanned.started_at = found.started_at

),

-- An episode belongs to the incident before if it began before that one was a day old:
-- a day, or a window of its own, after the opening of any episode in it. What has been
-- open for weeks takes nothing new in; and windows longer than a day have incidents of
-- their own, or a week of drift would join what happened in it, and what came after.
joined as (

    select
        *,
        coalesce(
            started_at > max(opened_at) over (
                partition by monitor, window_length > interval '24 hours'
                order by
                    started_at, opened_at, {{ series_keys | join(', ') }}
                rows between unbounded preceding and 1 preceding
            ) + greatest(interval '24 hours', window_length),
            true
        ) as is_first

    from episodes

),

incidents as (

    select
        *,
        window_length > interval '24 hours' as is_slow,
        count(*) filter (where is_first) over (
            partition by monitor, window_length > interval '24 hours'
            order by started_at, opened_at, {{ series_keys | join(', ') }}
        ) as incident

    from joined

),

-- An incident is called after the episode that opened it, which stays the first one
-- whatever joins later.
named as (

    select
        left(
            md5(
                first_value(
                    concat_ws(
                        '|',
                        {{ series_keys | join(',\n                        ') }},
                        {{ epoch_microseconds('started_at') | indent(24) }}
                    )
                ) over (
                    partition by monitor, is_slow, incident
                    order by
                        opened_at,
                        {{ family_place('family') | indent(24) }},
                        started_at,
                        {{ series_keys | join(', ') }}
                )
            ),
            12
        ) as incident_id,
        {{ series_keys | join(',\n        ') }},
        family,
        metric,
        started_at,
        opened_at,
        closed_at,
        end_reason,
        severity,
        alert_count,
        last_alert_at,
        strength,
        reason,
        window_length

    from incidents

)

select * from named
