"""What the warehouse knows of a relation, and the headline figures of marts.

Cheap enough to ask after every model of every run: no table is scanned.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg


@dataclass(frozen=True, kw_only=True)
class RelationFacts:
    """``column_types`` by name, in order.

    ``row_count`` is by Postgres's statistics, which every model renews when it changes;
    None of a view. ``size_bytes`` counts indexes, too.
    """

    column_types: Mapping[str, str]
    row_count: int | None
    size_bytes: int


def exists(connection: psycopg.Connection, relation: str) -> bool:
    """Whether there is a table or view of that name, with its schema."""
    row = connection.execute(
        "select to_regclass(%s) is not null", [relation]
    ).fetchone()
    return bool(row and row[0])


def describe_relation(
    connection: psycopg.Connection, schema: str, name: str
) -> RelationFacts | None:
    """What is known of a table or view; None if it is not there."""
    row = connection.execute(
        """
        select
            case when relations.relkind != 'v' and relations.reltuples >= 0
                then relations.reltuples::bigint
            end,
            pg_total_relation_size(relations.oid),
            array_agg(columns.attname::text order by columns.attnum),
            array_agg(
                format_type(columns.atttypid, columns.atttypmod)
                order by columns.attnum
            )
        from pg_class as relations
        inner join pg_attribute as columns
            on
                relations.oid = columns.attrelid
                and columns.attnum > 0
                and not columns.attisdropped
        where relations.oid = to_regclass(format('%%I.%%I', %s::text, %s::text))
        group by relations.oid, relations.relkind, relations.reltuples
        """,
        [schema, name],
    ).fetchone()
    if row is None:
        return None
    row_count, size_bytes, names, types = row
    return RelationFacts(
        column_types=dict(zip(names, types, strict=True)),
        row_count=row_count,
        size_bytes=size_bytes,
    )


# Of each monitor's newest day that is over; of performance, the newest that is final.
_HEADLINES: Mapping[str, str] = {
    "service_health": """
        select distinct on (monitor)
            monitor, request_count, availability, latency_p95_ms
        from marts.service_health
        inner join newest_days using (monitor, window_start)
        where grain = 'day' and model_version = 'all' and segment = 'all'
        order by monitor, window_start desc
    """,
    "model_performance": """
        select distinct on (monitor)
            monitor, label_coverage, accuracy, roc_auc, mae
        from marts.model_performance
        where
            grain = 'day' and model_version = 'all' and segment = 'all' and is_final
            and window_end <= now()
        order by monitor, window_start desc
    """,
    "data_quality": """
        select distinct on (monitor)
            monitor,
            count(*) filter (where status in ('warning', 'critical'))
                as flagged_column_count,
            max(null_rate) filter (where role = 'feature') as largest_null_rate
        from marts.data_quality
        inner join newest_days using (monitor, window_start)
        where grain = 'day' and model_version = 'all' and segment = 'all'
        group by monitor, window_start
        order by monitor, window_start desc
    """,
    "drift": """
        select distinct on (monitor)
            monitor,
            count(*) filter (where is_headline and is_drifted) as drifted_column_count,
            max(score) filter (
                where method = 'psi' and compared_to = 'baseline' and role = 'feature'
            ) as largest_psi
        from marts.drift
        inner join newest_days using (monitor, window_start)
        where
            engine = 'sql'
            and grain = 'day' and model_version = 'all' and segment = 'all'
        group by monitor, window_start
        order by monitor, window_start desc
    """,
    "incidents": """
        select monitor, count(*) filter (where closed_at is null) as open_count
        from marts.incidents
        group by monitor
    """,
}

# Only a few, so that the cost does not grow with the history.
_NEWEST_DAYS = """
    with newest_days as (

        select
            monitor,
            days.window_start
        from intermediate.int_traffic_spans
        cross join lateral generate_series(
            date_trunc('day', newest_window_end, 'UTC') - interval '2 days',
            date_trunc('day', newest_window_end, 'UTC'),
            interval '24 hours'
        ) as days (window_start)
        where days.window_start + interval '24 hours' <= now()

    )
"""


def headline_figures(
    connection: psycopg.Connection, mart: str
) -> dict[str, dict[str, float]]:
    """The figures of a mart by which it is known, by their name and the monitor's.

    Figures that a monitor does not have are left out; so are all of other relations,
    and while the first build has not yet come to the view that tells the newest day.
    """
    found: dict[str, dict[str, float]] = {}
    if mart not in _HEADLINES:
        return found
    try:
        cursor = connection.execute(_NEWEST_DAYS + _HEADLINES[mart])
    except psycopg.errors.UndefinedTable:
        return found
    names = [column.name for column in cursor.description or ()][1:]
    for monitor, *values in cursor:
        for name, value in zip(names, values, strict=True):
            if value is not None:
                found.setdefault(name, {})[monitor] = float(value)
    return found
