"""The page: what the report shows, as one HTML file that needs nothing else."""

import base64
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from itertools import groupby

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestration.reporting.charts import Chart, Grid
from orchestration.reporting.columns import (
    drift_chart,
    drift_ratio,
    histogram_chart,
    quality_chart,
    ranked_columns,
    worst_rate,
)
from orchestration.reporting.content import (
    FAMILIES,
    DriftCell,
    FamilyStatus,
    MonitorReport,
    QualityCell,
    Report,
)
from orchestration.reporting.performance import coverage_chart, performance_chart
from orchestration.reporting.service import (
    burn_rate_chart,
    failure_chart,
    latency_chart,
    traffic_chart,
)
from orchestration.reporting.wording import (
    FAMILY_WORDS,
    METRIC_WORDS,
    STATUS_WORDS,
    count,
    day,
    duration,
    metric_value,
    minute,
    number,
    percent,
    plural,
    severity,
    shortened,
)

_HISTOGRAMS = 6
_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class _Heading:
    text: str
    is_number: bool = False
    order: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """A cell of a table; ``sort`` is what it sorts by, empty for unknown."""

    text: str
    sort: str | float | int = ""
    detail: str | None = None
    status: str | None = None
    svg: Markup | None = None


@dataclass(frozen=True, kw_only=True)
class _Table:
    caption: str
    headings: tuple[_Heading, ...]
    rows: tuple[tuple[_Cell, ...], ...]
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class _Fact:
    name: str
    text: str
    detail: str | None = None
    status: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Family:
    name: str
    status: str
    reason: str
    strip: Markup


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """A chart as the template wants it; the page has the figures elsewhere."""

    title: str
    note: str
    summary: str
    variants: tuple[tuple[str, object], ...]
    height: int
    legend: str | None


@dataclass(frozen=True, kw_only=True)
class _Monitor:
    id: str
    name: str
    subtitle: str
    baseline: str
    status: str
    families: tuple[_Family, ...]
    facts: tuple[_Fact, ...]
    incidents: _Table | None
    has_no_incidents: bool
    performance: tuple[_Drawing, ...]
    segments: _Table | None
    heat_maps: tuple[_Drawing, ...]
    histograms: tuple[_Drawing, ...]
    columns: _Table | None
    service: tuple[_Drawing, ...]
    deployments: _Table | None


