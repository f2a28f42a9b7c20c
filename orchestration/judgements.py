"""What alert rules say of each monitor now, in a line each: for Dagster's checks.

A judgement is about one monitor and one subject, and rests on the rules on it:

- ``volume``: how many requests there are;
- ``service``: their errors and latency;
- ``data_quality``, ``drift``;
- ``labels``: how many labels come, and how soon;
- ``performance``: all that is measured with them.

``freshness``, of which no rule is, is the age of the newest prediction, by
``predicted_at``: rows that are loaded late make it none the younger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

# The chance that none of so many expected requests comes is one in a thousand: see
# marts.monitors.
EXPECTED_REQUEST_LIMIT = 6.9


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How long a monitor has had no prediction, and how long it may.

    Without a limit of its own the requests that should have come since decide.
    """

    monitor: str
    status: str
    reason: str | None
    last_predicted_at: datetime | None
    last_loaded_at: datetime | None
    seconds_since_last_prediction: float | None
    limit_seconds: float | None
    expected_request_count: float | None
    prediction_count: int


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the rules on a subject say of a monitor.

    ``open_count`` series of windows are in an open incident, and ``judged_count``
    figures of the newest windows were judged. The rest is about one figure: the last
    that fired of the gravest open one or, without any, the one nearest to its bound.
    None if nothing could be judged.
    """

    monitor: str
    subject: str
    open_count: int
    judged_count: int
    severity: int | None
    rule_id: str | None
    metric: str | None
    column_name: str | None
    model_version: str | None
    segment: str | None
    segment_value: str | None
    window_start: datetime | None
    value: float | None
    expected: float | None
    threshold: float | None
    sample_count: int | None
    reason: str | None
    incident_id: str | None


def read_freshness(connection: psycopg.Connection) -> list[Freshness]:
    """The freshness of each monitor, as of now."""
    with connection.cursor(row_factory=class_row(Freshness)) as cursor:
        return cursor.execute(
            """
            select
                monitor,
                freshness_status as status,
                freshness_reason as reason,
                last_predicted_at,
                last_loaded_at,
                seconds_since_last_prediction,
                freshness_limit_seconds as limit_seconds,
                expected_request_count_since_last as expected_request_count,
                prediction_count
            from marts.monitors
            order by monitor
            """
        ).fetchall()


def read_judgements(
    connection: psycopg.Connection, subjects: Sequence[str]
) -> list[Judgement]:
    """What the rules on these subjects say of each monitor that has such rules."""
    with connection.cursor(row_factory=class_row(Judgement)) as cursor:
        return cursor.execute(_JUDGEMENTS, {"subjects": list(subjects)}).fetchall()


_JUDGEMENTS = """
    with rules as (

        select
            rules.monitor,
            rules.rule_id,
            rules.metric,
            subjects.subject,
            -- Enough for a week, and for days whose labels were due only now.
            spans.newest_window_end
            - interval '15 days'
            - rules.labels_expected_within as since
        from intermediate.int_alert_rules as rules
        cross join lateral (
            select case
                when rules.metric = 'request_count' then 'volume'
                when rules.family = 'service_health' then 'service'
                when rules.metric like 'label%%' then 'labels'
                when rules.family = 'model_performance' then 'performance'
                else rules.family
            end as subject
        ) as subjects
        left join intermediate.int_traffic_spans as spans
            on rules.monitor = spans.monitor
        where subjects.subject = any(%(subjects)s)

    ),

    evaluations as (

        select
            rules.subject,
            rules.metric,
            found.monitor,
            found.rule_id,
            found.column_name,
            found.model_version,
            found.segment,
            found.segment_value,
            found.window_start,
            found.window_end,
            found.value,
            found.expected,
            found.sample_count,
            found.severity,
            case when found.severity = 2
                then found.critical_bound
                else coalesce(found.warning_bound, found.critical_bound)
            end as threshold,
            max(found.window_end) over (
                partition by found.monitor, found.rule_id
            ) as newest_end
        from intermediate.int_rule_evaluations as found
        inner join rules
            on
                found.monitor = rules.monitor
                and found.rule_id = rules.rule_id
                and found.window_end > rules.since
        where found.severity is not null

    ),

    nearest as (

        select
            *,
            count(*) over (partition by monitor, subject) as judged_count,
            row_number() over (
                partition by monitor, subject
                order by
                    severity desc,
                    (value - coalesce(expected, 0))
                    / nullif(threshold - coalesce(expected, 0), 0) desc nulls last,
                    rule_id,
                    column_name
            ) as place
        from evaluations
        where window_end = newest_end

    ),

    episodes as (

        select
            rules.subject,
            found.*,
            count(*) over (partition by found.monitor, rules.subject) as open_count,
            row_number() over (
                partition by found.monitor, rules.subject
                order by found.severity desc, found.strength desc nulls last
            ) as place
        from intermediate.int_alert_episodes as found
        inner join rules
            on found.monitor = rules.monitor and found.rule_id = rules.rule_id
        where found.closed_at is null

    ),

    open_alerts as (

        select
            episodes.subject,
            episodes.open_count,
            alerts.*
        from episodes
        inner join marts.alerts as alerts
            on
                episodes.monitor = alerts.monitor
                and episodes.rule_id = alerts.rule_id
                and episodes.model_version = alerts.model_version
                and episodes.segment = alerts.segment
                and episodes.segment_value = alerts.segment_value
                and episodes.column_name = alerts.column_name
                and episodes.grain = alerts.grain
                and episodes.last_alert_at = alerts.window_end
        where episodes.place = 1

    )

    select
        watched.monitor,
        watched.subject,
        coalesce(open_alerts.open_count, 0) as open_count,
        coalesce(nearest.judged_count, 0) as judged_count,
        case open_alerts.severity
            when 'critical' then 2
            when 'warning' then 1
            else nearest.severity
        end as severity,
        coalesce(open_alerts.rule_id, nearest.rule_id) as rule_id,
        coalesce(open_alerts.metric, nearest.metric) as metric,
        coalesce(open_alerts.column_name, nearest.column_name) as column_name,
        coalesce(open_alerts.model_version, nearest.model_version) as model_version,
        coalesce(open_alerts.segment, nearest.segment) as segment,
        coalesce(open_alerts.segment_value, nearest.segment_value) as segment_value,
        coalesce(open_alerts.window_start, nearest.window_start) as window_start,
        coalesce(open_alerts.value, nearest.value) as value,
        case when open_alerts.monitor is null
            then nearest.expected
            else open_alerts.expected
        end as expected,
        coalesce(open_alerts.threshold, nearest.threshold) as threshold,
        case when open_alerts.monitor is null
            then nearest.sample_count
            else open_alerts.sample_count
        end as sample_count,
        open_alerts.reason,
        open_alerts.incident_id
    from (select distinct monitor, subject from rules) as watched
    left join nearest
        on
            watched.monitor = nearest.monitor
            and watched.subject = nearest.subject
            and nearest.place = 1
    left join open_alerts
        on
            watched.monitor = open_alerts.monitor
            and watched.subject = open_alerts.subject
    order by watched.monitor, watched.subject
"""
