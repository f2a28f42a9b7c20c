"""Draws the README's picture from the marts of a demo.

python docs/picture.py PAGE.html && chromium --headless --hide-scrollbars \
    --window-size=1420,1180 --screenshot=docs/images/marts.png PAGE.html
"""

import os
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from psycopg.rows import dict_row

from orchestration import warehouse

_LATENCY = """
    select window_start, latency_p50_ms, latency_p95_ms, latency_p99_ms
    from marts.service_health
    where monitor = 'flight_delay_band' and grain = 'day' and model_version = 'all'
        and segment = 'all'
    order by window_start
"""
_QUALITY = """
    select window_start, column_name,
        null_rate + invalid_rate + unseen_rate as bad_rate
    from marts.data_quality
    where monitor = 'flight_delayed' and grain = 'day' and model_version = 'all'
        and segment = 'all' and column_name in ('carrier', 'dep_delay', 'humidity')
    order by column_name, window_start
"""
_PERFORMANCE = """
    select window_start, model_version, accuracy, accuracy_lower, accuracy_upper,
        baseline_accuracy
    from marts.model_performance
    where monitor = 'flight_delayed' and grain = 'day' and segment = 'all'
        and model_version != 'all' and labelled_count >= 50
    order by model_version, window_start
"""
_DRIFT = """
    select window_start, column_name, least(score, 1) as score
    from marts.drift
    where monitor = 'flight_delayed' and grain = 'day' and model_version = 'all'
        and segment = 'all' and is_headline
    order by role desc, column_name desc, window_start
"""
_COLOURS = ("#1f6feb", "#d1242f", "#8250df")


def main(page: Path) -> None:
    """Read the marts and write the page."""
    with (
        warehouse.connect(warehouse.settings(os.environ)) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        latency, quality, performance, drift = (
            cursor.execute(query).fetchall()
            for query in (_LATENCY, _QUALITY, _PERFORMANCE, _DRIFT)
        )
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        row_heights=[0.2, 0.2, 0.22, 0.38],
        subplot_titles=(
            "service_health · flight_delay_band · latency in ms, p50, p95 and p99",
            "data_quality · flight_delayed · null, invalid or unseen values",
            "model_performance · flight_delayed · accuracy with its 95 % interval,"
            " by version; dotted: the baseline",
            "drift · flight_delayed · PSI against the baseline",
        ),
    )
    for name, colour in zip(
        ("p99", "p95", "p50"), ("#b6d4fe", *_COLOURS[:1], "#0a3069"), strict=True
    ):
        _line(figure, latency, f"latency_{name}_ms", name, colour, row=1)
    for index, column in enumerate(("humidity", "carrier", "dep_delay")):
        rows = [row for row in quality if row["column_name"] == column]
        _line(figure, rows, "bad_rate", column, _COLOURS[index], row=2)
    for index, version in enumerate(
        sorted({row["model_version"] for row in performance})
    ):
        rows = [row for row in performance if row["model_version"] == version]
        _band(figure, rows, _COLOURS[index], row=3)
        _line(figure, rows, "accuracy", f"version {version}", _COLOURS[index], row=3)
    _line(
        figure,
        [row for row in performance if row["model_version"] == "1"],
        "baseline_accuracy",
        "baseline",
        "#6e7781",
        row=3,
        dash="dot",
    )
    figure.add_trace(
        go.Heatmap(
            x=[row["window_start"] for row in drift],
            y=[row["column_name"] for row in drift],
            z=[row["score"] for row in drift],
            colorscale=[
                [0, "#f6f8fa"],
                [0.1, "#dbe9ff"],
                [0.25, "#ffb77c"],
                [1, "#cf222e"],
            ],
            zmin=0,
            zmax=1,
            colorbar={
                "title": "PSI",
                "len": 0.36,
                "y": 0.17,
                "thickness": 12,
                "tickvals": [0, 0.1, 0.25, 1],
                "ticktext": ["0", "0.1", "0.25", "1 +"],
            },
        ),
        row=4,
        col=1,
    )
    figure.update_yaxes(tickformat=".0%", row=2)
    figure.update_yaxes(tickformat=".0%", row=3)
    figure.update_annotations(font_size=15, x=0, xanchor="left")
    figure.update_layout(
        width=1400,
        height=1150,
        template="plotly_white",
        showlegend=True,
        legend={"font": {"size": 12}, "y": 1, "tracegroupgap": 40},
        margin={"l": 110, "r": 120, "t": 40, "b": 40},
        font={"family": "DejaVu Sans"},
    )
    page.write_text(
        figure.to_html(include_plotlyjs=True, config={"displayModeBar": False})
    )


def _line(
    figure: Any,
    rows: list[dict[str, Any]],
    value: str,
    name: str,
    colour: str,
    *,
    row: int,
    dash: str = "solid",
) -> None:
    figure.add_trace(
        go.Scatter(
            x=[each["window_start"] for each in rows],
            y=[each[value] for each in rows],
            name=name,
            legendgroup=str(row),
            mode="lines",
            line={"color": colour, "width": 2, "dash": dash},
        ),
        row=row,
        col=1,
    )


def _band(figure: Any, rows: list[dict[str, Any]], colour: str, *, row: int) -> None:
    for edge, fill in (("accuracy_lower", None), ("accuracy_upper", "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=[each["window_start"] for each in rows],
                y=[each[edge] for each in rows],
                fill=fill,
                fillcolor=f"rgba{(*bytes.fromhex(colour[1:]), 0.15)}",
                mode="lines",
                line={"width": 0},
                showlegend=False,
                hoverinfo="skip",
            ),
            row=row,
            col=1,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
