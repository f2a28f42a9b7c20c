"""One model: how well it predicts, how it serves, and which columns to look at."""

from collections.abc import Callable
from typing import Unpack

from grafana_foundation_sdk.builders import (
    barchart,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueTextMode,
    ScaleDistribution,
)

from grafana import emission, panels, rules, style
from grafana.emission import COLUMNS, MODEL, SEGMENT
from grafana.panels import DAILY, HOURLY, Frame, Property, figures

_KEPT = ("owner", "monitor", "version")
_TO_INCIDENT = emission.url("incident", ("owner", "monitor"), incident="ID")
_TO_DRIFT = emission.url("drift", _KEPT, column="Column")
_TO_QUALITY = emission.url("data-quality", _KEPT, column="Column")
_FAMILIES = {
    "Service health": emission.url(
        "service", (*_KEPT, "segment", "segment_value", "grain")
    ),
    "Data quality": emission.url("data-quality", _KEPT),
    "Performance": emission.url("labels", (*_KEPT, "segment", "segment_value")),
    "Drift": emission.url("drift", _KEPT),
}


def build() -> builders.Dashboard:
    """Status and reasons, then performance, traffic, predictions, the worst columns."""
    dashboard = emission.of_monitors(
        "model",
        "Driftline model",
        "One monitored model: its performance, traffic, predictions and columns.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.segment_variable(),
            emission.segment_value_variable(),
            emission.grain_variable(MODEL),
        ],
    )
    for panel in (*_headlines(), _reason(), _incidents()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Performance"))
    for panel in (performance(width=12, height=10), _quality(), _coverage()):
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Traffic"))
    for panel in _traffic():
        dashboard.with_panel(panel)
    dashboard.with_row(builders.Row("Predictions and columns, all segments together"))
    for panel in (*_predictions(), _worst_columns()):
        dashboard.with_panel(panel)
    return dashboard


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
        where {MODEL}
        """,
        description="""The worst finding of each family on its newest day, all versions
            and segments together, whatever time range is chosen. Grey means that
            nothing could be computed, which is no pass. Click a family for what is
            behind it.""",
        reference="service_health",
        unit="none",
        steps=style.NO_THRESHOLD,
        no_value="Unknown",
        width=10,
        interval=HOURLY,
        text=BigValueTextMode.VALUE_AND_NAME,
    )
    statuses.mappings(style.status_mappings())
    statuses.color_mode(BigValueColorMode.BACKGROUND_SOLID)
    for family, url in _FAMILIES.items():
        statuses.override_by_name(family, [panels.link(family, url)])
    newest = panels.stats(
        "Newest final performance",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            figures(
                "accuracy",
                "baseline_accuracy as baseline accuracy",
                "mae as mean absolute error",
                "baseline_mae as baseline mean absolute error",
            )
        }
        where {SEGMENT}
            and grain = 'day'
            and is_final
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The newest day whose labels have come, beside the baseline:
            accuracy (share that was right) of a classifier, mean absolute error in the
            unit of the prediction of a regression.""",
        reference="model_performance",
        unit="none",
        steps=style.NO_THRESHOLD,
        no_value="No final day with labels",
        width=6,
        interval=DAILY,
        decimals=2,
        is_series=True,
        text=BigValueTextMode.VALUE_AND_NAME,
    )
    panels.as_percentage(newest, "/accuracy/")
    newest.override_by_regexp(
        "/^baseline/",
        [Property("color", {"mode": "fixed", "fixedColor": style.REFERENCE})],
    )
    return [
        statuses,
        newest,
        panels.stats(
            "Label coverage",
            f"""
            select
                sum(labelled_count)::double precision / sum(prediction_count)
                    as "Coverage"
            from marts.model_performance
            where {SEGMENT}
                and grain = 'day'
                and is_final
                and $__timeFilter(window_start)
            """,
            description="""Share of predictions whose outcome is known, over the days
                of the time range that are old enough for their labels to have come.""",
            reference="model_performance",
            unit="percentunit",
            steps=style.NO_THRESHOLD,
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
            where {MODEL}
            """,
            description="""Age of the newest prediction. If it grows, the service or its
                loading has stopped; whether it is too old, the dashboard of the
                pipeline says.""",
            reference="service_health",
            unit="s",
            steps=style.NO_THRESHOLD,
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
        where {MODEL}
        """,
        description="""The findings behind the statuses above, in words, each with its
            figure. Look for the same column or metric further down.""",
        reference="service_health",
        no_value="Unknown monitor",
        width=10,
        height=7,
        interval=HOURLY,
    )
    panel.show_header(False)
    return panel.override_by_name("Finding", panels.wrapped_cell())


def _incidents() -> table.Panel:
    panel = panels.rows(
        "Incidents in the time range, newest first",
        f"""
        select
            incident_id as "ID",
            severity as "Severity",
            case when is_muted then 'muted' else state end as "State",
            started_at as "Since",
            closed_at as "Until",
            suspect_reason as "First suspect"
        from marts.incidents
        where {MODEL}
            and started_at <= $__timeTo()
            and coalesce(closed_at, last_alert_at) >= $__timeFrom()
        order by started_at desc, incident_id
        """,
        description="""What alert rules found, joined to incidents; the same are marked
            on the charts. Click one for all of its alerts and what to do.""",
        reference="alerts",
        no_value="No incident in this time range",
        width=14,
        height=7,
        interval=HOURLY,
    )
    to_incident = panels.link("Open the incident", _TO_INCIDENT)
    panel.override_by_name("ID", [Property("custom.width", 140), to_incident])
    panel.override_by_name("Severity", [*panels.status_cell(width=100), to_incident])
    panel.override_by_name("State", panels.state_cell(width=110))
    for moment in ("Since", "Until"):
        panel.override_by_name(moment, panels.time_cell(width=140))
    return panel.override_by_name("First suspect", [Property("custom.inspect", True)])


def performance(*, width: int, height: int) -> timeseries.Panel:
    """The headline figure of each task, with band, baseline, estimate and bounds."""
    panel = panels.lines(
        "Performance against the baseline",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            figures(
                "case when is_final then accuracy end as accuracy",
                "case when not is_final then accuracy end as provisional accuracy",
                "accuracy_lower as accuracy, lower",
                "accuracy_upper as accuracy, upper",
                "baseline_accuracy as baseline accuracy",
                "estimated_accuracy as estimated accuracy",
                "case when is_final then mae end as mae",
                "case when not is_final then mae end as provisional mae",
                "mae_lower as mae, lower",
                "mae_upper as mae, upper",
                "baseline_mae as baseline mae",
                "estimated_mae as estimated mae",
            )
        }
        where {SEGMENT}
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        bounds=panels.bounds(f"{SEGMENT} and grain = 'day'", "accuracy", "mae"),
        description="""Accuracy of a classifier (higher is better), mean absolute error
            (mae) of a regression (lower is better), by day of the prediction. The band
            is the 95 % confidence interval: the model is worse than its baseline (grey
            dashes) only where the whole band is, and wide where labels are few. Light
            dots are provisional: labels of those days are still coming. Yellow is what
            was to be expected before any label. Thin dashes are the bounds of the alert
            rules.""",
        reference="model_performance",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=width,
        height=height,
        interval=DAILY,
        decimals=2,
    )
    panels.as_percentage(panel, "/accuracy/")
    for figure in ("accuracy", "mae"):
        panels.band(panel, upper=f"{figure}, upper", lower=f"{figure}, lower")
        panel.override_by_name(figure, panels.line_style(style.MEASURED))
        panel.override_by_name(f"provisional {figure}", panels.provisional_style())
        panel.override_by_name(f"baseline {figure}", panels.reference_style())
        panel.override_by_name(
            f"estimated {figure}", panels.line_style(style.ESTIMATED, width=1)
        )
    return panel


