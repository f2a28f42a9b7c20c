"""Whether what the other dashboards show is whole and new."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, table, timeseries

from grafana import emission, panels, style
from grafana.emission import OWNED, WHOLE
from grafana.panels import DAILY, HOURLY, Property

_TO_MODEL = emission.url("model", ("owner",), monitor="Monitor")


def build() -> builders.Dashboard:
    """The newest run, freshness by monitor, runs, failed tests, labels."""
    dashboard = emission.of_monitors(
        "pipeline",
        "Driftline pipeline",
        "Runs of dbt, failed tests, how fresh the data is and how labels arrive.",
        [emission.owner_variable(), emission.owned_variable()],
        condition=OWNED,
    )
    for panel in (
        *_headlines(),
        _freshness(),
        _duration(),
        _runs(),
        _failed_tests(),
        *_arrival(),
    ):
        dashboard.with_panel(panel)
    return dashboard


def _headlines() -> list[stat.Panel]:
    newest = panels.stats(
        "Last run",
        """
        select
            status as "Status",
            extract(epoch from (now() - ended_at))::double precision as "Ended ago",
            duration_seconds as "Took"
        from marts.pipeline_runs
        order by ended_at desc
        limit 1
        """,
        description="""The newest dbt run that refreshes windows or incidents. Red: a
            model failed, and the next run does its windows again. Amber: a data test
            failed or warned. A run that was killed is not here: then Ended ago
            grows.""",
        reference="runbooks",
        unit="s",
        steps=style.NO_THRESHOLD,
        no_value="No run yet",
        width=12,
        interval=HOURLY,
        decimals=1,
    )
    newest.override_by_name("Status", [Property("mappings", style.status_mappings())])
    return [
        newest,
        panels.stats(
            "Failed runs",
            """
            select count(*) filter (where status = 'critical') as "Runs"
            from marts.pipeline_runs
            where $__timeFilter(ended_at)
            """,
            description="""dbt runs of the time range in which a model failed. What they
                left undone, the next one does.""",
            reference="runbooks",
            unit="short",
            steps=style.NONE_EXPECTED,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        panels.stats(
            "Silent monitors",
            """
            select
                count(*) filter (where freshness_status in ('warning', 'critical'))
                    as "Monitors"
            from marts.monitors
            where owner in (${owner:sqlstring})
            """,
            description="""Monitors without a prediction for longer than is allowed, or
                usual at these hours of the week, as of now.""",
            reference="runbooks",
            unit="short",
            steps=style.NONE_EXPECTED,
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
        panels.stats(
            "Failed tests",
            """
            select count(*) as "Tests"
            from marts.failed_tests
            where $__timeFilter(failed_at)
            """,
            description="""Data tests that failed or warned in the time range, and
                silences that a run saw. The table below says which.""",
            reference="runbooks",
            unit="short",
            steps=[(None, style.GOOD), (1, style.WARNING)],
            no_value="0",
            width=4,
            interval=HOURLY,
        ),
    ]


def _freshness() -> table.Panel:
    panel = panels.rows(
        "Freshness by monitor, stalest first",
        f"""
        select
            monitor as "Monitor",
            freshness_status as "Freshness",
            seconds_since_last_prediction as "Last prediction",
            last_predicted_at as "Predicted at",
            last_loaded_at as "Loaded at",
            freshness_limit_seconds as "Limit",
            expected_request_count_since_last as "Usual since then",
            prediction_count as "Predictions",
            freshness_reason as "Why"
        from marts.monitors
        where owner in (${{owner:sqlstring}})
        order by {style.status_code("freshness_status")} desc,
            seconds_since_last_prediction desc nulls first, monitor
        """,
        description="""As of now. Without a limit of its own a monitor is judged by the
            requests that are usual in as long a time: seven missing are unlikely, 21
            are impossible. Predicted long ago but loaded just now is a backlog; both
            long ago is a service or a loader that stopped.""",
        reference="service_health",
        no_value="No monitors: dbt has not been run",
        width=24,
        height=7,
        interval=HOURLY,
    )
    panel.override_by_name(
        "Monitor",
        [Property("custom.width", 170), panels.link("Open the model", _TO_MODEL)],
    )
    panel.override_by_name("Freshness", panels.status_cell(width=120))
    for age in ("Last prediction", "Limit"):
        panel.override_by_name(age, panels.number_cell("s", width=145, decimals=1))
    for moment in ("Predicted at", "Loaded at"):
        panel.override_by_name(moment, panels.time_cell())
    for count in ("Usual since then", "Predictions"):
        panel.override_by_name(count, panels.number_cell("short", width=150))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _duration() -> timeseries.Panel:
    panel = panels.lines(
        "Duration of runs",
        """
        select
            ended_at as "time",
            duration_seconds as "duration"
        from marts.pipeline_runs
        where $__timeFilter(ended_at)
        order by 1
        """,
        description="""How long each run took, tests included. It follows the windows
            that changed, not the history: a run that grows has more late rows, or a
            monitor block that changed.""",
        reference="runbooks",
        unit="s",
        no_value="No run in this time range",
        width=8,
        height=10,
        interval=HOURLY,
        minimum=0,
        legend=False,
    )
    return panel.override_by_name(
        "duration",
        [*panels.line_style(style.MEASURED), Property("custom.showPoints", "always")],
    )


def _runs() -> table.Panel:
    panel = panels.rows(
        "Runs, newest first",
        """
        select
            ended_at as "Ended",
            status as "Status",
            duration_seconds as "Took",
            succeeded_count as "Built",
            failed_count as "Failed",
            skipped_count as "Skipped",
            failed_test_count as "Failed tests",
            reason as "Why"
        from marts.pipeline_runs
        where $__timeFilter(ended_at)
        order by ended_at desc
        limit 200
        """,
        description="""Each dbt run of the time range: what was built, what failed, and
            what was skipped since it rests on that.""",
        reference="runbooks",
        no_value="No run in this time range",
        width=16,
        height=10,
        interval=HOURLY,
    )
    panel.override_by_name("Ended", panels.time_cell())
    panel.override_by_name("Status", panels.status_cell(width=110))
    panel.override_by_name("Took", panels.number_cell("s", width=90, decimals=1))
    for count in ("Built", "Failed", "Skipped"):
        panel.override_by_name(count, panels.number_cell("short", width=90))
    panel.override_by_name("Failed tests", panels.number_cell("short", width=120))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _failed_tests() -> table.Panel:
    panel = panels.rows(
        "Failed tests, newest first",
        """
        select
            failed_at as "Failed at",
            status as "Result",
            coalesce(monitor, 'any') as "Monitor",
            test_name as "Test",
            message as "Message"
        from marts.failed_tests
        where $__timeFilter(failed_at)
        order by failed_at desc, test_name
        limit 200
        """,
        description="""Data tests of dbt that failed or warned, and monitors that fell
            silent. One that fails in each run is a fault of the log, or a test that
            should be a warning.""",
        reference="runbooks",
        no_value="No test failed in this time range",
        width=24,
        height=8,
        interval=HOURLY,
    )
    panel.override_by_name("Failed at", panels.time_cell())
    panel.override_by_name("Result", panels.result_cell(width=110))
    panel.override_by_name("Monitor", [Property("custom.width", 160)])
    panel.override_by_name("Test", [Property("custom.width", 420)])
    return panel.override_by_name("Message", [Property("custom.inspect", True)])


def _arrival() -> list[timeseries.Panel]:
    def by_monitor(figure: str) -> str:
        return f"""
            select
                window_start as "time",
                monitor as metric,
                {figure} as figure
            from marts.model_performance
            where {OWNED}
                and {WHOLE}
                and grain = 'day'
                and {figure} is not null
                and $__timeFilter(window_start)
            order by 1, 2
            """

    return [
        panels.lines(
            "Predictions by day",
            by_monitor("prediction_count"),
            description="""What each day of the log holds by now, late rows included. A
                day that is lower than its neighbours was lost on the way, if the
                service itself had no fewer requests.""",
            reference="model_performance",
            unit="short",
            no_value="No predictions in this time range",
            width=8,
            height=8,
            interval=DAILY,
            minimum=0,
        ),
        panels.lines(
            "Label coverage by day",
            by_monitor("label_coverage"),
            description="""Share of each day's predictions whose label is there. The
                last days are lower, because theirs are still coming; a step means that
                the job that loads labels stopped.""",
            reference="model_performance",
            unit="percentunit",
            no_value="No predictions in this time range",
            width=8,
            height=8,
            interval=DAILY,
            minimum=0,
            maximum=1,
        ),
        panels.lines(
            "Label delay, 95th percentile",
            by_monitor("label_delay_p95_seconds / 3600"),
            description="""19 of 20 labels that are there came within this time of their
                prediction. If it grows, performance is known later.""",
            reference="model_performance",
            unit="h",
            no_value="No labels in this time range",
            width=8,
            height=8,
            interval=DAILY,
            minimum=0,
        ),
    ]
