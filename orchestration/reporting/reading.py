"""Reads what the report shows from the marts, no finer than it can be shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, dict_row

from orchestration.errors import DriftlineError
from orchestration.reporting.content import (
    METRICS,
    Alert,
    BurnWindow,
    Deployment,
    DriftCell,
    FamilyStatus,
    Figure,
    HistogramBin,
    Incident,
    MonitorReport,
    MonitorSummary,
    PerformanceWindow,
    QualityCell,
    Report,
    SegmentPerformance,
    ServiceWindow,
)

Row = TypeVar("Row")

GRAINS = {
    "5 minutes": timedelta(minutes=5),
    "15 minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}

# More windows than this can't be told apart in a chart, and only cost space.
_WINDOWS = 800
# Days of heat maps; beyond, a cell is less than two pixels wide on a wide screen.
_DAYS = 400
_HISTOGRAM_DAYS = 7

# An index serves (monitor, window_start, grain); model_version and segment filter.
_WHOLE = """
    monitor = %(monitor)s
    and grain = %(grain)s
    and window_start >= %(since)s
    and window_start < %(until)s
    and segment = 'all'
"""

_MONITORS = """
    select
        monitor,
        task,
        owner,
        baseline,
        baseline_row_count,
        traffic_grain,
        first_predicted_at,
        last_predicted_at,
        freshness_status,
        freshness_reason,
        prediction_count,
        service_health_status,
        data_quality_status,
        model_performance_status,
        drift_status,
        status,
        reason,
        availability_target,
        latency_target_ms,
        latency_target_share,
        labels_expected_within_seconds,
        minimum_sample
    from marts.monitors
    order by monitor
"""

_SERVICE = f"""
    select
        window_start,
        window_end,
        request_count,
        error_count,
        error_rate,
        slow_rate,
        expected_request_count,
        latency_p50_ms,
        latency_p95_ms,
        latency_p99_ms,
        status,
        reason
    from marts.service_health
    where {_WHOLE} and model_version = 'all'
    order by window_start
"""

# In the finest grain there is, of which the worst of each window of the report is told:
# a budget that burned for an hour must not vanish in its day.
_BURN_RATES = """
    select
        date_bin(%(bin)s, window_start, timestamptz '2001-01-01 00:00Z')
            as window_start,
        slo,
        alert,
        threshold,
        max(long_burn_rate) as burn_rate,
        coalesce(bool_or(is_burning), false) as is_burning,
        case max(
            case status
                when 'critical' then 3 when 'warning' then 2 when 'ok' then 1 else 0
            end
        )
            when 3 then 'critical' when 2 then 'warning' when 1 then 'ok'
            else 'not_computable'
        end as status
    from marts.burn_rates
    where
        monitor = %(monitor)s
        and model_version = 'all'
        and window_start >= %(since)s
        and window_start < %(until)s
    group by 1, slo, alert, threshold
    order by slo, threshold desc, 1
"""

_DRIFT = f"""
    select
        column_name,
        role,
        window_start,
        method,
        compared_to,
        score,
        threshold,
        noise_floor,
        is_drifted,
        sample_count,
        status,
        reason
    from marts.drift
    where {_WHOLE} and model_version = 'all' and is_headline
    order by column_name, window_start
"""

_QUALITY = f"""
    select
        column_name,
        role,
        window_start,
        row_count,
        null_rate,
        invalid_rate,
        unseen_rate,
        out_of_range_rate,
        duplicate_rate,
        unknown_rate,
        baseline_null_rate,
        status,
        reason
    from marts.data_quality
    where {_WHOLE} and model_version = 'all' and role != 'actual'
    order by column_name, window_start
