"""One model: how well it predicts, how it serves, and what its columns do."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statushistory, table, timeseries
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueTextMode

from grafana import emission, panels, style
from grafana.panels import DAILY, HOURLY, Property

UID = "driftline-model"

_MODEL = "monitor in (${monitor:sqlstring})"
_VERSION = f"{_MODEL} and model_version in (${{version:sqlstring}})"
_SEGMENT = (
    f"{_VERSION} and segment in (${{segment:sqlstring}}) "
    "and segment_value in (${segment_value:sqlstring})"
)
# Columns are shown for all segments together.
_COLUMNS = f"{_VERSION} and segment = 'all' and grain = 'day'"
_COLUMN = f"{_COLUMNS} and column_name in (${{column:sqlstring}})"

_TO_COLUMN = (
    f"/d/{UID}?${{__url_time_range}}&${{owner:queryparam}}&${{monitor:queryparam}}"
    "&${version:queryparam}&${segment:queryparam}&${segment_value:queryparam}"
    "&${grain:queryparam}&var-column=${__data.fields.Column:percentencode}"
)

_RATIO_SERIES = "/^(accuracy|baseline accuracy|provisional accuracy)/"
_PROVISIONAL = [
    *panels.line_style(style.PROVISIONAL, dash=[4, 4]),
    Property("custom.showPoints", "always"),
]
_REFERENCE = [
    *panels.line_style(style.REFERENCE, dash=[10, 6]),
    Property("custom.showPoints", "never"),
]
_LIMIT = [
    *panels.line_style(style.CRITICAL, dash=[10, 6], width=1),
    Property("custom.showPoints", "never"),
]
_NOISE = [
    *panels.line_style(style.REFERENCE, dash=[2, 4], width=1),
    Property("custom.showPoints", "never"),
]


def build() -> builders.Dashboard:
    """Status and reason, then performance, traffic, all columns, each chosen column."""
    dashboard = emission.new_dashboard(
        UID,
        "Driftline model",
        "One monitored model: its performance, traffic, data quality and drift.",
    ).annotation(emission.deployments(_MODEL))
    for variable in _variables():
        dashboard.with_variable(variable)
    for panel in (*_headlines(), _reason()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Performance"))
    for panel in (*_performance(), *_comparisons()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Traffic"))
    for panel in _traffic():
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Columns, all segments together"))
    for panel in (_worst_columns(), *_column_history()):
        dashboard.with_panel(panel)
    # One such row for each column that is chosen.
    dashboard.with_row(builders.Row("Column: $column").repeat("column"))
    for panel in _column():
        dashboard.with_panel(panel)
    return dashboard


def _variables() -> list[builders.QueryVariable | builders.CustomVariable]:
    return [
        emission.owner_variable(),
        emission.query_variable(
            "monitor",
            "Monitor",
            """
            select monitor
            from marts.monitors
            where owner in (${owner:sqlstring})
            order by monitor
            """,
            description="The monitored model.",
        ),
        emission.query_variable(
            "version",
            "Version",
            f"""
            select model_version
            from marts.service_health
            where {_MODEL}
                and segment = 'all'
                and grain = 'day'
            group by model_version
            order by model_version != 'all', model_version
            """,
            description="A version of the model, or all of them together.",
        ),
        emission.query_variable(
            "segment",
            "Segment",
            f"""
            select segment
            from marts.service_health
            where {_VERSION}
                and grain = 'day'
            group by segment
            order by segment != 'all', segment
            """,
            description="""By what to divide performance and traffic, or all for no
                division.""",
        ),
        emission.query_variable(
            "segment_value",
            "Segment value",
            f"""
            select segment_value
            from marts.service_health
            where {_VERSION}
                and segment in (${{segment:sqlstring}})
                and grain = 'day'
            group by segment_value
            order by segment_value
            """,
            description="The part of the predictions to show.",
        ),
        emission.grain_variable(),
        emission.query_variable(
            "column",
            "Column",
            f"""
            select column_name
            from marts.data_quality
            where {_COLUMNS}
            group by column_name
            order by column_name
            """,
            description="The columns to show in detail at the end.",
            with_all=True,
        ),
    ]


def _figures(*names: str) -> str:
    """SQL for figures as rows of (metric, value), of which a model has only its own.

    Each name is a column of the mart and the name of its series, joined by " as ", or
    one word for both.
    """
    pairs = (name.partition(" as ") for name in names)
    values = ", ".join(
        f"('{series or column}', {column})" for column, _, series in pairs
    )
    return f"cross join lateral (values {values}) as figures (metric, value)"


def _headlines() -> list[stat.Panel]:
    statuses = panels.stats(
        "Status now",
        f"""
        select
            service_health_status as "Service health",
            data_quality_status as "Data quality",
            model_performance_status as "Performance",
            drift_status as "Drift"
        from marts.monitors
        where {_MODEL}
        """,
        description="""The worst finding of each family on its newest day, all versions
            and segments together, whatever time range is chosen. Grey means that
            nothing could be computed, which is no pass.""",
        unit="none",
        steps=style.NO_THRESHOLD,
        no_value="Unknown",
        width=10,
        interval=HOURLY,
        text=BigValueTextMode.VALUE_AND_NAME,
    )
    statuses.mappings(style.status_mappings())
    statuses.color_mode(BigValueColorMode.BACKGROUND_SOLID)
    performance = panels.stats(
        "Newest final performance",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            _figures(
                "accuracy",
                "baseline_accuracy as baseline accuracy",
                "mae as mean absolute error",
                "baseline_mae as baseline mean absolute error",
            )
        }
        where {_SEGMENT}
            and grain = 'day'
            and is_final
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The newest day whose labels have come, beside the baseline:
            accuracy (share that was right) of a classifier, mean absolute error in the
            unit of the prediction of a regression.""",
        unit="none",
        steps=style.NO_THRESHOLD,
        no_value="No final day with labels",
        width=6,
        interval=DAILY,
        decimals=2,
        is_series=True,
        text=BigValueTextMode.VALUE_AND_NAME,
    )
    _as_percentage(performance, "/accuracy/")
    performance.override_by_regexp(
        "/^baseline/", [Property("color", _fixed(style.REFERENCE))]
    )
    return [
        statuses,
        performance,
        panels.stats(
            "Label coverage",
            f"""
            select
                sum(labelled_count)::double precision / sum(prediction_count)
                    as "Coverage"
            from marts.model_performance
            where {_SEGMENT}
                and grain = 'day'
                and is_final
                and $__timeFilter(window_start)
            """,
            description="""Share of predictions whose outcome is known, over the days
                of the time range that are old enough for their labels to have come.""",
            unit="percentunit",
            steps=style.LABEL_COVERAGE,
            no_value="No final days",
            width=4,
            interval=DAILY,
            decimals=1,
        ),
        panels.stats(
            "Last prediction",
            f"""
            select seconds_since_last_prediction as "Age"
            from marts.monitors
            where {_MODEL}
            """,
            description="""Age of the newest prediction. If it grows, the service or its
                loading has stopped. Amber after 26 hours, red after 50.""",
            unit="s",
            steps=style.STALENESS_SECONDS,
            no_value="No predictions yet",
            width=4,
            interval=HOURLY,
            decimals=1,
        ),
    ]


