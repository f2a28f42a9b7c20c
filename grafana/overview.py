"""The first dashboard to open: are my models all right, and which one isn't?"""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

from grafana import emission, panels, style
from grafana.panels import DAILY, HOURLY, Property

UID = "driftline-overview"

# On one line: it is set into SQL that is indented.
_OWNED = (
    "monitor in "
    "(select monitor from marts.monitors where owner in (${owner:sqlstring}))"
)
_WHOLE = "model_version = 'all' and segment = 'all'"

_TO_MODEL = (
    "/d/driftline-model?${__url_time_range}&${owner:queryparam}&${grain:queryparam}"
    "&var-monitor=${__data.fields.Monitor:percentencode}"
)


def build() -> builders.Dashboard:
    """Headlines, one row per monitor, the history of their statuses, their traffic."""
    dashboard = (
        emission.new_dashboard(
            UID,
            "Driftline overview",
            "All monitored models: what is wrong now, since when, and how they serve.",
        )
        .with_variable(emission.owner_variable())
        .with_variable(emission.grain_variable())
        .annotation(emission.deployments(_OWNED))
    )
    for panel in (*_headlines(), _monitors(), _history(), *_traffic()):
        dashboard.with_panel(panel)
    return dashboard


def _headlines() -> list[stat.Panel]:
    return [
        panels.stats(
            "Monitors",
            """
            select count(*) as "Monitors"
            from marts.monitors
            where owner in (${owner:sqlstring})
            """,
            description="How many models are monitored for the chosen owners.",
            unit="short",
            steps=style.NO_THRESHOLD,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        panels.stats(
            "Critical",
            """
            select count(*) filter (where status = 'critical') as "Critical"
            from marts.monitors
            where owner in (${owner:sqlstring})
            """,
            description="""Monitors with at least one family that is critical on its
                newest day. The table below says which, and why. Aim for 0.""",
            unit="short",
            steps=style.COUNT_OF_CRITICAL,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        panels.stats(
            "Stalest monitor",
            """
            select max(seconds_since_last_prediction) as "Age"
            from marts.monitors
            where owner in (${owner:sqlstring})
            """,
            description="""Age of the newest prediction of the monitor that is furthest
                behind. If it grows, its service or its loading has stopped, and
                everything else on this page is old. Amber after 26 hours, red after
                50.""",
            unit="s",
            steps=style.STALENESS_SECONDS,
            decimals=1,
            no_value="No predictions yet",
            width=4,
            interval=HOURLY,
        ),
        panels.stats(
            "Label coverage",
            f"""
            select
                sum(labelled_count)::double precision / sum(prediction_count)
                    as "Coverage"
            from marts.model_performance
            where {_OWNED}
                and {_WHOLE}
                and grain = 'day'
                and is_final
                and $__timeFilter(window_start)
            """,
            description="""Share of predictions whose outcome is known, over the days
                of the time range that are old enough for their labels to have come.
                Performance is measured on these rows only.""",
            unit="percentunit",
            steps=style.LABEL_COVERAGE,
            decimals=1,
            no_value="No final days",
            width=4,
            interval=DAILY,
        ),
        panels.stats(
            "Requests",
            f"""
            select
                window_start as "time",
                sum(request_count) as "Requests"
            from marts.service_health
            where {_OWNED}
                and {_WHOLE}
                and grain = 'day'
                and $__timeFilter(window_start)
            group by window_start
            order by 1
            """,
            description="""Predictions that were asked for in the time range, failed
                ones too, with the daily counts as a line.""",
            unit="short",
            steps=style.NO_THRESHOLD,
            no_value="No requests",
            width=4,
            interval=DAILY,
            is_series=True,
            calculation="sum",
            sparkline=True,
        ),
        panels.stats(
            "Failed",
            f"""
            select
                sum(error_count)::double precision / sum(request_count) as "Failed"
            from marts.service_health
            where {_OWNED}
                and {_WHOLE}
                and grain = 'day'
                and $__timeFilter(window_start)
            """,
            description="""Share of the requests of the time range that failed. Amber
                and red at 5 and 20 times an error budget of 0.1 %.""",
            unit="percentunit",
            steps=style.ERROR_RATE,
            decimals=2,
            no_value="No requests",
            width=4,
            interval=DAILY,
        ),
    ]


def _monitors() -> table.Panel:
    panel = panels.rows(
        "Monitors, worst first",
        f"""
        select
            monitor as "Monitor",
            status as "Status",
            service_health_status as "Service health",
            data_quality_status as "Data quality",
            model_performance_status as "Performance",
            drift_status as "Drift",
            seconds_since_last_prediction as "Last prediction",
            prediction_count as "Predictions",
            task as "Task",
            owner as "Owner",
            reason as "Why"
        from marts.monitors
        where owner in (${{owner:sqlstring}})
        order by {style.status_code("status")} desc, monitor
        """,
        description="""One row for each monitor. A family's cell is its status on its
            newest day, all versions together; Status is the worst of them, and Why says
            what was found. Grey means that nothing could be computed, which is no pass.
            Click a monitor or a status to open the model.""",
        no_value="No monitors: dbt has not been run",
        width=24,
        height=8,
        interval=HOURLY,
    )
    to_model = panels.link("Open ${__data.fields.Monitor}", _TO_MODEL)
    panel.override_by_name("Monitor", [Property("custom.width", 170), to_model])
    for family in (
        "Status",
        "Service health",
        "Data quality",
        "Performance",
        "Drift",
    ):
        panel.override_by_name(family, [*panels.status_cell(width=120), to_model])
    panel.override_by_name(
        "Last prediction",
        [
            Property("unit", "s"),
            Property("decimals", 1),
            Property("custom.width", 120),
            Property("color", {"mode": "thresholds"}),
            Property("custom.cellOptions", {"type": "color-text"}),
            Property("thresholds", style.thresholds(style.STALENESS_SECONDS).build()),
        ],
    )
    panel.override_by_name(
        "Predictions", [Property("unit", "short"), Property("custom.width", 100)]
    )
    panel.override_by_name("Task", [Property("custom.width", 100)])
    panel.override_by_name("Owner", [Property("custom.width", 120)])
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _history() -> statetimeline.Panel:
    return panels.status_timeline(
        "Status by monitor and family",
        f"""
        select
            window_start as "time",
            monitor || ', '
                || replace(replace(family, 'model_', ''), '_', ' ') as metric,
            {style.status_code("status")} as code
        from marts.statuses
        where {_OWNED}
            and model_version = 'all'
            and grain = 'day'
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Since when? Each band is one family of one monitor, day by day:
            the worst status of its rows, all versions together. Dashed purple lines are
            deployments: look at what changes colour right after one.""",
        no_value="No days in this time range",
        width=24,
        height=11,
        interval=DAILY,
    )


def _traffic() -> list[timeseries.Panel]:
    def by_monitor(column: str) -> str:
        return f"""
            select
                window_start as "time",
                monitor as metric,
                {column}
            from marts.service_health
            where {_OWNED}
                and {_WHOLE}
                and grain in (${{grain:sqlstring}})
                and $__timeFilter(window_start)
            order by 1, 2
            """

    return [
        panels.lines(
            "Error rate",
            by_monitor("error_rate"),
            description="""Share of each window's requests that failed. The dashed lines
                are 5 and 20 times an error budget of 0.1 %. A single failure in a quiet
                hour can touch them: the status above weighs the number of requests.""",
            unit="percentunit",
            steps=style.ERROR_RATE,
            no_value="No requests in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            minimum=0,
        ),
        panels.lines(
            "Latency, 95th percentile",
            by_monitor("latency_p95_ms"),
            description="""19 of 20 requests of the window were answered faster. Steps
                up that stay are regressions, often of a deployment.""",
            unit="ms",
            no_value="No latencies in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            minimum=0,
        ),
        panels.lines(
            "Requests",
            by_monitor("request_count"),
            description="""Predictions asked for in each window, stacked by monitor. A
                gap is a window without any request.""",
            unit="short",
            no_value="No requests in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            minimum=0,
            bars=True,
        ),
        panels.lines(
            "Label coverage",
            f"""
            select
                window_start as "time",
                monitor as metric,
                label_coverage
            from marts.model_performance
            where {_OWNED}
                and {_WHOLE}
                and grain = 'day'
                and $__timeFilter(window_start)
            order by 1, 2
            """,
            description="""Share of each day's predictions whose outcome is known. The
                last days are lower, because their labels are still coming; a drop
                further back means that labels get lost.""",
            unit="percentunit",
            no_value="No predictions in this time range",
            width=12,
            height=8,
            interval=DAILY,
            minimum=0,
            maximum=1,
        ),
    ]