"""

_HISTOGRAMS = f"""
    select
        column_name,
        bin,
        label,
        lower_bound,
        upper_bound,
        sum(bin_count)::bigint as bin_count,
        coalesce(
            sum(bin_count) / nullif(sum(sum(bin_count)) over of_column, 0), 0
        )::double precision as share,
        max(baseline_share) as baseline_share
    from marts.distributions
    where {_WHOLE} and model_version = 'all'
    group by column_name, bin, label, lower_bound, upper_bound
    window of_column as (partition by column_name)
    order by column_name, bin
"""

_DEPLOYMENTS = """
    select model_version, deployed_at, note
    from marts.deployments
    where
        monitor = %(monitor)s
        and deployed_at >= %(since)s
        and deployed_at < %(until)s
    order by deployed_at, model_version
"""

_INCIDENTS = """
    select
        incident_id,
        title,
        severity,
        state,
        is_muted,
        started_at,
        closed_at,
        families,
        column_names,
        alert_count,
        suspect_reason,
        possible_causes,
        acknowledged_by
    from marts.incidents
    where
        monitor = %(monitor)s
        and started_at < %(until)s
        and (closed_at is null or closed_at > %(since)s)
    order by started_at desc, incident_id
"""

_ALERTS = """
    select
        rule_id,
        family,
        metric,
        column_name,
        grain,
        window_start,
        value,
        severity,
        reason
    from marts.alerts
    where
        monitor = %(monitor)s
        and model_version = 'all'
        and segment = 'all'
        and family in ('service_health', 'model_performance')
        and grain in (%(performance_grain)s, %(service_grain)s)
        and window_start >= %(since)s
        and window_start < %(until)s
        and value is not null
    order by window_start, rule_id
