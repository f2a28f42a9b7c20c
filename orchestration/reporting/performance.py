"""Charts of performance: figures against labels, and how many labels there are."""

from collections.abc import Callable, Iterable, Sequence

from orchestration.reporting.charts import (
    Chart,
    Grid,
    Json,
    alert_rings,
    band,
    has_values,
    rings,
    rounded,
    single,
    time_figure,
    time_text,
)
from orchestration.reporting.content import (
    METRICS,
    MonitorReport,
    PerformanceWindow,
    Report,
)
from orchestration.reporting.wording import (
    METRIC_UNITS,
    METRIC_WORDS,
    chart_text,
    count,
    metric_value,
    percent,
    severity,
    shortened,
)

_VERSIONS = 3


def performance_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """The figures of performance with interval, baseline and estimate."""
    whole = [each for each in monitor.performance if each.model_version == "all"]
    if not any(each.labelled_count for each in whole):
        return None
    grid = Grid(report.since, report.until, monitor.performance_grain)
    variants = tuple(
        (METRIC_WORDS[metric], _performance(report, monitor, grid, whole, metric))
        for metric in METRICS[monitor.summary.task]
        if any(each.figures[metric].value is not None for each in whole)
    )
    if not variants:
        return None
    metric = monitor.headline_metric
    newest = next(
        (
            each
            for each in reversed(whole)
            if each.is_final and each.figures[metric].value is not None
        ),
        None,
    )
    said = (
        f"Newest final {monitor.performance_grain}: {METRIC_WORDS[metric]} "
        f"{metric_value(metric, newest.figures[metric].value)}, baseline "
        f"{metric_value(metric, newest.figures[metric].baseline)}, "
        f"{count(newest.labelled_count)} labels."
        if newest
        else "No final figure yet: labels are still to come."
    )
    return Chart(
        title="Against the labels",
        note=(
            f"By {monitor.performance_grain}, all versions, with the 95 % interval. "
            "Hollow points are provisional: labels may still come. Grey points rest "
            f"on fewer than {count(monitor.summary.minimum_sample)} labels and are "
            "not judged. The estimate needs no labels; where reality leaves it, the "
            "relation of inputs and outcome has changed."
            + (
                " Errors are in the unit of what is predicted."
                if monitor.summary.task == "regression"
                else ""
            )
        ),
        summary=said,
        variants=variants,
        height=340,
    )


def _performance(
    report: Report,
    monitor: MonitorReport,
    grid: Grid,
    whole: Sequence[PerformanceWindow],
    metric: str,
) -> Json:
    minimum = monitor.summary.minimum_sample
    is_rate = METRIC_UNITS.get(metric) == "%"
    shown = "%{y:.1%}" if is_rate else "%{y:.4~g}"
    enough = [each for each in whole if each.labelled_count >= minimum]
    final = [each for each in enough if each.is_final]
    provisional = [each for each in enough if not each.is_final]
    few = [each for each in whole if 0 < each.labelled_count < minimum]
    # Without it, the provisional line would begin in the air.
    bridge = final[-1:] if provisional else []

    def value(each: PerformanceWindow) -> float | None:
        return each.figures[metric].value

    def series(
        name: str, windows: Iterable[PerformanceWindow], **style: object
    ) -> Json:
        windows = list(windows)
        return {
            "type": "scatter",
            "name": name,
            **grid.x,
            "y": grid.values((each.window_start, value(each)) for each in windows),
            "text": grid.values(
                (each.window_start, _sample(each, metric)) for each in windows
            ),
            "hovertemplate": f"{shown}%{{text}}",
            **style,
        }

    data = [
        band(
            [
                (each.window_start, figure.lower, figure.upper)
                for each in enough
                if (figure := each.figures[metric]).value is not None
            ],
            grid.step,
        ),
        {
            "type": "scatter",
            "mode": "lines",
            "name": "baseline",
            **grid.x,
            "y": grid.values(
                (each.window_start, each.figures[metric].baseline) for each in whole
            ),
            "hovertemplate": shown,
            "line": {"color": "var:baseline", "width": 1.5, "dash": "dot"},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "estimated",
            **grid.x,
            "y": grid.values(
                (each.window_start, each.figures[metric].estimated) for each in whole
            ),
            "hovertemplate": shown,
            "line": {"color": "var:estimate", "width": 1.5, "dash": "dash"},
        },
        series(
            "realised",
            final,
            mode="lines+markers",
            line={"color": "var:series-1", "width": 2},
            marker={"color": "var:series-1", "size": 5},
            legendrank=1,
        ),
        series(
            "provisional",
            [*bridge, *provisional],
            mode="lines+markers",
            line={"color": "var:series-1", "width": 1.5, "dash": "dot"},
            marker={
                "color": "var:surface",
                "size": 6,
                "line": {"color": "var:series-1", "width": 1.5},
            },
        ),
        series(
            "too few labels",
            few,
            mode="markers",
            marker={"color": "var:not-computable", "size": 5, "symbol": "x-thin-open"},
        ),
        *_version_series(monitor, grid, whole, series),
        *_flagged(monitor, whole, metric, value),
    ]
    return time_figure(
        report,
        monitor,
        [each for each in data if has_values(each)],
        yaxis={
            "title": {"text": METRIC_WORDS[metric]},
            "tickformat": ".0%" if is_rate else "",
        },
    )


