"""Charts of service health: traffic, latency, failures and error budgets."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from orchestration.reporting.charts import (
    Chart,
    Grid,
    Json,
    alert_rings,
    has_values,
    level,
    single,
    time_figure,
)
from orchestration.reporting.content import BurnWindow, MonitorReport, Report
from orchestration.reporting.wording import count, minute, number, percent, severity


def traffic_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """Requests, those that failed, and how many were to be expected."""
    windows = monitor.service
    if not windows:
        return None
    grid = Grid(report.since, report.until, monitor.service_grain)

    def values(value: Callable[[Any], float | None]) -> list[Any]:
        return grid.values((each.window_start, value(each)) for each in windows)

    bar = {
        "type": "bar",
        **grid.x,
        "offset": 0,
        # Gaps between the bars of many windows would be all that is seen.
        "width": int(grid.step.total_seconds() * (800 if grid.size <= 120 else 1000)),
        "hovertemplate": "%{y:,}",
    }
    failed = sum(each.error_count for each in windows)
    requests = sum(each.request_count for each in windows)
    return Chart(
        title="Traffic",
        note=(
            f"Requests by {monitor.service_grain}, and how many the same windows of "
            "the four weeks before had on average."
        ),
        summary=f"{count(requests)} requests, {count(failed)} of them failed.",
        variants=single(
            time_figure(
                report,
                monitor,
                [
                    {
                        **bar,
                        "name": "answered",
                        "y": values(lambda each: each.request_count - each.error_count),
                        "marker": {
                            "color": "var:series-1-soft",
                            "line": {"width": 0},
                        },
                    },
                    {
                        **bar,
                        "name": "failed",
                        "y": values(lambda each: each.error_count or None),
                        "marker": {"color": "var:critical", "line": {"width": 0}},
                    },
                    {
                        "type": "scatter",
                        "mode": "lines",
                        "name": "expected",
                        **grid.x,
                        "y": values(lambda each: each.expected_request_count),
                        "hovertemplate": "%{y:,.0f}",
                        "line": {
                            "color": "var:baseline",
                            "width": 1.25,
                            "dash": "dot",
                        },
                    },
                ],
                barmode="stack",
                legend={"traceorder": "normal"},
                yaxis={
                    "title": {"text": f"requests per {_each(monitor.service_grain)}"},
                    "rangemode": "tozero",
                },
            )
        ),
        height=260,
    )


def latency_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """Quantiles of latency beside the target."""
    windows = [each for each in monitor.service if each.latency_p50_ms is not None]
    if not windows:
        return None
    grid = Grid(report.since, report.until, monitor.service_grain)
    target = monitor.summary.latency_target_ms
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            **grid.x,
            "y": grid.values(
                (each.window_start, getattr(each, f"latency_{name}_ms"))
                for each in windows
            ),
            "hovertemplate": "%{y:,.4~g} ms",
            "line": {"color": f"var:quantile-{place}", "width": width},
        }
        for place, (name, width) in enumerate(
            (("p99", 1.25), ("p95", 1.5), ("p50", 2)), start=1
        )
    ]
    if target is not None:
        data.append(level(report, target, "target"))
    data += _alerts(monitor, ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"))
    share = monitor.summary.latency_target_share
    aim = (
        f"{number(100 * share, digits=6)} % of the requests should take at most "
        f"{number(target)} ms."
        if target is not None and share is not None
        else "The monitor has no target."
    )
    worst = max(windows, key=lambda each: each.latency_p99_ms or 0)
    return Chart(
        title="Latency",
        note=f"By {monitor.service_grain}, within 1 %. {aim}",
        summary=f"The slowest {monitor.service_grain}: p99 of "
        f"{number(worst.latency_p99_ms)} ms, {minute(worst.window_start)} UTC.",
        variants=tuple(
            (
                kind,
                time_figure(
                    report,
                    monitor,
                    data,
                    yaxis={
                        "title": {"text": "latency, ms"},
                        "rangemode": "tozero",
                        "type": kind,
                        "dtick": 1 if kind == "log" else None,
                    },
                ),
            )
            for kind in ("log", "linear")
        ),
        height=260,
    )


def failure_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """Shares of requests that failed, and that were slow."""
    windows = monitor.service
    if not windows:
        return None
    grid = Grid(report.since, report.until, monitor.service_grain)
    sample = grid.values((each.window_start, each.request_count) for each in windows)
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            **grid.x,
            "y": grid.values(
                (each.window_start, getattr(each, rate)) for each in windows
            ),
            "customdata": sample,
            "hovertemplate": "%{y:.2%} of %{customdata:,} requests",
            "line": {"color": colour, "width": 1.5},
        }
        for name, rate, colour in (
            ("slow", "slow_rate", "var:quantile-2"),
            ("failed", "error_rate", "var:critical"),
        )
    ]
    data += _alerts(monitor, ("error_rate", "slow_rate"))
    return Chart(
        title="Failed and slow requests",
        note=f"Shares of the requests by {monitor.service_grain}.",
        summary="The highest share of failed requests: "
        + percent(max((each.error_rate or 0 for each in windows), default=0)),
        variants=single(
            time_figure(
                report,
                monitor,
                data,
                yaxis={
                    "title": {"text": "share of requests"},
                    "tickformat": ".0%",
                    "rangemode": "tozero",
                },
            )
        ),
        height=260,
    )


_ALERT_WORDS = {"page_1h": "1 hour", "page_6h": "6 hours", "ticket_3d": "3 days"}


# Where zero stands on the logarithmic axis.
_LOWEST_BURN = 0.02


def burn_rate_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """How fast the error budgets burn, beside what raises an alarm."""
    grid = Grid(report.since, report.until, monitor.service_grain)
    variants = []
    burning = 0
    for slo in ("availability", "latency"):
        windows = [
            each
            for each in monitor.burn_rates
            if each.slo == slo and each.burn_rate is not None
        ]
        if not windows:
            continue
        data: list[Json] = []
        judged = [each for each in windows if each.status != "not_computable"]
        burning += sum(severity(each.status) >= 2 for each in judged)
        unjudged = [each for each in windows if each.status == "not_computable"]
        for place, (alert, words) in enumerate(_ALERT_WORDS.items(), start=1):
            data.append(
                _burn_series(
                    grid,
                    [each for each in judged if each.alert == alert],
                    name=f"last {words}",
                    mode="lines+markers",
                    line={"color": f"var:burn-{place}", "width": 1.5},
                    marker={"color": f"var:burn-{place}", "size": 3},
                )
            )
        for alert in _ALERT_WORDS:
            data.append(
                _burn_series(
                    grid,
                    [each for each in unjudged if each.alert == alert],
                    name="not judged",
                    mode="markers",
                    marker={"color": "var:not-computable", "size": 2.5},
                    legendgroup="not judged",
                )
            )
        data = [each for each in data if has_values(each)]
        shown: set[str] = set()
        for each in data:
            each["showlegend"] = each["name"] not in shown
            shown.add(each["name"])
        data.append(level(report, 1, "alarm"))
        highest = max(2, *(_multiple(each) for each in windows))
        variants.append(
            (
                slo,
                time_figure(
                    report,
                    monitor,
                    data,
                    yaxis={
                        "title": {"text": "burn rate, × what alarms"},
                        "type": "log",
                        "range": [
                            math.log10(_LOWEST_BURN),
                            math.log10(highest * 2),
                        ],
                        "tickvals": [_LOWEST_BURN, 0.1, 1, 10, 100],
                        "ticktext": ["0", "0.1", "1", "10", "100"],
                    },
                ),
            )
        )
    if not variants:
        return None
    return Chart(
        title="Error budgets",
        note=(
            "How fast the budget burned over the last hour, six hours and three days, "
            "as a multiple of the rate that alarms (14.4, 6 and 1 budgets). Grey: too "
            "few requests to judge. Each point is the worst of its "
            f"{monitor.service_grain}."
        ),
        summary=f"An error budget burned too fast in {count(burning)} windows.",
        variants=tuple(variants),
        height=260,
    )


def _burn_series(grid: Grid, windows: Sequence[BurnWindow], **style: object) -> Json:
    return {
        "type": "scatter",
        **grid.x,
        "y": grid.values(
            (each.window_start, max(_multiple(each), _LOWEST_BURN)) for each in windows
        ),
        "customdata": grid.values(
            (each.window_start, each.burn_rate) for each in windows
        ),
        "hovertemplate": "%{customdata:.3~g} budgets",
        **style,
    }


def _alerts(monitor: MonitorReport, metrics: Sequence[str]) -> list[Json]:
    found = alert_rings(monitor, "service_health", metrics, monitor.service_grain)
    return [found] if has_values(found) else []


def _multiple(window: BurnWindow) -> float:
    """The burn rate as a multiple of the one that alarms."""
    return (window.burn_rate or 0) / window.threshold


def _each(grain: str) -> str:
    return grain.removesuffix("s")
