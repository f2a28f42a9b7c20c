"""The first dashboard to open: are my models all right, and which one isn't?"""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import ScaleDistribution

from grafana import emission, panels, rules, style
from grafana.emission import OWNED, WHOLE
from grafana.panels import DAILY, HOURLY, Property

_KEPT = ("owner", "grain")
_TO_MODEL = emission.url("model", _KEPT, monitor="Monitor")
_TO_INCIDENT = emission.url("incident", ("owner",), monitor="Monitor", incident="ID")
_TO_PIPELINE = emission.url("pipeline", ("owner",))
_FAMILIES = {
    "Service health": emission.url("service", _KEPT, monitor="Monitor"),
    "Data quality": emission.url("data-quality", ("owner",), monitor="Monitor"),
    "Performance": emission.url("labels", ("owner",), monitor="Monitor"),
    "Drift": emission.url("drift", ("owner",), monitor="Monitor"),
}


def build() -> builders.Dashboard:
    """Headlines, one row per monitor, what goes on, the history, the traffic."""
    dashboard = emission.of_monitors(
        "overview",
        "Driftline overview",
        "All monitored models: what is wrong now, since when, and how they serve.",
        [
            emission.owner_variable(),
            emission.owned_variable(),
            emission.grain_variable(OWNED),
        ],
        condition=OWNED,
    )
    for panel in (
        *_headlines(),
        _monitors(),
        _incidents(),
        _history(),
        *_traffic(),
    ):
        dashboard.with_panel(panel)
    return dashboard


