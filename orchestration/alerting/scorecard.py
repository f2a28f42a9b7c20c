"""How well the alert rules noticed what the simulator injected."""

from dataclasses import dataclass, fields
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from orchestration.alerting.incidents import built_marts


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A row of ``marts.detection_scorecard``, as far as people want to see it."""

    incident_id: str
    monitor: str
    kind: str
    size: str | None
    family: str
    column_name: str | None
    started_at: datetime
    is_noticed: bool
    is_right_family: bool
    detected_family: str | None
    detected_rule_id: str | None
    detected_column_name: str | None
    detected_severity: str | None
    delay_windows: int | None


@dataclass(frozen=True, kw_only=True)
class FalseAlarms:
    """What a family of rules found in a monitor while nothing was injected."""

    monitor: str
    family: str
    quiet_day_count: int
    alarm_count: int
    critical_count: int
    rule_ids: list[str]
    column_names: list[str]


def read_detections(connection: psycopg.Connection) -> list[Detection]:
    """Injected incidents in order of time, by monitor."""
    columns = ", ".join(field.name for field in fields(Detection))
    with built_marts(), connection.cursor(row_factory=class_row(Detection)) as cursor:
        return cursor.execute(
            f"select {columns} from marts.detection_scorecard "
            "order by started_at, incident_id, monitor"
        ).fetchall()


def read_false_alarms(connection: psycopg.Connection) -> list[FalseAlarms]:
    """Over all weeks, by monitor and family."""
    with (
        built_marts(),
        connection.cursor(row_factory=class_row(FalseAlarms)) as cursor,
    ):
        return cursor.execute(
            """
            with

            names as (

                select
                    monitor,
                    family,
                    array_agg(distinct rule_id order by rule_id)
                        filter (where rule_id is not null) as rule_ids,
                    array_agg(distinct column_name order by column_name)
                        filter (where column_name != 'all') as column_names
                from marts.false_alarms
                left join lateral unnest(rule_ids) as rules (rule_id) on true
                left join lateral unnest(column_names) as columns (column_name) on true
                group by monitor, family

            )

            select
                weeks.monitor,
                weeks.family,
                sum(weeks.quiet_day_count)::bigint as quiet_day_count,
                sum(weeks.alarm_count)::bigint as alarm_count,
                sum(weeks.critical_count)::bigint as critical_count,
                coalesce(names.rule_ids, '{}') as rule_ids,
                coalesce(names.column_names, '{}') as column_names
            from marts.false_alarms as weeks
            inner join names
                on weeks.monitor = names.monitor and weeks.family = names.family
            group by weeks.monitor, weeks.family, names.rule_ids, names.column_names
            order by weeks.monitor, weeks.family
            """
        ).fetchall()