def _quality() -> timeseries.Panel:
    panel = panels.lines(
        "Ranking and fit",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            figures(
                "f1_macro as F1",
                "baseline_f1_macro as baseline F1",
                "roc_auc as ROC AUC",
                "baseline_roc_auc as baseline ROC AUC",
                "r2 as R²",
                "baseline_r2 as baseline R²",
            )
        }
        where {SEGMENT}
            and grain = 'day'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Figures that a shift of the classes or of the scale fools less,
            1 is best: F1 averaged over the classes and ROC AUC (0.5 is guessing) of a
            classifier, R² (0 is guessing the mean) of a regression. Dashes are the
            baseline's.""",
        reference="model_performance",
        unit="none",
        no_value="No labelled predictions in this time range",
        width=6,
        height=10,
        interval=DAILY,
        decimals=2,
        maximum=1,
    )
    panel.override_by_name("F1", panels.line_style(style.MEASURED))
    panel.override_by_name("R²", panels.line_style(style.MEASURED))
    panel.override_by_name("ROC AUC", panels.line_style(style.SECONDARY))
    return panel.override_by_regexp("/^baseline/", panels.reference_style())


def coverage(
    condition: str, *, bounds: str | None = None, **frame: Unpack[Frame]
) -> timeseries.Panel:
    """How many of each day's predictions have their outcome."""
    panel = panels.lines(
        "Label coverage by day",
        f"""
        select
            window_start as "time",
            case when is_final then label_coverage end as "coverage",
            case when not is_final then label_coverage end as "provisional coverage"
        from marts.model_performance
        where {condition}
            and $__timeFilter(window_start)
        order by 1
        """,
        bounds=bounds,
        unit="percentunit",
        minimum=0,
        maximum=1,
        **frame,
    )
    panel.override_by_name("coverage", panels.line_style(style.MEASURED))
    return panel.override_by_name("provisional coverage", panels.provisional_style())