def _headlines() -> list[stat.Panel]:
    def count(
        title: str, condition: str, *, description: str, reference: str
    ) -> stat.Panel:
        return panels.stats(
            title,
            f"""
            select count(*) filter (where {condition}) as "{title}"
            from marts.monitors
            where owner in (${{owner:sqlstring}})
            """,
            description=description,
            reference=reference,
            unit="short",
            steps=style.NONE_EXPECTED,
            no_value="0",
            width=4,
            interval=HOURLY,
        )

    run = panels.stats(
        "Last pipeline run",
        """
        select status as "Status"
        from marts.pipeline_runs
        order by ended_at desc
        limit 1
        """,
        description="""What came of the newest dbt run. Red: a model failed, and all
            else on this page may be old. Amber: a data test failed. Click it for the
            runs.""",
        reference="runbooks",
        unit="none",
        steps=style.NO_THRESHOLD,
        no_value="No run yet",
        width=4,
        interval=HOURLY,
    )
    run.mappings(style.status_mappings())
    run.override_by_name("Status", [panels.link("Runs", _TO_PIPELINE)])
    return [
        panels.stats(
            "Monitors",
            """
            select count(*) as "Monitors"
            from marts.monitors
            where owner in (${owner:sqlstring})
            """,
            description="How many models are monitored for the chosen owners.",
            reference="service_health",
            unit="short",
            steps=style.NO_THRESHOLD,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        count(
            "Critical",
            "status = 'critical'",
            description="""Monitors with at least one family that is critical on its
                newest day. The table below says which, and why. Aim for 0.""",
            reference="service_health",
        ),
        panels.stats(
            "Open incidents",
            """
            select count(*) as "Incidents"
            from marts.incidents
            where owner in (${owner:sqlstring})
                and state = 'open'
                and not is_muted
            """,
            description="""What alert rules found and nobody has acknowledged yet,
                whatever time range is chosen. Muted ones are left out.""",
            reference="alerts",
            unit="short",
            steps=style.NONE_EXPECTED,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        count(
            "Silent monitors",
            "freshness_status in ('warning', 'critical')",
            description="""Monitors without a prediction for longer than is allowed, or
                usual at these hours of the week. Their service or its loading has
                stopped, and everything else that is said of them is old.""",
            reference="service_health",
        ),
        panels.stats(
            "Label coverage",
            f"""
            select
                sum(labelled_count)::double precision / sum(prediction_count)
                    as "Coverage"
            from marts.model_performance
            where {OWNED}
                and {WHOLE}
                and grain = 'day'
                and is_final
                and $__timeFilter(window_start)
            """,
            description="""Share of predictions whose outcome is known, over the days
                of the time range that are old enough for their labels to have come.
                Performance is measured on these rows only.""",
            reference="model_performance",
            unit="percentunit",
            steps=style.NO_THRESHOLD,
            decimals=1,
            no_value="No final days",
            width=4,
            interval=DAILY,
        ),
        run,
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
            freshness_status as "Freshness",
            seconds_since_last_prediction as "Last prediction",
            owner as "Owner",
            reason as "Why"
        from marts.monitors
        where owner in (${{owner:sqlstring}})
        order by {style.status_code("status")} desc, monitor
        """,
        description="""One row for each monitor. A family's cell is its status on its
            newest day, all versions together; Status is the worst of them, and Why says
            what was found. Grey means that nothing could be computed, which is no pass.
            Click a monitor to open the model, a family's cell for what is behind
            it.""",
        reference="service_health",
        no_value="No monitors: dbt has not been run",
        width=24,
        height=7,
        interval=HOURLY,
    )
    to_model = panels.link("Open the model", _TO_MODEL)
    panel.override_by_name("Monitor", [Property("custom.width", 160), to_model])
    panel.override_by_name("Status", [*panels.status_cell(width=120), to_model])
    for family, url in _FAMILIES.items():
        # Wide enough for "not computable", and for the longest of their names.
        width = 135 if family == "Service health" else 120
        panel.override_by_name(
            family, [*panels.status_cell(width=width), panels.link(family, url)]
        )
    panel.override_by_name("Freshness", panels.status_cell(width=120))
    panel.override_by_name(
        "Last prediction", panels.number_cell("s", width=145, decimals=1)
    )
    panel.override_by_name("Owner", [Property("custom.width", 110)])
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _incidents() -> table.Panel:
    panel = panels.rows(
        "Incidents that go on, newest first",
        """
        select
            incident_id as "ID",
            monitor as "Monitor",
            severity as "Severity",
            case when is_muted then 'muted' else state end as "State",
            opened_at as "Opened",
            last_alert_at as "Last alert",
            suspect_reason as "First suspect",
            array_to_string(possible_causes, '; ') as "Possible causes"
        from marts.incidents
        where owner in (${owner:sqlstring})
            and state != 'resolved'
        order by opened_at desc, incident_id
        """,
        description="""Alerts that belong together, whatever time range is chosen. The
            first suspect is what went wrong furthest upstream. Click one for all of its
            alerts and what to do.""",
        reference="alerts",
        no_value="No incident goes on",
        width=24,
        height=7,
        interval=HOURLY,
    )
    to_incident = panels.link("Open the incident", _TO_INCIDENT)
    panel.override_by_name("ID", [Property("custom.width", 130), to_incident])
    panel.override_by_name("Monitor", [Property("custom.width", 150)])
    panel.override_by_name("Severity", [*panels.status_cell(width=100), to_incident])
    panel.override_by_name("State", panels.state_cell(width=110))
    for moment in ("Opened", "Last alert"):
        panel.override_by_name(moment, panels.time_cell())
    panel.override_by_name("First suspect", [Property("custom.inspect", True)])
    return panel.override_by_name("Possible causes", [Property("custom.inspect", True)])


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
        where {OWNED}
            and model_version = 'all'
            and grain = 'day'
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Since when? Each band is one family of one monitor, day by day:
            the worst status of its rows, all versions together. Dashed purple lines are
            deployments: look at what changes colour right after one.""",
        reference="service_health",
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
            where {OWNED}
                and {WHOLE}
                and grain in (${{grain:sqlstring}})
                and $__timeFilter(window_start)
            order by 1, 2
            """

    return [
        panels.lines(
            "Burn rate of availability",
            by_monitor("burn_rate_availability"),
            description="""How many times as fast as it may each window uses up its
                monitor's budget of failed requests: 1 is sustainable, 14.4 spends 2 %
                of a month's budget in an hour. A single failure in a quiet hour can
                touch the dashed lines: alarms ask for ten failures, over a long and a
                short time.""",
            reference="service_health",
            unit="none",
            steps=rules.steps(
                "availability_burn_3d", "availability_burn_6h", "availability_burn_1h"
            ),
            no_value="No requests in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            decimals=1,
            minimum=0,
            logarithmic=ScaleDistribution.SYMLOG,
        ),
        panels.lines(
            "Latency, 95th percentile",
            by_monitor("latency_p95_ms"),
            description="""19 of 20 requests of the window were answered faster. Steps
                up that stay are regressions, often of a deployment.""",
            reference="service_health",
            unit="ms",
            no_value="No latencies in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            logarithmic=ScaleDistribution.LOG,
        ),
        panels.lines(
            "Requests",
            by_monitor("request_count"),
            description="""Predictions asked for in each window, stacked by monitor. A
                gap is a window without any request.""",
            reference="service_health",
            unit="short",
            no_value="No requests in this time range",
            width=12,
            height=8,
            interval=HOURLY,
            minimum=0,
            bars=True,
        ),
        panels.lines(
            "Label coverage by day",
            f"""
            select
                window_start as "time",
                monitor as metric,
                label_coverage
            from marts.model_performance
            where {OWNED}
                and {WHOLE}
                and grain = 'day'
                and $__timeFilter(window_start)
            order by 1, 2
            """,
            description="""Share of each day's predictions whose outcome is known. The
                last days are lower, because their labels are still coming; a drop
                further back means that labels get lost.""",
            reference="model_performance",
            unit="percentunit",
            no_value="No predictions in this time range",
            width=12,
            height=8,
            interval=DAILY,
            minimum=0,
            maximum=1,
        ),
    ]