def _sample(window: PerformanceWindow, metric: str) -> str:
    """What a figure rests on: its interval, if it has one, and how many labels."""
    figure = window.figures[metric]
    labels = f" of {count(window.labelled_count)} labels"
    if figure.lower is None or figure.upper is None:
        return labels
    lower, upper = (metric_value(metric, end) for end in (figure.lower, figure.upper))
    return f" ({lower} to {upper}){labels}"


def _version_series(
    monitor: MonitorReport,
    grid: Grid,
    whole: Sequence[PerformanceWindow],
    series: Callable[..., Json],
) -> list[Json]:
    """Versions while several served: before and after, one is the line of them all."""
    minimum = monitor.summary.minimum_sample
    predictions = {each.window_start: each.prediction_count for each in whole}
    by_version: dict[str, list[PerformanceWindow]] = {}
    for each in monitor.performance:
        if each.model_version != "all" and each.labelled_count >= minimum:
            by_version.setdefault(each.model_version, []).append(each)
    for version, windows in list(by_version.items()):
        shared = [
            each.window_start
            for each in windows
            if each.prediction_count < predictions.get(each.window_start, 0)
        ]
        by_version[version] = [
            each
            for each in windows
            if shared and shared[0] <= each.window_start <= shared[-1]
        ]
    by_version = {name: windows for name, windows in by_version.items() if windows}
    newest = sorted(by_version, key=lambda name: by_version[name][-1].window_start)
    return [
        series(
            chart_text(f"version {shortened(version, 24)}"),
            by_version[version],
            mode="lines+markers",
            line={"color": f"var:version-{place}", "width": 1.5},
            marker={"color": f"var:version-{place}", "size": 5, "symbol": "square"},
        )
        for place, version in enumerate(sorted(newest[-_VERSIONS:]), start=1)
    ]


def _flagged(
    monitor: MonitorReport,
    whole: Sequence[PerformanceWindow],
    metric: str,
    value: Callable[[PerformanceWindow], float | None],
) -> list[Json]:
    """Rings around what alarmed: the alerts, or without rules the status."""
    if monitor.incidents is not None:
        return [
            alert_rings(
                monitor, "model_performance", [metric], monitor.performance_grain
            )
        ]
    if metric == monitor.headline_metric:
        found = [
            (each.window_start, shown, each.status, each.reason)
            for each in whole
            if severity(each.status) >= 2 and (shown := value(each)) is not None
        ]
    else:
        found = []
    return [rings(found)]


def coverage_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """How many predictions have a label by now."""
    whole = [each for each in monitor.performance if each.model_version == "all"]
    if not whole:
        return None
    grid = Grid(report.since, report.until, monitor.performance_grain)
    data = [
        {
            "type": "bar",
            "name": name,
            "x": [time_text(each.window_start) for each in windows],
            "y": [
                rounded(each.labelled_count / each.prediction_count)
                if each.prediction_count
                else None
                for each in windows
            ],
            "customdata": [
                [each.labelled_count, each.prediction_count] for each in windows
            ],
            "offset": 0,
            "width": int(grid.step.total_seconds() * 800),
            "xhoverformat": grid.format,
            "hovertemplate": "%{y:.1%}: %{customdata[0]:,} of %{customdata[1]:,}",
            "marker": {"color": colour, "line": {"color": edge, "width": width}},
        }
        for name, colour, edge, width, windows in (
            (
                "final",
                "var:series-1",
                "var:series-1",
                0,
                [each for each in whole if each.is_final],
            ),
            (
                "provisional",
                "var:surface",
                "var:series-1",
                1,
                [each for each in whole if not each.is_final],
            ),
        )
        if windows
    ]
    return Chart(
        title="Labels",
        note=(
            f"Share of each {monitor.performance_grain}'s predictions whose outcome "
            "is known. Hollow bars still fill."
        ),
        summary=f"Labels have come for {percent(monitor.label_coverage)} of the "
        "predictions in final windows.",
        variants=single(
            time_figure(
                report,
                monitor,
                data,
                barmode="overlay",
                yaxis={
                    "title": {"text": "predictions with a label"},
                    "tickformat": ".0%",
                    "range": [0, 1.02],
                },
            )
        ),
        height=180,
    )