def _coverage() -> timeseries.Panel:
    return coverage(
        f"{SEGMENT} and grain = 'day'",
        description="""Share of each day's predictions whose outcome is known. Low where
            final: labels get lost, and performance rests on fewer rows. Low at the end:
            they are still coming.""",
        reference="model_performance",
        no_value="No predictions in this time range",
        width=6,
        height=10,
        interval=DAILY,
    )


def latency(
    over_time: Callable[..., str],
    *,
    bounds: str | None = None,
    **frame: Unpack[Frame],
) -> timeseries.Panel:
    """Three quantiles of latency; ``over_time`` makes SQL for columns of the mart."""
    panel = panels.lines(
        "Latency",
        over_time(
            'latency_p50_ms as "median"',
            'latency_p95_ms as "95th percentile"',
            'latency_p99_ms as "99th percentile"',
        ),
        bounds=bounds,
        unit="ms",
        logarithmic=ScaleDistribution.LOG,
        **frame,
    )
    panel.override_by_name("median", panels.line_style(style.MEASURED))
    panel.override_by_name("95th percentile", panels.line_style(style.SECONDARY))
    return panel.override_by_name(
        "99th percentile", panels.line_style(style.REFERENCE, width=1)
    )


def _traffic() -> list[timeseries.Panel]:
    def over_time(*columns: str) -> str:
        return f"""
            select
                window_start as "time",
                {", ".join(columns)}
            from marts.service_health
            where {SEGMENT}
                and grain in (${{grain:sqlstring}})
                and $__timeFilter(window_start)
            order by 1
            """

    requests = panels.lines(
        "Requests",
        over_time('request_count as "requests"'),
        description="""Predictions asked for in each window, failed ones too. A gap is a
            window without any.""",
        reference="service_health",
        unit="short",
        no_value="No requests in this time range",
        width=8,
        height=8,
        interval=HOURLY,
        minimum=0,
        bars=True,
        legend=False,
    )
    burning = panels.lines(
        "Burn rates",
        over_time('burn_rate_availability as "failed"', 'burn_rate_latency as "slow"'),
        description="""How many times as fast as they may requests use up the budgets
            of failed and of slow ones: 1 is sustainable. The dashed lines are those of
            the alert rules, which also ask for ten bad requests over a long and a short
            time.""",
        reference="service_health",
        unit="none",
        steps=rules.steps(
            "availability_burn_3d", "availability_burn_6h", "availability_burn_1h"
        ),
        no_value="No requests in this time range",
        width=8,
        height=8,
        interval=HOURLY,
        decimals=1,
        minimum=0,
        logarithmic=ScaleDistribution.SYMLOG,
    )
    burning.override_by_name("failed", panels.line_style(style.MEASURED))
    burning.override_by_name("slow", panels.line_style(style.SECONDARY))
    latencies = latency(
        over_time,
        description="""How fast half, 95 % and 99 % of the requests of each window were
            answered, within 1 %. The median moves when everything is slower, the others
            when some requests are.""",
        reference="service_health",
        no_value="No latencies in this time range",
        width=8,
        height=8,
        interval=HOURLY,
    )
    requests.override_by_regexp("/.*/", panels.line_style(style.MEASURED)[:1])
    return [requests, burning, latencies]


