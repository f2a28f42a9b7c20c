"""What all charts share: the grid of windows, marks, bands and levels.

Figures are Plotly's, as plain dictionaries. A colour is the name of a CSS variable
after ``var:``, which the page resolves when it draws, so that a figure suits each
theme. Series stand on a regular grid of windows, told by its start and step: a window
without a row is a gap, not a line across it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.reporting.content import Incident, MonitorReport, Report
from orchestration.reporting.wording import chart_text, severity, shortened

Json = dict[str, Any]


STEPS = {
    "5 minutes": timedelta(minutes=5),
    "15 minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}


_MONDAY = datetime(2001, 1, 1, tzinfo=UTC)


_MARKS = 40


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure, or several to choose from, with what explains it.

    ``summary`` is for those who can't see it. ``variants`` are labelled figures of
    Plotly, of which the first is shown first.
    """

    title: str
    note: str
    summary: str
    variants: tuple[tuple[str, Json], ...]
    height: int = 280
    legend: str | None = None


class Grid:
    """The regular windows of a span, as Plotly's ``x0`` and ``dx``."""

    def __init__(self, since: datetime, until: datetime, grain: str) -> None:
        self.step = STEPS[grain]
        offset = (since - _MONDAY) % self.step
        self.start = since - offset
        self.size = max(math.ceil((until - self.start) / self.step), 1)
        self.format = "%-d %b %Y" if self.step >= STEPS["day"] else "%-d %b, %H:%M"

    @property
    def x(self) -> Json:
        """The keys of a trace that place its values."""
        return {
            "x0": f"{self.start:%Y-%m-%d %H:%M}",
            "dx": int(self.step.total_seconds() * 1000),
            "xhoverformat": self.format,
        }

    def index(self, moment: datetime) -> int:
        """The place of the window that holds a moment; may be outside."""
        return (moment - self.start) // self.step

    def values(self, pairs: Iterable[tuple[datetime, Any]]) -> list[Any]:
        """Values at their places, None elsewhere."""
        placed: list[Any] = [None] * self.size
        for moment, value in pairs:
            index = self.index(moment)
            if 0 <= index < self.size:
                placed[index] = rounded(value)
        return placed


def band(
    bounds: Sequence[tuple[datetime, float | None, float | None]], step: timedelta
) -> Json:
    """A filled band, broken where windows are missing."""
    known = [
        (moment, lower, upper)
        for moment, lower, upper in bounds
        if lower is not None and upper is not None
    ]
    runs: list[list[tuple[datetime, float, float]]] = []
    for place, each in enumerate(known):
        if not place or each[0] - known[place - 1][0] != step:
            runs.append([])
        runs[-1].append(each)
    x: list[str | None] = []
    y: list[float | None] = []
    for run in runs:
        x += [None] if x else []
        y += [None] if y else []
        x += [time_text(moment) for moment, *_ in run]
        y += [rounded(upper) for *_, upper in run]
        x += [time_text(moment) for moment, *_ in reversed(run)]
        y += [rounded(lower) for _, lower, _ in reversed(run)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "95 % interval",
        "x": x,
        "y": y,
        "fill": "toself",
        "fillcolor": "var:band",
        "line": {"width": 0, "color": "var:band"},
        "hoverinfo": "skip",
    }


def level(report: Report, value: float, name: str) -> Json:
    """A horizontal line at a target or threshold."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [time_text(report.since), time_text(report.until)],
        "y": [value, value],
        "line": {"color": "var:threshold", "width": 1.25, "dash": "dot"},
        "hoverinfo": "skip",
    }


def single(figure: Json) -> tuple[tuple[str, Json], ...]:
    """The variants of a chart that has but one."""
    return (("", figure),)


def time_figure(
    report: Report, monitor: MonitorReport, data: Sequence[Json], **layout: object
) -> Json:
    """Series over the time of the report, with deployments and incidents marked."""
    shapes, signs = marks_of(report, monitor)
    return {
        "data": [*data, *signs],
        "layout": {**time_layout(report), **layout, "shapes": shapes},
    }


def rings(found: Sequence[tuple[datetime, float, str, str | None]]) -> Json:
    """Rings around points that alarmed: when, the value, the status, and why."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "flagged",
        "x": [time_text(moment) for moment, *_ in found],
        "y": [rounded(value) for _, value, *_ in found],
        "text": [chart_text(reason or status) for *_, status, reason in found],
        "hovertemplate": "%{text}",
        "marker": {
            "symbol": "circle-open",
            "size": 10,
            "line": {"width": 2},
            "color": [f"var:{status}" for _, _, status, _ in found],
        },
    }