"""


def read_report(
    connection: psycopg.Connection,
    *,
    now: datetime,
    monitors: Sequence[str] = (),
    days: int = 90,
    since: datetime | None = None,
) -> Report:
    """The report on the named ``monitors``, or on all.

    It covers ``days`` up to the newest prediction, or everything from ``since`` on.

    Raises ``DriftlineError`` if there are no marts yet, or none of a named monitor.
    """
    if not _exists(connection, "marts.monitors"):
        raise DriftlineError(
            "There are no marts in this warehouse yet: run `driftline monitor`."
        )
    summaries = _chosen(_read(connection, MonitorSummary, _MONITORS), monitors)
    # A prediction of the future, by a clock gone wrong, must not empty the report.
    newest = [
        min(each.last_predicted_at, now)
        for each in summaries
        if each.last_predicted_at is not None
    ]
    until = _midnight(max(newest, default=now)) + timedelta(days=1)
    since = since or until - timedelta(days=days)
    # Empty days before the first prediction only take the space of the others.
    oldest = [each.first_predicted_at for each in summaries if each.first_predicted_at]
    since = max(since, _midnight(min(oldest))) if oldest else since
    if since >= until:
        raise DriftlineError(
            f"No prediction is as new as {since:%Y-%m-%d}: the newest is of "
            f"{until - timedelta(days=1):%Y-%m-%d}."
        )
    has_incidents = _exists(connection, "marts.incidents")
    has_alerts = _exists(connection, "marts.alerts")
    return Report(
        generated_at=now,
        since=since,
        until=until,
        monitors=tuple(
            _read_monitor(
                connection,
                summary,
                since=since,
                until=until,
                has_incidents=has_incidents,
                has_alerts=has_alerts,
            )
            for summary in summaries
        ),
    )


def _read_monitor(
    connection: psycopg.Connection,
    summary: MonitorSummary,
    *,
    since: datetime,
    until: datetime,
    has_incidents: bool,
    has_alerts: bool,
) -> MonitorReport:
    span = until - since
    day = "day" if span <= timedelta(days=_DAYS) else "week"
    service_grain = _service_grain(summary.traffic_grain, span)

    def parameters(**more: object) -> dict[str, object]:
        return {"monitor": summary.monitor, "since": since, "until": until, **more}

    performance_grain, performance = _read_performance(
        connection, summary, parameters(), [day] if day == "week" else ["day", "week"]
    )
    newest = max(until - timedelta(days=_HISTOGRAM_DAYS), since)
    return MonitorReport(
        summary=summary,
        performance_grain=performance_grain,
        service_grain=service_grain,
        statuses=_read_statuses(connection, parameters(grain="day")),
        performance=performance,
        service=_read(
            connection, ServiceWindow, _SERVICE, parameters(grain=service_grain)
        ),
        burn_rates=_read(
            connection, BurnWindow, _BURN_RATES, parameters(bin=GRAINS[service_grain])
        ),
        drift=_read(connection, DriftCell, _DRIFT, parameters(grain=day)),
        quality=_read(connection, QualityCell, _QUALITY, parameters(grain=day)),
        histograms=_read(
            connection,
            HistogramBin,
            _HISTOGRAMS,
            parameters(grain="day") | {"since": newest},
        ),
        histogram_days=(until - newest).days,
        segments=_read_segments(connection, summary, parameters()),
        deployments=_read(connection, Deployment, _DEPLOYMENTS, parameters()),
        incidents=(
            _read_incidents(connection, parameters()) if has_incidents else None
        ),
        alerts=(
            _read(
                connection,
                Alert,
                _ALERTS,
                parameters(
                    performance_grain=performance_grain, service_grain=service_grain
                ),
            )
            if has_alerts
            else ()
        ),
    )


def _chosen(
    summaries: Sequence[MonitorSummary], names: Sequence[str]
) -> list[MonitorSummary]:
    known = {each.monitor: each for each in summaries}
    for name in names:
        if name not in known:
            raise DriftlineError(
                f"There is no monitor {name!r} in the marts; there are: "
                f"{', '.join(sorted(known)) or 'none'}."
            )
    return [known[name] for name in dict.fromkeys(names)] if names else [*summaries]


def _service_grain(finest: str, span: timedelta) -> str:
    """The finest grain of traffic that a chart of so long a span can show."""
    grains = [*GRAINS][[*GRAINS].index(finest) :]
    for grain in grains:
        if span / GRAINS[grain] <= _WINDOWS:
            return grain
    return grains[-1]


def _read_performance(
    connection: psycopg.Connection,
    summary: MonitorSummary,
    parameters: Mapping[str, object],
    grains: Iterable[str],
) -> tuple[str, tuple[PerformanceWindow, ...]]:
    """The windows of the finest grain that mostly has labels enough, and the grain.

    Where none has, it is the finest: few points tell no more than many.
    """
    finest: tuple[str, tuple[PerformanceWindow, ...]] | None = None
    for grain in grains:
        windows = tuple(
            PerformanceWindow(
                **{name: row[name] for name in _PERFORMANCE_COLUMNS},
                figures={
                    metric: _figure(row, metric) for metric in METRICS[summary.task]
                },
            )
            for row in _read_dicts(
                connection,
                _performance_query(METRICS[summary.task]),
                {**parameters, "grain": grain},
            )
        )
        judged = [
            window.labelled_count >= summary.minimum_sample
            for window in windows
            if window.model_version == "all" and window.labelled_count
        ]
        if sum(judged) * 2 >= len(judged) > 0:
            return grain, windows
        finest = finest or (grain, windows)
    assert finest is not None
    return finest


_PERFORMANCE_COLUMNS = (
    "model_version",
    "window_start",
    "window_end",
    "prediction_count",
    "labelled_count",
    "is_final",
    "status",
    "reason",
)

# Of these the mart has an interval, and an estimate of what to expect.
_WITH_INTERVAL = {
    *("accuracy", "precision", "recall", "f1", "roc_auc"),
    *("mae", "rmse", "mean_error"),
}
_WITH_ESTIMATE = {
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc"),
    *("mae", "rmse"),
}


def _performance_query(metrics: Sequence[str]) -> str:
    return f"""
        select {", ".join(_PERFORMANCE_COLUMNS)}, {_columns_of(metrics)}
        from marts.model_performance
        where {_WHOLE}
        order by model_version, window_start
    """


def _columns_of(metrics: Iterable[str]) -> str:
    """The columns of some figures of performance; our own names, so safe in SQL."""
    columns = []
    for metric in metrics:
        columns += [metric, f"baseline_{metric}"]
        if metric in _WITH_INTERVAL:
            columns += [f"{metric}_lower", f"{metric}_upper"]
        if metric in _WITH_ESTIMATE:
            columns += [f"estimated_{metric}"]
    return ", ".join(columns)


def _figure(row: Mapping[str, Any], metric: str) -> Figure:
    return Figure(
        value=row[metric],
        lower=row.get(f"{metric}_lower"),
        upper=row.get(f"{metric}_upper"),
        baseline=row[f"baseline_{metric}"],
        estimated=row.get(f"estimated_{metric}"),
    )


def _read_segments(
    connection: psycopg.Connection,
    summary: MonitorSummary,
    parameters: Mapping[str, object],
) -> tuple[SegmentPerformance, ...]:
    """Segments in the newest week with labels enough; a final one if there is any."""
    metric = METRICS[summary.task][0]
    return tuple(
        SegmentPerformance(
            segment=row["segment"],
            segment_value=row["segment_value"],
            window_start=row["window_start"],
            labelled_count=row["labelled_count"],
            is_final=row["is_final"],
            figure=_figure(row, metric),
            status=row["status"],
            reason=row["reason"],
        )
        for row in _read_dicts(
            connection,
            f"""
            with newest as (

                select window_start
                from marts.model_performance
                where
                    {_WHOLE}
                    and model_version = 'all'
                    and labelled_count >= %(minimum_sample)s
                order by is_final desc, window_start desc
                limit 1

            )

            select segment, segment_value, {", ".join(_PERFORMANCE_COLUMNS[1:])},
                {_columns_of([metric])}
            from marts.model_performance
            where
                monitor = %(monitor)s
                and grain = %(grain)s
                and model_version = 'all'
                and segment != 'all'
                and window_start = (select newest.window_start from newest)
                and labelled_count > 0
            order by labelled_count desc, segment, segment_value
            limit 200
            """,
            {**parameters, "grain": "week", "minimum_sample": summary.minimum_sample},
        )
    )


def _read_statuses(
    connection: psycopg.Connection, parameters: Mapping[str, object]
) -> tuple[FamilyStatus, ...]:
    return _read(
        connection,
        FamilyStatus,
        """
        select family, window_start, status, reason
        from marts.statuses
        where
            monitor = %(monitor)s
            and model_version = 'all'
            and grain = %(grain)s
            and window_start >= %(since)s
            and window_start < %(until)s
        order by family, window_start
        """,
        parameters,
    )


def _read_incidents(
    connection: psycopg.Connection, parameters: Mapping[str, object]
) -> tuple[Incident, ...]:
    lists = ("families", "column_names", "possible_causes")
    return tuple(
        Incident(**{**row, **{name: tuple(row[name] or ()) for name in lists}})
        for row in _read_dicts(connection, _INCIDENTS, parameters)
    )


def _read(
    connection: psycopg.Connection,
    row_class: Callable[..., Row],
    query: str,
    parameters: Mapping[str, object] | None = None,
) -> tuple[Row, ...]:
    with connection.cursor(row_factory=_factory(row_class)) as cursor:
        return tuple(cursor.execute(query.encode(), parameters).fetchall())


def _factory(row_class: Callable[..., Row]) -> Any:
    return class_row(row_class)  # type: ignore[arg-type]


def _read_dicts(
    connection: psycopg.Connection, query: str, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def _exists(connection: psycopg.Connection, relation: str) -> bool:
    """Whether there is such a relation that this role may read."""
    row = connection.execute(
        "select coalesce(has_table_privilege(to_regclass(%s), 'select'), false)",
        [relation],
    ).fetchone()
    return row is not None and bool(row[0])


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