def _predictions() -> list[barchart.Panel | timeseries.Panel]:
    shares = panels.lines(
        "Predictions by day",
        f"""
        select
            window_start as "time",
            to_char(case when bin < 0 then 1000 - bin else bin end, 'FM0000') as place,
            label,
            share
        from marts.distributions
        where {COLUMNS}
            and column_name = 'prediction'
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""What the model predicts, as shares of each day: classes, or
            tenths of the baseline's numbers. Layers that keep their thickness are a
            stable model; one that grows from one day on is a change of the inputs or of
            the model.""",
        reference="drift",
        unit="percentunit",
        no_value="No predictions in this time range",
        width=12,
        height=9,
        interval=DAILY,
        minimum=0,
        maximum=1,
        stacked=True,
    )
    # Grafana sorts series by their texts: the first of them puts bins in their order.
    shares.display_name("${__field.labels.label}")
    return [
        shares,
        histogram("Predictions on the newest day", "column_name = 'prediction'"),
    ]


def histogram(title: str, condition: str) -> barchart.Panel:
    """The newest day of one column beside its baseline."""
    panel = panels.bars(
        title,
        f"""
        select
            label as "Values",
            share as "newest day",
            baseline_share as "baseline"
        from (
            select * from marts.distributions
            where {COLUMNS}
                and {condition}
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by newest.bin < 0, abs(newest.bin)
        """,
        description="""Shares of the values of the newest day in the time range, beside
            the baseline's: tenths of the baseline for numbers, the values themselves
            for categories, then what is null, invalid or unseen. A shifted histogram is
            a unit or a source; one high bar is a default value.""",
        reference="drift",
        unit="percentunit",
        no_value="No such day in this time range",
        width=12,
        height=9,
        interval=DAILY,
        decimals=0,
    )
    panel.override_by_name(
        "newest day",
        [Property("color", {"mode": "fixed", "fixedColor": style.MEASURED})],
    )
    return panel.override_by_name(
        "baseline",
        [Property("color", {"mode": "fixed", "fixedColor": style.REFERENCE})],
    )


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
            quality.status as "Data quality",
            drift.score as "Drift score",
            drift.noise_floor as "Noise floor",
            quality.null_rate as "Null",
            quality.mean as "Mean",
            quality.baseline_mean as "Baseline mean",
            quality.row_count as "Rows",
            concat_ws('; ', drift.reason, quality.reason) as "Why"
        from (
            select * from marts.data_quality
            where {COLUMNS}
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as quality
        left join (
            select * from marts.drift
            where {COLUMNS}
                and is_headline
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as drift
            on quality.window_start = drift.window_start
            and quality.column_name = drift.column_name
        order by
            greatest({drift_code}, {quality_code}) desc,
            drift.score desc nulls last,
            quality.column_name
        """,
        description="""The newest day in the time range, one row for each column. Drift
            is judged by the first method of the monitor block, by default PSI: 0 is the
            baseline's distribution; below the noise floor it says nothing. Click a
            column or its drift for its history, its data quality for what is wrong with
            its values.""",
        reference="drift",
        no_value="No days in this time range",
        width=24,
        height=11,
        interval=DAILY,
    )
    to_drift = panels.link("Drift of ${__data.fields.Column}", _TO_DRIFT)
    to_quality = panels.link("Quality of ${__data.fields.Column}", _TO_QUALITY)
    panel.override_by_name("Column", [Property("custom.width", 150), to_drift])
    panel.override_by_name("Role", [Property("custom.width", 90)])
    panel.override_by_name("Drift", [*panels.status_cell(width=120), to_drift])
    panel.override_by_name("Data quality", [*panels.status_cell(width=125), to_quality])
    for score in ("Drift score", "Noise floor"):
        panel.override_by_name(score, panels.number_cell("none", width=115, decimals=3))
    panel.override_by_name(
        "Null",
        panels.rated_cell(
            "percentunit", rules.steps("null_rate"), width=90, decimals=1
        ),
    )
    for value, width in (("Mean", 100), ("Baseline mean", 130)):
        panel.override_by_name(
            value, panels.number_cell("none", width=width, decimals=2)
        )
    panel.override_by_name("Rows", panels.number_cell("short", width=80))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])
