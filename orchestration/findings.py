"""What the marts say, in the few rows that a person wants to see first."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, kw_only=True)
class MonitorStatus:
    """A monitor's status by family: ok, warning, critical or not_computable."""

    monitor: str
    prediction_count: int
    last_predicted_at: datetime | None
    service_health: str
    data_quality: str
    model_performance: str
    drift: str


@dataclass(frozen=True, kw_only=True)
class ColumnFinding:
    """How often a column drifted, and its worst day."""

    monitor: str
    column_name: str
    drifted_days: int
    days: int
    worst_day: datetime
    worst_score: float


@dataclass(frozen=True, kw_only=True)
class IncidentFinding:
    """An injected incident, and whether the figures that ought to show it do.

    ``reason`` is what the worst flagged window says. ``other_alarms`` counts the
    windows of the same figures outside of all injected incidents which are flagged too,
    of ``other_windows``: a figure that is always red has noticed nothing.
    """

    kind: str
    model_name: str | None
    started_at: datetime
    ended_at: datetime
    family: str
    column_name: str | None
    is_shown: bool
    reason: str | None
    other_alarms: int
    other_windows: int


def read_statuses(connection: psycopg.Connection) -> list[MonitorStatus]:
    """The current status of each monitor, by name."""
    with connection.cursor(row_factory=class_row(MonitorStatus)) as cursor:
        return cursor.execute(
            """
            select
                monitor,
                prediction_count,
                last_predicted_at,
                service_health_status as service_health,
                data_quality_status as data_quality,
                model_performance_status as model_performance,
                drift_status as drift
            from marts.monitors
            order by monitor
            """
        ).fetchall()


def read_worst_columns(
    connection: psycopg.Connection, *, limit: int = 3
) -> list[ColumnFinding]:
    """Of each monitor, the ``limit`` columns that drifted on the most days.

    Over all versions, by the rows that decide the status, labels left out.
    """
    with connection.cursor(row_factory=class_row(ColumnFinding)) as cursor:
        return cursor.execute(
            """
            with columns as (

                select
                    monitor,
                    column_name,
                    count(*) filter (where is_drifted) as drifted_days,
                    count(*) as days,
                    (array_agg(window_start order by score desc))[1] as worst_day,
                    max(score) as worst_score
                from marts.drift
                where
                    grain = 'day'
                    and model_version = 'all'
                    and segment = 'all'
                    and is_headline
                    and role != 'actual'
                    and is_drifted is not null
                group by monitor, column_name

            ),

            ranked as (

                select
                    *,
                    row_number() over (
                        partition by monitor
                        order by drifted_days desc, worst_score desc, column_name
                    ) as place
                from columns
                where drifted_days > 0

            )

            select
                monitor, column_name, drifted_days, days, worst_day, worst_score
            from ranked
            where place <= %s
            order by monitor, place
            """,
            [limit],
        ).fetchall()


def read_incidents(connection: psycopg.Connection) -> list[IncidentFinding]:
    """Injected incidents in order of time, beside what the marts say meanwhile."""
    with connection.cursor(row_factory=class_row(IncidentFinding)) as cursor:
        return cursor.execute(
            """
            with figures as (

                select
                    'service_health' as family, monitor, null as column_name,
                    window_start, window_end, status, reason
                from marts.service_health
                where grain = 'hour' and model_version = 'all' and segment = 'all'

                union all

                select
                    'data_quality', monitor, column_name, window_start, window_end,
                    status, reason
                from marts.data_quality
                where grain = 'day' and model_version = 'all' and segment = 'all'

                union all

                -- Of all versions, since a bad one may serve a part of the traffic.
                select
                    'model_performance', monitor, null, window_start, window_end,
                    status, 'version ' || model_version || ': ' || reason
                from marts.model_performance
                where grain = 'day' and model_version != 'all' and segment = 'all'

                union all

                select
                    'drift', monitor, column_name, window_start, window_end,
                    status, reason
                from marts.drift
                where
                    grain = 'day' and model_version = 'all' and segment = 'all'
                    and is_headline

            ),

            judged as (

                select
                    incidents.incident_id,
                    figures.status in ('warning', 'critical') as is_flagged,
                    figures.status = 'critical' as is_critical,
                    figures.window_start,
                    figures.reason,
                    figures.window_start < incidents.ended_at
                    and figures.window_end > incidents.started_at as is_during,
                    exists (
                        select 1
                        from raw.simulated_incidents as others
                        where
                            figures.window_start < others.ended_at
                            and figures.window_end > others.started_at
                    ) as is_during_any

                from raw.simulated_incidents as incidents

                inner join figures
                    on
                        incidents.family = figures.family
                        and (
                            incidents.model_name is null
                            or incidents.model_name = figures.monitor
                        )
                        and incidents.column_name
                        is not distinct from figures.column_name

                where figures.status != 'not_computable'

            )

            select
                incidents.kind,
                incidents.model_name,
                incidents.started_at,
                incidents.ended_at,
                incidents.family,
                incidents.column_name,
                coalesce(bool_or(judged.is_during and judged.is_flagged), false)
                    as is_shown,
                (
                    array_agg(
                        judged.reason
                        order by judged.is_critical desc, judged.window_start
                    ) filter (where judged.is_during and judged.is_flagged)
                )[1] as reason,
                count(*) filter (where judged.is_flagged and not judged.is_during_any)
                    as other_alarms,
                count(*) filter (where not judged.is_during_any) as other_windows

            from raw.simulated_incidents as incidents

            left join judged
                on incidents.incident_id = judged.incident_id

            group by incidents.incident_id

            order by incidents.started_at
            """
        ).fetchall()