def render(report: Report) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=PackageLoader("orchestration.reporting", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    monitors = [
        _monitor(report, monitor, place)
        for place, monitor in enumerate(report.monitors, start=1)
    ]
    span = _days(report.since, report.until)
    return environment.get_template("page.html.jinja").render(
        title=f"Driftline: {span}",
        heading=_heading(report),
        lead=f"{span} (UTC), {_ago(report)}",
        span=span,
        generated=minute(report.generated_at),
        status_words=STATUS_WORDS,
        monitors=monitors,
        css=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
        plotly=Markup(_plotly()),
        figures=Markup(_packed(orjson.dumps(_figures(monitors)))),
    )


def _heading(report: Report) -> str:
    """The report in one sentence."""
    monitors = [each.summary for each in report.monitors]
    if not monitors:
        return "No monitors"
    parts = []
    for status in ("critical", "warning", "not_computable"):
        amount = sum(each.status == status for each in monitors)
        if amount:
            parts.append(f"{amount} {STATUS_WORDS[status]}")
    text = plural(len(monitors), "monitor")
    text += f": {', '.join(parts)}" if parts else ", all ok"
    opened = [
        len(found)
        for each in report.monitors
        if (found := each.open_incidents) is not None
    ]
    return f"{text}; {plural(sum(opened), 'open incident')}" if opened else text


def _ago(report: Report) -> str:
    behind = report.generated_at - report.until
    if behind < timedelta(days=2):
        return f"made {minute(report.generated_at)}"
    return f"the newest data is {behind.days} days old"


def _monitor(report: Report, monitor: MonitorReport, place: int) -> _Monitor:
    summary = monitor.summary
    baseline = f"Baseline: {summary.baseline or 'none'}"
    if summary.baseline_row_count is not None:
        baseline += f", {plural(summary.baseline_row_count, 'row')}"
    columns = _worst_columns(monitor)
    bins = {
        name: list(found)
        for name, found in groupby(monitor.histograms, key=lambda one: one.column_name)
    }
    return _Monitor(
        # By number: a name could be that of something else on the page.
        id=f"monitor-{place}",
        name=summary.monitor,
        subtitle=", ".join(filter(None, (summary.task, summary.owner))),
        baseline=f"{baseline}.",
        status=summary.status,
        families=tuple(_family(report, monitor, family) for family in FAMILIES),
        facts=tuple(_facts(report, monitor)),
        incidents=_incident_table(monitor),
        has_no_incidents=monitor.incidents == (),
        performance=_drawings(
            performance_chart(report, monitor), coverage_chart(report, monitor)
        ),
        segments=_segment_table(monitor),
        heat_maps=_drawings(
            drift_chart(report, monitor), quality_chart(report, monitor)
        ),
        histograms=_drawings(
            *(
                histogram_chart(monitor, name, bins[name])
                for name in [each for each in columns if each in bins][:_HISTOGRAMS]
            )
        ),
        columns=_column_table(report, monitor, columns),
        service=_drawings(
            traffic_chart(report, monitor),
            latency_chart(report, monitor),
            failure_chart(report, monitor),
            burn_rate_chart(report, monitor),
        ),
        deployments=_deployment_table(monitor),
    )


def _facts(report: Report, monitor: MonitorReport) -> Iterable[_Fact]:
    summary = monitor.summary
    within = sum(
        each.prediction_count
        for each in monitor.performance
        if each.model_version == "all"
    )
    yield _Fact(
        name="Predictions",
        text=count(summary.prediction_count),
        detail=f"{count(within)} in these days"
        if within != summary.prediction_count
        else None,
    )
    newest = summary.last_predicted_at
    yield _Fact(
        name="Newest prediction",
        text=f"{duration(report.generated_at - newest)} ago" if newest else "none yet",
        detail=summary.freshness_reason or (minute(newest) if newest else None),
        status=summary.freshness_status,
    )
    coverage = monitor.label_coverage
    due = summary.labels_expected_within_seconds
    yield _Fact(
        name="Labels",
        text=percent(coverage) if coverage is not None else "none final yet",
        detail=f"of predictions older than {duration(timedelta(seconds=due))}"
        if due
        else "of final predictions",
    )
    opened = monitor.open_incidents
    if opened is not None:
        worst = max((each.severity for each in opened), key=severity, default="ok")
        yield _Fact(
            name="Open incidents",
            text=count(len(opened)),
            status=worst,
            detail=f"of {count(len(monitor.incidents or ()))} in these days",
        )
    else:
        yield _Fact(
            name=f"Newest {METRIC_WORDS[monitor.headline_metric]}",
            **_newest_figure(monitor),
        )


def _newest_figure(monitor: MonitorReport) -> dict[str, str]:
    metric = monitor.headline_metric
    for each in reversed(monitor.performance):
        figure = each.figures[metric]
        if (
            each.model_version == "all"
            and each.is_final
            and each.labelled_count >= monitor.summary.minimum_sample
            and figure.value is not None
        ):
            return {
                "text": metric_value(metric, figure.value),
                "detail": f"{day(each.window_start)}, baseline "
                f"{metric_value(metric, figure.baseline)}",
            }
    return {"text": "not computable", "detail": "too few labels"}


def _family(report: Report, monitor: MonitorReport, family: str) -> _Family:
    statuses = [each for each in monitor.statuses if each.family == family]
    status = monitor.summary.status_of(family)
    newest = next((each for each in reversed(statuses) if each.status == status), None)
    reason = f"is {STATUS_WORDS[status]}"
    if newest is not None:
        reason += f" on {day(newest.window_start)}"
        if newest.reason:
            reason += f": {newest.reason}"
    return _Family(
        name=FAMILY_WORDS[family],
        status=status,
        reason=f"{reason}.",
        strip=_strip(report, FAMILY_WORDS[family], statuses),
    )


def _strip(report: Report, name: str, statuses: Sequence[FamilyStatus]) -> Markup:
    """Days side by side, coloured by status; runs of equal days are one shape."""
    grid = Grid(report.since, report.until, "day")
    days = grid.values((each.window_start, each.status) for each in statuses)
    shapes = []
    flagged = sum(each is not None and severity(each) >= 2 for each in days)
    for status, run in groupby(enumerate(days), key=lambda one: one[1]):
        places = [place for place, _ in run]
        if status is None:
            continue
        first, last = (grid.start + grid.step * places[end] for end in (0, -1))
        said = f"{STATUS_WORDS[status]}: {_days(first, last + grid.step)}"
        shapes.append(
            Markup(
                '<rect class="{}" x="{}" width="{}" height="1"><title>{}</title>'
            ).format(status, places[0], len(places), said)
            + Markup("</rect>")
        )
    known = sum(each is not None for each in days)
    return Markup(
        '<svg class="strip" role="img" aria-label="{}" viewBox="0 0 {} 1" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(
        f"{name}: {flagged} of {known} days flagged",
        grid.size,
        Markup("").join(shapes),
    )


def _worst_columns(monitor: MonitorReport) -> list[str]:
    """Columns of either heat map, the worst first."""
    cells: list[DriftCell | QualityCell] = [*monitor.drift, *monitor.quality]
    cells = [each for each in cells if each.role not in ("dataset", "row", "key")]

    def weight(cell: DriftCell | QualityCell) -> float:
        if isinstance(cell, DriftCell):
            return drift_ratio(cell) or 0
        return (worst_rate(cell) or (0,))[0]

    return ranked_columns(cells, weight)


def _column_table(
    report: Report, monitor: MonitorReport, columns: Sequence[str]
) -> _Table | None:
    if not columns:
        return None
    drift: dict[str, list[DriftCell]] = {name: [] for name in columns}
    quality: dict[str, list[QualityCell]] = {name: [] for name in columns}
    for cell in monitor.drift:
        drift.get(cell.column_name, []).append(cell)
    for each in monitor.quality:
        quality.get(each.column_name, []).append(each)
    return _Table(
        caption="All columns",
        headings=(
            _Heading(text="Column"),
            _Heading(text="Role"),
            _Heading(text="Drift over time"),
            _Heading(text="Drift now", is_number=True),
            _Heading(text="Days drifted", is_number=True),
            _Heading(text="Worst day", is_number=True),
            _Heading(text="Quality flagged, days", is_number=True),
            _Heading(text="Null now", is_number=True),
            _Heading(text="Null in baseline", is_number=True),
            _Heading(text="Worst quality", is_number=True),
        ),
        rows=tuple(
            _column_row(report, name, drift[name], quality[name])
            for name in columns[:_ROWS]
        ),
        left_out=max(len(columns) - _ROWS, 0),
    )


def _column_row(
    report: Report,
    name: str,
    drift: Sequence[DriftCell],
    quality: Sequence[QualityCell],
) -> tuple[_Cell, ...]:
    newest = drift[-1] if drift else None
    judged = [each for each in drift if each.is_drifted is not None]
    drifted = sum(bool(each.is_drifted) for each in judged)
    worst = max(judged, key=lambda each: drift_ratio(each) or 0, default=None)
    ratios = [
        (each.window_start, ratio)
        for each in judged
        if (ratio := drift_ratio(each)) is not None
    ]
    values = quality[-1] if quality else None
    flagged = sum(severity(each.status) >= 2 for each in quality)
    worst_quality = max(
        quality, key=lambda each: (worst_rate(each) or (0, ""))[0], default=None
    )
    rate = worst_rate(worst_quality) if worst_quality else None
    role = newest.role if newest else values.role if values else ""
    return (
        _Cell(text=shortened(name, 80), sort=name),
        _Cell(text=role, sort=role),
        _Cell(
            text="" if ratios else "–",
            sort=_sortable(max((ratio for _, ratio in ratios), default=None)),
            svg=_spark(report, ratios),
        ),
        _Cell(
            text=f"{newest.method} {number(newest.score)}" if newest else "–",
            sort=_sortable(drift_ratio(newest) if newest else None),
            status=newest.status if newest else None,
        ),
        _Cell(
            text=f"{drifted} of {len(judged)}" if judged else "–",
            sort=drifted if judged else "",
        ),
        _Cell(
            text=number(worst.score) if worst else "–",
            sort=_sortable(drift_ratio(worst) if worst else None),
            detail=day(worst.window_start) if worst else None,
        ),
        _Cell(
            text=f"{flagged} of {len(quality)}" if quality else "–",
            sort=flagged if quality else "",
        ),
        _rate_cell(values.null_rate if values else None),
        _rate_cell(values.baseline_null_rate if values else None),
        _Cell(
            text=f"{percent(rate[0])} {rate[1]}" if rate and rate[0] > 0 else "–",
            sort=_sortable(rate[0] if rate else None),
            detail=day(worst_quality.window_start)
            if worst_quality and rate and rate[0] > 0
            else None,
        ),
    )


def _rate_cell(rate: float | None) -> _Cell:
    return _Cell(text=percent(rate), sort=_sortable(rate))


def _spark(report: Report, pairs: Sequence[tuple[datetime, float]]) -> Markup | None:
    """Drift over time in a cell: the line, and the threshold at 1."""
    if not pairs:
        return None
    grid = Grid(report.since, report.until, "day")
    values: list[float | None] = grid.values(pairs)
    top = max(*(each for each in values if each is not None), 1.5)
    points = []
    for present, run in groupby(enumerate(values), key=lambda one: one[1] is not None):
        if present:
            line = [f"{x} {(1 - (y or 0) / top) * 20:.1f}" for x, y in run]
            # A single point is a line as wide as a day.
            points.append("M" + "L".join(line if len(line) > 1 else [*line, *line]))
    level = f"{(1 - 1 / top) * 20:.1f}"
    return Markup(
        '<svg class="spark" aria-hidden="true" viewBox="0 0 {width} 20" '
        'preserveAspectRatio="none"><line x1="0" x2="{width}" y1="{level}" '
        'y2="{level}"/><path d="{path}"/></svg>'
    ).format(width=grid.size, level=level, path="".join(points))


def _incident_table(monitor: MonitorReport) -> _Table | None:
    if not monitor.incidents:
        return None
    states = {"open": 2, "acknowledged": 1, "resolved": 0}
    found = sorted(
        monitor.incidents,
        key=lambda each: (
            -states.get(each.state, 0),
            -severity(each.severity),
            -each.started_at.timestamp(),
        ),
    )
    return _Table(
        caption=plural(len(found), "incident"),
        headings=(
            _Heading(text="Severity"),
            _Heading(text="State"),
            _Heading(text="What was found first"),
            _Heading(text="Began"),
            _Heading(text="Lasted", is_number=True),
            _Heading(text="Alerts", is_number=True),
            _Heading(text="Touches"),
            _Heading(text="Possible causes"),
        ),
        rows=tuple(
            (
                _Cell(
                    text=each.severity,
                    sort=severity(each.severity),
                    status=each.severity,
                ),
                _Cell(
                    text=f"{each.state}, muted" if each.is_muted else each.state,
                    sort=states.get(each.state, 0),
                    detail=f"by {each.acknowledged_by}"
                    if each.acknowledged_by
                    else None,
                ),
                _Cell(
                    text=shortened(
                        each.title.removeprefix(f"{monitor.summary.monitor}: "), 140
                    ),
                    sort=each.title,
                    detail=shortened(each.suspect_reason, 200)
                    if each.suspect_reason and each.suspect_reason not in each.title
                    else None,
                ),
                _Cell(text=minute(each.started_at), sort=each.started_at.timestamp()),
                _Cell(
                    text=duration(lasted),
                    sort=lasted.total_seconds(),
                    detail="so far" if each.closed_at is None else None,
                ),
                _Cell(text=count(each.alert_count), sort=each.alert_count),
                _Cell(
                    text=", ".join(FAMILY_WORDS.get(one, one) for one in each.families),
                    sort=len(each.families),
                    detail=_named(
                        [one for one in each.column_names if one != "all"], limit=4
                    ),
                ),
                _Cell(
                    text=_named(each.possible_causes, limit=3) or "–",
                    sort=len(each.possible_causes),
                ),
            )
            for each in found[:_ROWS]
            for lasted in [_lasted(each.started_at, each.closed_at, monitor)]
        ),
        left_out=max(len(found) - _ROWS, 0),
    )


def _lasted(
    started_at: datetime, closed_at: datetime | None, monitor: MonitorReport
) -> timedelta:
    """Until it was over; one that is still open, until the newest data."""
    newest = monitor.summary.last_predicted_at or started_at
    return max((closed_at or newest) - started_at, timedelta())


def _segment_table(monitor: MonitorReport) -> _Table | None:
    if not monitor.segments:
        return None
    metric = monitor.headline_metric
    week = monitor.segments[0]
    caption = (
        f"{METRIC_WORDS[metric].capitalize()} by segment, week from "
        f"{day(week.window_start)}"
    )
    return _Table(
        caption=caption if week.is_final else f"{caption} (provisional)",
        headings=(
            _Heading(text="Segment"),
            _Heading(text="Value"),
            _Heading(text="Labels", is_number=True, order="descending"),
            _Heading(text=METRIC_WORDS[metric].capitalize(), is_number=True),
            _Heading(text="95 % interval", is_number=True),
            _Heading(text="Baseline", is_number=True),
            _Heading(text="Status"),
        ),
        rows=tuple(
            (
                _Cell(text=each.segment, sort=each.segment),
                _Cell(text=shortened(each.segment_value, 80), sort=each.segment_value),
                _Cell(text=count(each.labelled_count), sort=each.labelled_count),
                _Cell(
                    text=metric_value(metric, each.figure.value),
                    sort=_sortable(each.figure.value),
                ),
                _Cell(
                    text=f"{metric_value(metric, each.figure.lower)} to "
                    f"{metric_value(metric, each.figure.upper)}"
                    if each.figure.lower is not None
                    else "–",
                    sort=_sortable(each.figure.lower),
                ),
                _Cell(
                    text=metric_value(metric, each.figure.baseline),
                    sort=_sortable(each.figure.baseline),
                ),
                _Cell(
                    text=STATUS_WORDS[each.status],
                    sort=severity(each.status),
                    status=each.status,
                    detail=shortened(each.reason, 160) if each.reason else None,
                ),
            )
            for each in monitor.segments
        ),
    )


def _deployment_table(monitor: MonitorReport) -> _Table | None:
    if not monitor.deployments:
        return None
    found = monitor.deployments[-_ROWS:]
    return _Table(
        caption=plural(len(monitor.deployments), "deployment"),
        headings=(
            _Heading(text="Went live", order="ascending"),
            _Heading(text="Version"),
            _Heading(text="Note"),
        ),
        rows=tuple(
            (
                _Cell(text=minute(each.deployed_at), sort=each.deployed_at.timestamp()),
                _Cell(text=shortened(each.model_version, 80), sort=each.model_version),
                _Cell(text=shortened(each.note or "–", 200), sort=each.note or ""),
            )
            for each in found
        ),
        left_out=len(monitor.deployments) - len(found),
    )


def _named(names: Sequence[str], *, limit: int) -> str:
    """A few of the names, and how many more there are."""
    said = "; ".join(shortened(each, 100) for each in names[:limit])
    return f"{said} and {len(names) - limit} more" if len(names) > limit else said


def _sortable(value: float | None) -> str | float:
    return "" if value is None else value


def _days(since: datetime, until: datetime) -> str:
    """The days of a half-open span, such as 3 – 9 Oct 2026."""
    last = until - timedelta(microseconds=1)
    if since.date() == last.date():
        return day(since)
    return f"{day(since)} – {day(last)}"


def _drawings(*charts: Chart | None) -> tuple[_Drawing, ...]:
    return tuple(
        _Drawing(
            title=shortened(chart.title, 60),
            note=chart.note,
            summary=chart.summary,
            variants=chart.variants,
            height=chart.height,
            legend=chart.legend,
        )
        for chart in charts
        if chart is not None
    )


def _figures(monitors: Iterable[_Monitor]) -> list[list[object]]:
    """The figures of each chart, in the order in which the page shows the charts."""
    return [
        [figure for _, figure in drawing.variants]
        for monitor in monitors
        for drawings in (
            monitor.performance,
            monitor.heat_maps,
            monitor.histograms,
            monitor.service,
        )
        for drawing in drawings
    ]


@cache
def _plotly() -> str:
    """Plotly's library: 1.8 MB instead of 4.6."""
    library = resources.files("plotly").joinpath("package_data", "plotly.min.js")
    return _packed(library.read_bytes())


def _packed(content: bytes) -> str:
    """Compressed, in letters that mean nothing to HTML."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _asset(name: str) -> str:
    folder = resources.files("orchestration.reporting").joinpath("assets")
    return folder.joinpath(name).read_text(encoding="utf-8")
