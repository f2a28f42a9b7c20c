"""Charts of columns: heat maps of drift and data quality, and histograms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from orchestration.reporting.charts import (
    Chart,
    Grid,
    Json,
    rounded,
    single,
    time_layout,
)
from orchestration.reporting.content import (
    DriftCell,
    HistogramBin,
    MonitorReport,
    QualityCell,
    Report,
)
from orchestration.reporting.wording import (
    chart_text,
    count,
    number,
    percent,
    severity,
    shortened,
)

HEAT_MAP_COLUMNS = 40
"""Rows of a heat map at most: the worst columns."""

_HISTOGRAM_BINS = 12


def drift_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """Column by day: how far each column is from what it is compared with."""
    cells = monitor.drift
    if not cells:
        return None
    grid = Grid(report.since, report.until, _cell_grain(report))
    columns = ranked_columns(monitor.drift, lambda each: drift_ratio(each) or 0)
    drifted = sum(bool(each.is_drifted) for each in cells)
    return Chart(
        title="Drift",
        note=(
            "Distance of each column from "
            + " or ".join(
                sorted({each.compared_to.replace("_", " ") for each in cells})
            )
            + ", as a multiple of the threshold; worst columns first"
            + _left_out(columns)
            + ". Above 1 it counts, if it is also beyond what chance does."
        ),
        summary=f"{count(drifted)} of {count(len(cells))} columns and days drifted.",
        variants=single(
            _heat_map(
                report,
                grid,
                columns[:HEAT_MAP_COLUMNS],
                cells,
                value=drift_ratio,
                text=_drift_text,
                style={
                    "zmin": 0,
                    "zmax": 4,
                    "colorscale": [
                        [0, "var:heat-0"],
                        [0.25, "var:heat-1"],
                        [0.25001, "var:heat-2"],
                        [0.5, "var:heat-3"],
                        [1, "var:heat-4"],
                    ],
                },
            ),
        ),
        height=_heat_map_height(columns),
        legend="drift",
    )


def drift_ratio(cell: DriftCell) -> float | None:
    """Score over threshold, at most 1 where it counts as no drift; None if unknown.

    Of a threshold of 0, which any score exceeds, it is 4 or 0.
    """
    if cell.score is None or cell.is_drifted is None or cell.threshold is None:
        return None
    if cell.threshold > 0:
        ratio = cell.score / cell.threshold
    else:
        ratio = 4.0 if cell.score > 0 else 0.0
    return max(ratio, 1.01) if cell.is_drifted else min(ratio, 1.0)


def _drift_text(cell: DriftCell) -> str:
    if cell.status == "not_computable" or cell.score is None:
        return f"not computable: {cell.reason or 'no reason given'}"
    said = f"{cell.method} {number(cell.score)} of {count(cell.sample_count)} rows"
    if cell.noise_floor is not None:
        said += f", noise up to {number(cell.noise_floor, digits=2)}"
    return said


_RATES = {
    "null_rate": "null",
    "invalid_rate": "invalid",
    "unseen_rate": "unseen",
    "out_of_range_rate": "out of range",
    "duplicate_rate": "repeated",
    "unknown_rate": "not monitored",
}


def worst_rate(cell: QualityCell) -> tuple[float, str] | None:
    """The highest of a cell's rates and what it is of; nulls beyond the baseline's."""
    rates = [
        (
            rate - (cell.baseline_null_rate or 0) if name == "null_rate" else rate,
            rate,
            words,
        )
        for name, words in _RATES.items()
        if (rate := getattr(cell, name)) is not None
    ]
    if not rates:
        return None
    _, rate, words = max(rates)
    return rate, words


def _quality_text(cell: QualityCell) -> str:
    if cell.status == "not_computable":
        return f"not computable: {cell.reason or 'no reason given'}"
    if severity(cell.status) >= 2 and cell.reason:
        return f"{cell.status}: {cell.reason}"
    worst = worst_rate(cell)
    said = f"{percent(worst[0])} {worst[1]}, " if worst and worst[0] > 0 else ""
    return f"{said}{count(cell.row_count)} rows"


def quality_chart(report: Report, monitor: MonitorReport) -> Chart | None:
    """Column by day: whether values can be trusted."""
    cells = monitor.quality
    if not cells:
        return None
    grid = Grid(report.since, report.until, _cell_grain(report))
    columns = ranked_columns(cells, lambda each: (worst_rate(each) or (0,))[0])
    flagged = sum(severity(each.status) >= 2 for each in cells)
    return Chart(
        title="Data quality",
        note=(
            "Null, invalid, unseen, out-of-range and repeated values by column; worst "
            f"columns first{_left_out(columns)}."
        ),
        summary=f"{count(flagged)} of {count(len(cells))} columns and days are "
        "flagged.",
        variants=single(
            _heat_map(
                report,
                grid,
                columns[:HEAT_MAP_COLUMNS],
                cells,
                value=lambda each: severity(each.status) or None,
                text=_quality_text,
                style={
                    "zmin": 1,
                    "zmax": 3,
                    "colorscale": [
                        [0, "var:heat-ok"],
                        [0.333, "var:heat-ok"],
                        [0.334, "var:warning"],
                        [0.666, "var:warning"],
                        [0.667, "var:critical"],
                        [1, "var:critical"],
                    ],
                },
            ),
        ),
        height=_heat_map_height(columns),
        legend="status",
    )


def ranked_columns(cells: Iterable[Any], weight: Callable[[Any], float]) -> list[str]:
    """Columns by the windows flagged, then by the sum of their weights."""
    flagged: dict[str, int] = {}
    weights: dict[str, float] = {}
    for each in cells:
        name = each.column_name
        flagged[name] = flagged.get(name, 0) + (severity(each.status) >= 2)
        weights[name] = weights.get(name, 0) + weight(each)
    return sorted(flagged, key=lambda name: (-flagged[name], -weights[name], name))


def _left_out(columns: Sequence[str]) -> str:
    if len(columns) <= HEAT_MAP_COLUMNS:
        return ""
    return f", {HEAT_MAP_COLUMNS} of {len(columns)}"


def _heat_map_height(columns: Sequence[str]) -> int:
    return 60 + 17 * max(min(len(columns), HEAT_MAP_COLUMNS), 3)


def _cell_grain(report: Report) -> str:
    return "day" if report.span <= timedelta(days=400) else "week"


def _heat_map(
    report: Report,
    grid: Grid,
    columns: Sequence[str],
    cells: Iterable[Any],
    *,
    value: Callable[[Any], float | None],
    text: Callable[[Any], str],
    style: Mapping[str, object],
) -> Json:
    """Columns from top to bottom; grey is what could not be computed."""
    places = {name: place for place, name in enumerate(columns)}
    values: list[list[float | None]] = [[None] * grid.size for _ in columns]
    unknown: list[list[int | None]] = [[None] * grid.size for _ in columns]
    texts = [[""] * grid.size for _ in columns]
    reasons = [[""] * grid.size for _ in columns]
    for cell in cells:
        index = grid.index(cell.window_start)
        if cell.column_name not in places or not 0 <= index < grid.size:
            continue
        place = places[cell.column_name]
        shown = value(cell)
        values[place][index] = rounded(shown, digits=3)
        said = chart_text(shortened(text(cell), 160))
        if shown is None:
            unknown[place][index] = 0
            reasons[place][index] = said
        else:
            texts[place][index] = said
    # What can't be seen keeps a name from being a number, a date, or __proto__, which
    # Plotly would take for a property of its own.
    names = [f"\u2060{chart_text(name)}" for name in columns]
    shared = {
        "type": "heatmap",
        "y": names,
        # Times in the middle of their cells.
        **grid.x,
        "x0": f"{grid.start + grid.step / 2:%Y-%m-%d %H:%M}",
        "xgap": 1 if grid.size <= 120 else 0,
        "ygap": 1,
        "showscale": False,
        "hovertemplate": "<b>%{y}</b><br>%{x}<br>%{text}<extra></extra>",
        "hoverongaps": False,
    }
    data: list[Json] = [{**shared, "z": values, "text": texts, **style}]
    if any(each is not None for row in unknown for each in row):
        data.append(
            {
                **shared,
                "z": unknown,
                "text": reasons,
                "colorscale": [[0, "var:not-computable"], [1, "var:not-computable"]],
                "zmin": 0,
                "zmax": 1,
            }
        )
    return {
        "data": data,
        "layout": {
            **time_layout(report),
            "hovermode": "closest",
            "yaxis": {
                "type": "category",
                "autorange": "reversed",
                "tickmode": "array",
                "tickvals": names,
                "ticktext": [chart_text(shortened(name, 22)) for name in columns],
                "showgrid": False,
                "ticks": "",
                "automargin": True,
            },
        },
    }


def histogram_chart(
    monitor: MonitorReport, column: str, bins: Sequence[HistogramBin]
) -> Chart:
    """The newest days of a column beside the baseline."""
    kept = sorted(
        sorted(bins, key=lambda each: -max(each.share, each.baseline_share or 0))[
            :_HISTOGRAM_BINS
        ],
        # Null, invalid, unseen and other come last, as in the marts' numbering.
        key=lambda each: (each.bin < 0, abs(each.bin)),
    )
    words = [bin_words(each, digits=_digits(bins)) for each in kept]
    labels = [chart_text(shortened(each, 20)) for each in words]
    # Two labels that were cut alike must stay two bars.
    places = list(range(len(kept)))
    rows = sum(each.bin_count for each in bins)
    left_out = len(bins) - len(kept)
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": places,
            "x": [rounded(share) for share in shares],
            "text": [chart_text(shortened(each, 60)) for each in words],
            "textposition": "none",
            "hovertemplate": f"%{{text}}: %{{x:.1%}} {where}<extra></extra>",
            "marker": {"color": colour, "line": {"width": 0}},
        }
        for name, where, colour, shares in (
            (
                f"last {monitor.histogram_days} days",
                f"of the last {monitor.histogram_days} days",
                "var:series-1",
                [each.share for each in kept],
            ),
            (
                "baseline",
                "of the baseline",
                "var:baseline-soft",
                [each.baseline_share for each in kept],
            ),
        )
    ]
    return Chart(
        title=column,
        note=f"{count(rows)} rows"
        + (f"; {left_out} smaller bins not shown" if left_out else ""),
        summary=f"Histogram of {column} beside the baseline.",
        variants=single(
            {
                "data": data,
                "layout": {
                    "barmode": "group",
                    "bargap": 0.28,
                    "bargroupgap": 0,
                    "hovermode": "closest",
                    "xaxis": {
                        "tickformat": ".0%",
                        "rangemode": "tozero",
                        "nticks": 5,
                    },
                    "yaxis": {
                        "autorange": "reversed",
                        "tickmode": "array",
                        "tickvals": places,
                        "ticktext": labels,
                        "showgrid": False,
                        "automargin": True,
                    },
                },
            },
        ),
        height=90 + 23 * len(kept),
    )


def _digits(bins: Iterable[HistogramBin]) -> int:
    """As few digits as tell the edges of the bins apart."""
    edges = {
        edge
        for each in bins
        for edge in (each.lower_bound, each.upper_bound)
        if edge is not None
    }
    for digits in range(3, 8):
        if len({number(edge, digits=digits) for edge in edges}) == len(edges):
            return digits
    return 8


def bin_words(each: HistogramBin, *, digits: int = 3) -> str:
    """A bin's range with readable numbers, or its category."""

    def shown(edge: float | None) -> str:
        return number(edge, digits=digits)

    lower, upper = each.lower_bound, each.upper_bound
    if lower is None and upper is None:
        return each.label
    if lower is None:
        return f"< {shown(upper)}"
    if upper is None:
        return f"{'>' if each.label.startswith('above') else '≥'} {shown(lower)}"
    return f"{shown(lower)} – {shown(upper)}"