def _reason() -> table.Panel:
    panel = panels.rows(
        "What is wrong now",
        f"""
        select coalesce(reason, 'Nothing.') as "Finding"
        from marts.monitors
        where {_MODEL}
        """,
        description="""The findings behind the statuses above, in words, each with its
            figure. Look for the same column or metric further down.""",
        no_value="Unknown monitor",
        width=24,
        height=3,
        interval=HOURLY,
    )
    panel.show_header(False)
    return panel.override_by_name(
        "Finding", [Property("custom.cellOptions", {"type": "auto", "wrapText": True})]
    )


def _performance() -> list[timeseries.Panel]:
    headline = panels.lines(
        "Performance against the baseline",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            _figures(
                "case when is_final then accuracy end as accuracy",
                "case when not is_final then accuracy end as provisional accuracy",
                "accuracy_lower as accuracy, lower",
                "accuracy_upper as accuracy, upper",
                "baseline_accuracy as baseline accuracy",
                "case when is_final then mae end as mean absolute error",
                "case when not is_final then mae end"
                " as provisional mean absolute error",
                "mae_lower as mean absolute error, lower",
                "mae_upper as mean absolute error, upper",
                "baseline_mae as baseline mean absolute error",
            )
        }
        where {_SEGMENT}
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Accuracy of a classifier (higher is better), mean absolute error
            of a regression (lower is better), by day of the prediction. The band is the
            95 % confidence interval: the model is worse than its baseline (grey dashes)
            only where the whole band is. Light dots are provisional: labels of those
            days are still coming.""",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=12,
        height=10,
        interval=DAILY,
        decimals=2,
    )
    _as_percentage(headline, "/accuracy/")
    for figure in ("accuracy", "mean absolute error"):
        panels.band(headline, upper=f"{figure}, upper", lower=f"{figure}, lower")
        headline.override_by_name(figure, panels.line_style(style.MEASURED))
        headline.override_by_name(f"provisional {figure}", _PROVISIONAL)
        headline.override_by_name(f"baseline {figure}", _REFERENCE)
    coverage = panels.lines(
        "Label coverage",
        f"""
        select
            window_start as "time",
            case when is_final then label_coverage end as "coverage",
            case when not is_final then label_coverage end as "provisional coverage"
        from marts.model_performance
        where {_SEGMENT}
            and grain = 'day'
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""Share of each day's predictions whose outcome is known. Low where
            final: labels get lost, and performance rests on fewer rows. Low at the end:
            they are still coming.""",
        unit="percentunit",
        no_value="No predictions in this time range",
        width=6,
        height=10,
        interval=DAILY,
        minimum=0,
        maximum=1,
    )
    coverage.override_by_name("coverage", panels.line_style(style.MEASURED))
    coverage.override_by_name("provisional coverage", _PROVISIONAL)
    delay = panels.lines(
        "Label delay",
        f"""
        select
            window_start as "time",
            label_delay_p50_seconds as "median",
            label_delay_p95_seconds as "95th percentile"
        from marts.model_performance
        where {_SEGMENT}
            and grain = 'day'
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""How long after a prediction its label arrives, by day of the
            prediction. What you see of performance is at least this old.""",
        unit="s",
        no_value="No labels in this time range",
        width=6,
        height=10,
        interval=DAILY,
        minimum=0,
    )
    delay.override_by_name("median", panels.line_style(style.MEASURED))
    delay.override_by_name("95th percentile", panels.line_style(style.SECONDARY))
    return [headline, coverage, delay]


def _comparisons() -> list[timeseries.Panel]:
    quality = panels.lines(
        "Ranking and fit",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            _figures(
                "f1_macro as F1",
                "baseline_f1_macro as baseline F1",
                "roc_auc as ROC AUC",
                "baseline_roc_auc as baseline ROC AUC",
                "r2 as R²",
                "baseline_r2 as baseline R²",
            )
        }
        where {_SEGMENT}
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Figures that a shift of the classes or of the scale fools less,
            1 is best: F1 averaged over the classes and ROC AUC (0.5 is guessing) of a
            classifier, R² (0 is guessing the mean) of a regression. Dashes are the
            baseline's.""",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=8,
        height=9,
        interval=DAILY,
        decimals=2,
        maximum=1,
    )
    quality.override_by_name("F1", panels.line_style(style.MEASURED))
    quality.override_by_name("R²", panels.line_style(style.MEASURED))
    quality.override_by_name("ROC AUC", panels.line_style(style.SECONDARY))
    quality.override_by_regexp("/^baseline/", _REFERENCE)
    versions = panels.lines(
        "Versions compared",
        f"""
        select
            window_start as "time",
            figures.metric || ', version ' || model_version as metric,
            figures.value
        from marts.model_performance
        {_figures("accuracy", "mae as mean absolute error")}
        where {_MODEL}
            and model_version != 'all'
            and segment in (${{segment:sqlstring}})
            and segment_value in (${{segment_value:sqlstring}})
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The same figure for each version. Where two overlap, as in a
            canary, compare them on the same days; the purple marks are deployments.""",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=8,
        height=9,
        interval=DAILY,
        decimals=2,
    )
    _as_percentage(versions, "/^accuracy/")
    segments = panels.lines(
        "Values of the segment compared",
        f"""
        select
            window_start as "time",
            figures.metric || ', ' || segment_value as metric,
            figures.value
        from marts.model_performance
        {_figures("accuracy", "mae as mean absolute error")}
        where {_VERSION}
            and segment in (${{segment:sqlstring}})
            and grain = 'day'
            and status != 'not_computable'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The same figure for each value of the chosen segment: a model can
            be well on average and wrong for some. Days with too few labels to judge are
            left out. Choose one as segment value to see its confidence band.""",
        unit="none",
        no_value="No value of the segment has enough labels a day",
        width=8,
        height=9,
        interval=DAILY,
        decimals=2,
    )
    _as_percentage(segments, "/^accuracy/")
    return [quality, versions, segments]