def alert_rings(
    monitor: MonitorReport, family: str, metrics: Sequence[str], grain: str
) -> Json:
    """Rings around what the alert rules found in some figures of a chart."""
    return rings(
        [
            (each.window_start, each.value, each.severity, each.reason)
            for each in monitor.alerts
            if each.family == family and each.metric in metrics and each.grain == grain
        ]
    )


def marks_of(report: Report, monitor: MonitorReport) -> tuple[list[Json], list[Json]]:
    """Deployments and incidents: lines and bars behind the series, and their signs."""
    shapes: list[Json] = []
    signs: list[tuple[datetime, str, str, str]] = []
    for incident in _worst_incidents(monitor):
        started = max(incident.started_at, report.since)
        ended = min(incident.closed_at or report.until, report.until)
        # A veil over the time it lasted, and a bar along its upper edge.
        shapes += [
            {
                "type": "rect",
                "layer": "below",
                "xref": "x",
                "yref": "paper",
                "x0": time_text(started),
                "x1": time_text(ended),
                "y0": lower,
                "y1": 1,
                "line": {"width": 0},
                "fillcolor": f"var:{colour}",
            }
            for lower, colour in (
                (0, f"{incident.severity}-veil"),
                (0.988, incident.severity),
            )
        ]
        signs.append(
            (
                started,
                "triangle-down",
                incident.severity,
                f"incident: {shortened(incident.title, 110)} ({incident.state})",
            )
        )
    for deployment in monitor.deployments[-_MARKS:]:
        shapes.append(
            {
                "type": "line",
                "layer": "below",
                "xref": "x",
                "yref": "paper",
                "x0": time_text(deployment.deployed_at),
                "x1": time_text(deployment.deployed_at),
                "y0": 0,
                "y1": 1,
                "line": {"color": "var:deployment", "width": 1.25, "dash": "dash"},
            }
        )
        said = f"version {shortened(deployment.model_version, 40)} went live"
        if deployment.note:
            said += f": {shortened(deployment.note, 80)}"
        signs.append((deployment.deployed_at, "diamond", "deployment", said))
    if not signs:
        return shapes, []
    return shapes, [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "",
            "showlegend": False,
            "yaxis": "y2",
            "cliponaxis": False,
            "x": [time_text(moment) for moment, *_ in signs],
            "y": [1] * len(signs),
            "text": [chart_text(said) for *_, said in signs],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "symbol": [symbol for _, symbol, *_ in signs],
                "color": [f"var:{colour}" for _, _, colour, _ in signs],
                "size": 9,
            },
        }
    ]


def _worst_incidents(monitor: MonitorReport) -> list[Incident]:
    """The incidents to mark, unmuted and the worst of too many."""
    found = [each for each in monitor.incidents or () if not each.is_muted]
    return sorted(
        found, key=lambda each: (-severity(each.severity), -each.alert_count)
    )[:_MARKS]


def time_layout(report: Report) -> Json:
    return {
        "xaxis": {
            "type": "date",
            "range": [time_text(report.since), time_text(report.until)],
        },
        "hovermode": "x unified",
    }


def has_values(trace: Mapping[str, Any]) -> bool:
    return any(value is not None for value in trace["y"])


def time_text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def rounded(value: Any, *, digits: int = 4) -> Any:
    """A number with few digits, so that it takes few bytes; no NaN, nor infinity."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
