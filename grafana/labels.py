"""When labels come, what was expected before they do, and whether scores hold."""

from grafana_foundation_sdk.builders import barchart, timeseries
from grafana_foundation_sdk.builders import dashboard as builders

from grafana import emission, panels, style
from grafana.emission import SEGMENT
from grafana.model import coverage, performance
from grafana.panels import DAILY, Property, figures

_DAYS = f"{SEGMENT} and grain = 'day'"


def build() -> builders.Dashboard:
    """Performance, what labels say of it, what was estimated, and calibration."""
    dashboard = emission.of_monitors(
        "labels",
        "Driftline labels and estimated performance",
        "How labels of one model arrive, and what can be said before they do.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.segment_variable(),
            emission.segment_value_variable(),
        ],
    )
    for panel in (
        performance(width=24, height=10),
        _estimates(),
        _gap(),
        _coverage(),
        _delay(),
        _labels(),
        _calibration(),
        _calibration_error(),
    ):
        dashboard.with_panel(panel)
    return dashboard


def _estimates() -> timeseries.Panel:
    panel = panels.lines(
        "Estimated before labels arrive",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            figures(
                "estimated_accuracy as estimated accuracy",
                "estimated_accuracy_lower as estimated accuracy, lower",
                "estimated_accuracy_upper as estimated accuracy, upper",
                "case when is_final then accuracy end as accuracy",
                "estimated_mae as estimated mae",
                "estimated_mae_lower as estimated mae, lower",
                "estimated_mae_upper as estimated mae, upper",
                "case when is_final then mae end as mae",
            )
        }
        where {_DAYS}
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""What the scores (of a regression: the predictions) promise for
            each day, with its 95 % interval, before any label is there; in blue what
            came true. It knows the relation of inputs and outcome from the baseline
            alone: where blue leaves the band, that relation changed.""",
        reference="model_performance",
        unit="none",
        no_value="Nothing can be estimated without a labelled baseline",
        width=12,
        height=10,
        interval=DAILY,
        decimals=2,
    )
    panels.as_percentage(panel, "/accuracy/")
    for figure in ("accuracy", "mae"):
        panels.band(
            panel,
            upper=f"estimated {figure}, upper",
            lower=f"estimated {figure}, lower",
            colour=style.ESTIMATED,
        )
        panel.override_by_name(
            f"estimated {figure}", panels.line_style(style.ESTIMATED)
        )
        panel.override_by_name(figure, panels.line_style(style.MEASURED))
    return panel


def _gap() -> timeseries.Panel:
    panel = panels.lines(
        "Realised less estimated",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.model_performance
        {
            figures(
                "realised_minus_estimated_accuracy as accuracy",
                "realised_minus_estimated_accuracy_lower as accuracy, lower",
                "realised_minus_estimated_accuracy_upper as accuracy, upper",
                "realised_minus_estimated_mae as mae",
                "realised_minus_estimated_mae_lower as mae, lower",
                "realised_minus_estimated_mae_upper as mae, upper",
            )
        }
        where {_DAYS}
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        bounds=panels.bounds(_DAYS, "concept_drift"),
        description="""Concept drift: how much better or worse than promised the same
            predictions came true, with its 95 % interval. Around 0, changes of the
            inputs explain the performance; an accuracy far below 0, or an error far
            above, means that the world changed. Thin dashes are the bounds of the alert
            rule.""",
        reference="model_performance",
        unit="none",
        no_value="No labelled predictions with an estimate",
        width=12,
        height=10,
        interval=DAILY,
        decimals=2,
    )
    panel.override_by_regexp("/accuracy/", [Property("unit", "percentunit")])
    for figure in ("accuracy", "mae"):
        panels.band(panel, upper=f"{figure}, upper", lower=f"{figure}, lower")
        panel.override_by_name(figure, panels.line_style(style.MEASURED))
    return panel


def _coverage() -> timeseries.Panel:
    return coverage(
        _DAYS,
        bounds=panels.bounds(_DAYS, "label_coverage"),
        description="""Share of each day's predictions whose outcome is known. Low where
            final: labels get lost. Low at the end: they are still coming. Thin dashes
            are the bounds that the alert rule learned.""",
        reference="model_performance",
        no_value="No predictions in this time range",
        width=8,
        height=9,
        interval=DAILY,
    )


def _delay() -> timeseries.Panel:
    panel = panels.lines(
        "Label delay",
        f"""
        select
            window_start as "time",
            label_delay_p50_seconds / 3600 as "median",
            label_delay_p95_seconds / 3600 as "95th percentile"
        from marts.model_performance
        where {_DAYS}
            and $__timeFilter(window_start)
        order by 1
        """,
        bounds=panels.bounds(
            _DAYS,
            "label_delay",
            figure="'95th percentile'",
            value="figures.value / 3600",
        ),
        description="""How long after a prediction its label arrives, by day of the
            prediction. What you see of performance is at least this old. Thin dashes
            are the bound of the 95th percentile that the alert rule learned.""",
        reference="model_performance",
        # So that the axis has whole hours.
        unit="h",
        no_value="No labels in this time range",
        width=8,
        height=9,
        interval=DAILY,
        minimum=0,
    )
    panel.override_by_name("median", panels.line_style(style.MEASURED))
    return panel.override_by_name("95th percentile", panels.line_style(style.SECONDARY))


def _labels() -> timeseries.Panel:
    panel = panels.lines(
        "Predictions and labels",
        f"""
        select
            window_start as "time",
            prediction_count as "predictions",
            labelled_count as "with a label"
        from marts.model_performance
        where {_DAYS}
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""How many predictions each day made, and how many have a label by
            now: what the figures above rest on. Below the monitor's minimum sample
            nothing is judged.""",
        reference="model_performance",
        unit="short",
        no_value="No predictions in this time range",
        width=8,
        height=9,
        interval=DAILY,
        minimum=0,
    )
    panel.override_by_name("predictions", panels.reference_style())
    return panel.override_by_name("with a label", panels.line_style(style.MEASURED))


def _calibration() -> barchart.Panel:
    panel = panels.bars(
        "Calibration of the newest labelled week",
        f"""
        select
            to_char(lower_bound, 'FM0.0') || ' to ' || to_char(upper_bound, 'FM0.0')
                as "Score",
            score_mean as "promised",
            observed_rate as "came true",
            baseline_observed_rate as "on the baseline"
        from (
            select * from marts.calibration
            where {SEGMENT}
                and grain = 'week'
                and labelled_count > 0
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        ) as newest
        order by score_bin
        """,
        description="""What scores of each tenth promised on average, and how often it
            came true, of the newest week with labels that begins in the time range.
            Equal bars are calibrated scores; where all that came true is lower, the
            model is too sure of itself.""",
        reference="model_performance",
        unit="percentunit",
        no_value="No labelled scores in this time range",
        width=12,
        height=10,
        interval=DAILY,
        decimals=0,
    )
    for series, colour in (
        ("promised", style.ESTIMATED),
        ("came true", style.MEASURED),
        ("on the baseline", style.REFERENCE),
    ):
        panel.override_by_name(
            series, [Property("color", {"mode": "fixed", "fixedColor": colour})]
        )
    return panel


def _calibration_error() -> timeseries.Panel:
    panel = panels.lines(
        "Calibration error",
        f"""
        select
            window_start as "time",
            expected_calibration_error as "calibration error",
            baseline_expected_calibration_error as "on the baseline"
        from marts.model_performance
        where {_DAYS}
            and expected_calibration_error is not null
            and $__timeFilter(window_start)
        order by 1
        """,
        bounds=panels.bounds(_DAYS, "calibration"),
        description="""Mean distance between what scores promise and what came true, 0
            is best. Few labels a day raise it by chance. If it stays above its
            baseline, thresholds on the score no longer mean what they did. Thin dashes
            are the bounds of the alert rule.""",
        reference="model_performance",
        unit="none",
        no_value="No labelled scores in this time range",
        width=12,
        height=10,
        interval=DAILY,
        decimals=3,
        minimum=0,
    )
    panel.override_by_name("calibration error", panels.line_style(style.MEASURED))
    return panel.override_by_name("on the baseline", panels.reference_style())