def _traffic() -> list[timeseries.Panel]:
    def over_time(*columns: str) -> str:
        return f"""
            select
                window_start as "time",
                {", ".join(columns)}
            from marts.service_health
            where {_SEGMENT}
                and grain in (${{grain:sqlstring}})
                and $__timeFilter(window_start)
            order by 1
            """

    requests = panels.lines(
        "Requests",
        over_time('request_count as "requests"'),
        description="""Predictions asked for in each window, failed ones too. A gap is a
            window without any.""",
        unit="short",
        no_value="No requests in this time range",
        width=6,
        height=8,
        interval=HOURLY,
        minimum=0,
        bars=True,
        legend=False,
    )
    errors = panels.lines(
        "Error rate",
        over_time('error_rate as "failed"'),
        description="""Share of each window's requests that failed. The dashed lines are
            5 and 20 times an error budget of 0.1 %.""",
        unit="percentunit",
        steps=style.ERROR_RATE,
        no_value="No requests in this time range",
        width=6,
        height=8,
        interval=HOURLY,
        minimum=0,
        legend=False,
    )
    slow = panels.lines(
        "Slow requests",
        over_time('slow_rate as "slow"'),
        description="""Share of each window's requests that took longer than the
            monitor's latency objective. The dashed lines are 5 and 20 times a budget of
            1 %.""",
        unit="percentunit",
        steps=style.SLOW_RATE,
        no_value="No latencies in this time range",
        width=6,
        height=8,
        interval=HOURLY,
        minimum=0,
        legend=False,
    )
    latency = panels.lines(
        "Latency",
        over_time(
            'latency_p50_ms as "median"',
            'latency_p95_ms as "95th percentile"',
            'latency_p99_ms as "99th percentile"',
        ),
        description="""How fast half, 95 % and 99 % of the requests of each window were
            answered, within 1 %. The median moves when everything is slower, the others
            when some requests are.""",
        unit="ms",
        no_value="No latencies in this time range",
        width=6,
        height=8,
        interval=HOURLY,
        minimum=0,
    )
    latency.override_by_name("median", panels.line_style(style.MEASURED))
    latency.override_by_name("95th percentile", panels.line_style(style.SECONDARY))
    latency.override_by_name(
        "99th percentile", panels.line_style(style.REFERENCE, width=1)
    )
    for single in (requests, errors, slow):
        single.override_by_regexp("/.*/", panels.line_style(style.MEASURED)[:1])
    return [requests, errors, slow, latency]


def _worst_columns() -> table.Panel:
    drift_code = style.status_code("drift.status")
    quality_code = style.status_code("quality.status")
    panel = panels.rows(
        "Columns on the newest day, worst first",
        f"""
        select
            quality.column_name as "Column",
            quality.role as "Role",
            drift.status as "Drift",
            evidently.status as "Evidently",
            quality.status as "Data quality",
            drift.score as "Drift score",
            drift.noise_floor as "Noise floor",
            quality.null_rate as "Null",
            quality.invalid_rate as "Invalid",
            quality.unseen_rate as "Unseen",
            quality.out_of_range_rate as "Out of range",
            quality.mean as "Mean",
            quality.baseline_mean as "Baseline mean",
            quality.row_count as "Rows",
            concat_ws('; ', drift.reason, evidently.reason, quality.reason) as "Why"
        from (
            select * from marts.data_quality
            where {_COLUMNS}
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as quality
        left join marts.drift as drift
            on quality.monitor = drift.monitor
            and quality.model_version = drift.model_version
            and quality.segment = drift.segment
            and quality.segment_value = drift.segment_value
            and quality.grain = drift.grain
            and quality.window_start = drift.window_start
            and quality.column_name = drift.column_name
            and drift.is_headline
        left join marts.drift as evidently
            on quality.monitor = evidently.monitor
            and quality.model_version = evidently.model_version
            and quality.segment = evidently.segment
            and quality.segment_value = evidently.segment_value
            and quality.grain = evidently.grain
            and quality.window_start = evidently.window_start
            and quality.column_name = evidently.column_name
            and evidently.engine = 'evidently'
        order by
            greatest({drift_code}, {quality_code}) desc,
            drift.score desc nulls last,
            quality.column_name
        """,
        description="""The newest day in the time range, one row for each column.
            Drift is judged by the first method of the monitor block, by default PSI:
            0 is the baseline's distribution, above 0.1 has moved, above 0.25 a lot;
            below the noise floor it says nothing. Evidently judges all versions
            together. Click a column to see only it further down.""",
        no_value="No days in this time range",
        width=24,
        height=11,
        interval=DAILY,
    )
    to_column = panels.link("Show ${__data.fields.Column}", _TO_COLUMN)
    panel.override_by_name("Column", [Property("custom.width", 140), to_column])
    panel.override_by_name("Role", [Property("custom.width", 90)])
    for family in ("Drift", "Evidently", "Data quality"):
        panel.override_by_name(family, [*panels.status_cell(width=110), to_column])
    for score in ("Drift score", "Noise floor"):
        panel.override_by_name(
            score, [Property("decimals", 3), Property("custom.width", 90)]
        )
    for rate in ("Null", "Invalid", "Unseen", "Out of range"):
        panel.override_by_name(
            rate,
            [
                Property("unit", "percentunit"),
                Property("decimals", 1),
                Property("custom.width", 95),
                Property("color", {"mode": "thresholds"}),
                Property("thresholds", style.thresholds(style.UNUSABLE_RATE).build()),
                Property("custom.cellOptions", {"type": "color-text"}),
            ],
        )
    for value in ("Mean", "Baseline mean"):
        panel.override_by_name(
            value, [Property("decimals", 2), Property("custom.width", 110)]
        )
    panel.override_by_name(
        "Rows", [Property("unit", "short"), Property("custom.width", 80)]
    )
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _column_history() -> list[statushistory.Panel | timeseries.Panel]:
    def statuses(mart: str, condition: str) -> str:
        return f"""
            select
                window_start as "time",
                column_name as metric,
                {style.status_code("status")} as code
            from marts.{mart}
            where {_COLUMN}
                and {condition}
                and $__timeFilter(window_start)
            order by 1, 2
            """

    share = panels.lines(
        "Share of drifted columns, by Evidently",
        f"""
        select
            window_start as "time",
            score as "drifted columns",
            threshold as "threshold"
        from marts.drift
        where {_COLUMNS}
            and engine = 'evidently'
            and role = 'dataset'
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""Part of the columns whose distribution differs from the baseline
            by Evidently's tests. Above the dashed threshold the data as a whole counts
            as drifted.""",
        unit="percentunit",
        steps=style.NO_THRESHOLD,
        no_value="Evidently judges all versions together: choose version all",
        width=12,
        height=9,
        interval=DAILY,
        minimum=0,
        maximum=1,
    )
    share.override_by_name("drifted columns", panels.line_style(style.MEASURED))
    share.override_by_name("threshold", _LIMIT)
    return [
        panels.status_grid(
            "Drift by column and day",
            statuses("drift", "is_headline"),
            description="""Each cell is one day of one column: amber where its drift
                score is above threshold and noise floor, red where it is far above.
                A column that turns at once broke or was changed; many that turn
                slowly are the season, or the world.""",
            no_value="No days in this time range",
            width=12,
            height=11,
            interval=DAILY,
        ),
        panels.status_grid(
            "Data quality by column and day",
            statuses("data_quality", "role != 'actual'"),
            description="""Each cell is one day of one column: amber or red where more
                values than in the baseline are null, unusable, of unknown categories or
                out of range. The table above says which.""",
            no_value="No days in this time range",
            width=12,
            height=11,
            interval=DAILY,
        ),
        panels.status_grid(
            "Drift by column and day, by Evidently",
            statuses("drift", "engine = 'evidently' and role != 'dataset'"),
            description="""The second opinion, on a sample of each day's rows, by the
                test that suits the column. Where it disagrees with SQL, look at the
                column's own scores below.""",
            no_value="Evidently judges all versions together: choose version all",
            width=12,
            height=9,
            interval=DAILY,
        ),
        share,
    ]


def _column() -> list[timeseries.Panel]:
    drift = panels.lines(
        "Drift: SQL",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.drift
        {_figures("score", "threshold", "noise_floor as noise floor")}
        where {_COLUMN}
            and is_headline
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""How far the day's distribution is from the baseline's, by
            default the PSI. It counts only above both the threshold (red dashes) and
            the noise floor (grey dots), which chance alone stays below on 99 of 100
            days and which rises when there are few rows.""",
        unit="none",
        no_value="No scores in this time range",
        width=6,
        height=8,
        interval=DAILY,
        decimals=3,
        minimum=0,
    )
    drift.override_by_name("score", panels.line_style(style.MEASURED))
    drift.override_by_name("threshold", _LIMIT)
    drift.override_by_name("noise floor", _NOISE)
    evidently = panels.lines(
        "Drift: Evidently",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.drift
        {_figures("score as score", "p_value as p-value", "threshold")}
        where {_COLUMN}
            and engine = 'evidently'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The test that Evidently chose. A distance has drifted above the
            threshold, a p-value below it.""",
        unit="none",
        no_value="Evidently judges all versions together: choose version all",
        width=6,
        height=8,
        interval=DAILY,
        decimals=3,
        minimum=0,
    )
    evidently.override_by_name("score", panels.line_style(style.MEASURED))
    evidently.override_by_name("p-value", panels.line_style(style.SECONDARY))
    evidently.override_by_name("threshold", _LIMIT)
    rates = panels.lines(
        "Values that can't be used",
        f"""
        select
            window_start as "time",
            null_rate as "null",
            invalid_rate as "invalid",
            unseen_rate as "unseen category",
            out_of_range_rate as "out of range",
            baseline_null_rate as "null in baseline"
        from marts.data_quality
        where {_COLUMN}
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""Shares of the day's values that are null, no value of the
            column's type, a category that the baseline lacks, or outside the baseline's
            range. Compare null with its dashed baseline.""",
        unit="percentunit",
        no_value="No days in this time range",
        width=6,
        height=8,
        interval=DAILY,
        minimum=0,
    )
    rates.override_by_name("null", panels.line_style(style.MEASURED))
    rates.override_by_name("invalid", panels.line_style(style.CRITICAL))
    rates.override_by_name("unseen category", panels.line_style(style.SECONDARY))
    rates.override_by_name("out of range", panels.line_style(style.WARNING))
    rates.override_by_name("null in baseline", _REFERENCE)
    mean = panels.lines(
        "Mean",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.data_quality
        {
            _figures(
                "mean",
                "mean - stddev as mean - 1 stddev",
                "mean + stddev as mean + 1 stddev",
                "baseline_mean as baseline mean",
            )
        }
        where {_COLUMN}
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The day's mean of a number, with one standard deviation to both
            sides, against the baseline's mean. A jump is often a change of unit; a band
            that closes is a stuck sensor.""",
        unit="none",
        no_value="A category has no mean",
        width=6,
        height=8,
        interval=DAILY,
    )
    panels.band(mean, upper="mean + 1 stddev", lower="mean - 1 stddev")
    mean.override_by_name("mean", panels.line_style(style.MEASURED))
    mean.override_by_name("baseline mean", _REFERENCE)
    return [drift, evidently, rates, mean]


def _as_percentage(panel: stat.Panel | timeseries.Panel, series: str) -> None:
    """Show the series that a regular expression matches as shares of 1 in per cent."""
    panel.override_by_regexp(
        series, [Property("unit", "percentunit"), Property("decimals", 1)]
    )


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}
