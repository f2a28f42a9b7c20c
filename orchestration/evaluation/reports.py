"""A day of a monitor as one HTML page: our results, then Evidently's plots.

Evidently's page has no heading, leaves out what it can't compute, and knows nothing of
all features together; so the results stand above it, every one with its reason.
"""

import html
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.drift import Baseline
from orchestration.evaluation.methods import METHODS
from orchestration.evaluation.results import (
    FAILURES,
    Column,
    DriftResult,
    described,
)
from orchestration.evaluation.values import thinned, usable_values

# Rows of each side that are plotted at most, and categories of a column: Evidently
# takes seconds for thousands of them.
PLOTTED_LIMIT = 5000
PLOTTED_CATEGORIES = 100

STYLE = """
:root { --ink: #1b1f24; --soft: #5c6670; --line: #e2e6ea; --ground: #f6f7f9;
        --warning: #b54708; --warning-ground: #fef0e0; --ok: #1a7f4b;
        --ok-ground: #e6f5ec; --none: #5c6670; --none-ground: #eceff2; }
.driftline { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
        color: var(--ink); background: var(--ground); margin: 0;
        padding: 32px 24px 40px; }
.driftline main { max-width: 1080px; margin: 0 auto; }
.driftline h1 { font-size: 26px; line-height: 1.25; margin: 4px 0; font-weight: 650; }
.driftline h2 { font-size: 18px; margin: 28px 0 10px; font-weight: 600; }
.driftline p { margin: 4px 0 0; color: var(--soft); }
.driftline a { color: #0b5cad; text-decoration: none; }
.driftline a:hover { text-decoration: underline; }
.driftline .scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line);
        border-radius: 8px; margin-top: 16px; }
.driftline table { border-collapse: collapse; width: 100%; font-size: 14px; }
.driftline th { text-align: left; font-weight: 600; color: var(--soft);
        border-bottom: 1px solid var(--line); padding: 9px 12px; white-space: nowrap; }
.driftline td { border-top: 1px solid var(--line); padding: 8px 12px;
        vertical-align: top; }
.driftline tbody tr:first-child td { border-top: 0; }
.driftline .number { text-align: right; font-variant-numeric: tabular-nums;
        white-space: nowrap; }
.driftline .name { font-weight: 550; overflow-wrap: break-word; min-width: 120px; }
.driftline .why { color: var(--soft); max-width: 420px; overflow-wrap: anywhere; }
.driftline .status { display: inline-block; border-radius: 10px; padding: 0 9px;
        font-size: 12.5px; line-height: 20px; font-weight: 600; white-space: nowrap;
        color: var(--none); background: var(--none-ground); }
.driftline .status.warning { color: var(--warning); background: var(--warning-ground); }
.driftline .status.ok { color: var(--ok); background: var(--ok-ground); }
"""

_WORDS = {"ok": "ok", "warning": "drift", "not_computable": "not computable"}
_ORDER = {"warning": 0, "not_computable": 1, "ok": 2}


@dataclass(frozen=True, kw_only=True)
class DayReport:
    """A page, and Evidently's snapshots in it by name, for a workspace.

    ``snapshots`` are Evidently's own objects. ``omissions`` are the parts that it could
    not make, and why.
    """

    page: str
    snapshots: tuple[tuple[str, Any], ...]
    omissions: tuple[str, ...]


def day_report(
    current: pd.DataFrame,
    baseline: Baseline,
    results: Sequence[DriftResult],
    *,
    monitor: str,
    task: str,
    positive_class: str | None,
    day: date,
    row_count: int,
    made_at: datetime,
    long_frame: pd.DataFrame | None = None,
) -> DayReport:
    """The page of a day of which ``current`` is the sample and ``results`` the drift.

    ``long_frame`` holds the texts, if they were read apart. Performance is plotted over
    the sampled rows that have a label.
    """
    omissions: list[str] = []
    snapshots: list[tuple[str, Any]] = []
    parts: tuple[tuple[str, Callable[[], Any]], ...] = (
        (
            "drift",
            lambda: _drift_snapshot(
                current,
                current if long_frame is None else long_frame,
                baseline,
                results,
            ),
        ),
        (
            "performance",
            lambda: _performance_snapshot(
                current, baseline.frame, task=task, positive_class=positive_class
            ),
        ),
    )
    for name, make in parts:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                snapshots.append((name, make()))
        except FAILURES as error:
            reason = str(error) if isinstance(error, _NotPlotted) else described(error)
            omissions.append(f"No plots of {name}: {reason}.")
    wide = [each.name for each in baseline.columns if _is_wide(current, baseline, each)]
    if wide:
        omissions.append(
            f"No plots of {', '.join(wide)}: more than {PLOTTED_CATEGORIES} categories."
        )
    heading = _heading(
        results,
        monitor=monitor,
        day=day,
        row_count=row_count,
        sample_count=len(current),
        baseline_count=baseline.row_count,
        made_at=made_at,
        omissions=omissions,
    )
    return DayReport(
        page=_page(f"{monitor} · {day}", heading, [each for _, each in snapshots]),
        snapshots=tuple(snapshots),
        omissions=tuple(omissions),
    )


class _NotPlotted(ValueError):
    """There is nothing to plot; the message says why."""


def _drift_snapshot(
    current: pd.DataFrame,
    long_frame: pd.DataFrame,
    baseline: Baseline,
    results: Sequence[DriftResult],
) -> Any:
    from evidently import (
        DataDefinition,
        Dataset,
        Report,
    )
    from evidently.presets import DataDriftPreset

    by_name = {each.column_name: each for each in results}
    columns = _plotted(current, baseline, results)
    if not columns:
        raise _NotPlotted("no column could be computed")
    names = {
        kind: [column.name for column in columns if column.kind == kind]
        for kind in ("numerical", "categorical", "text")
    }
    definition = DataDefinition(
        numerical_columns=names["numerical"],
        categorical_columns=names["categorical"],
        text_columns=names["text"],
    )

    def dataset(frame: pd.DataFrame, long: pd.DataFrame) -> Any:
        # What can't be used is left out: one infinity would spoil a plot. Evidently
        # looks at one column after the other, so rows need not stay together.
        usable = {
            column.name: thinned(
                usable_values(long if column.kind == "text" else frame, column).usable,
                PLOTTED_LIMIT,
            ).reset_index(drop=True)
            for column in columns
        }
        return Dataset.from_pandas(pd.DataFrame(usable), definition)

    simple = [
        column
        for column in columns
        if METHODS[by_name[column.name].method].row_limit is None
        and not METHODS[by_name[column.name].method].equal_sizes
        and column.kind != "text"
    ]
    report = Report(
        [
            DataDriftPreset(
                columns=[column.name for column in columns],
                drift_share=baseline.settings.drifted_share,
                per_column_method={
                    column.name: METHODS[by_name[column.name].method].test
                    for column in simple
                },
                per_column_threshold={
                    column.name: by_name[column.name].threshold for column in simple
                },
            )
        ]
    )
    return report.run(
        dataset(current, long_frame), dataset(baseline.frame, baseline.long_frame)
    )


def _plotted(
    current: pd.DataFrame, baseline: Baseline, results: Sequence[DriftResult]
) -> list[Column]:
    """The columns that Evidently plots.

    One that can't be computed would cost the whole report; embeddings have no plot; and
    labels do not count to the share that drifted, for which Evidently takes them all.
    """
    computed = {each.column_name for each in results if each.is_drifted is not None}
    return [
        column
        for column in baseline.columns
        if column.name in computed
        and column.role != "actual"
        and column.kind != "embedding"
        and not _is_wide(current, baseline, column)
    ]


def _is_wide(current: pd.DataFrame, baseline: Baseline, column: Column) -> bool:
    """Whether it has too many categories to be plotted."""
    frames = [
        frame for frame in (current, baseline.frame) if column.name in frame.columns
    ]
    if column.kind != "categorical" or not frames:
        return False
    categories = pd.concat([frame[column.name] for frame in frames])
    return int(categories.nunique()) > PLOTTED_CATEGORIES


def _performance_snapshot(
    current: pd.DataFrame,
    baseline: pd.DataFrame,
    *,
    task: str,
    positive_class: str | None,
) -> Any:
    from evidently import (
        BinaryClassification,
        DataDefinition,
        Dataset,
        MulticlassClassification,
        Regression,
        Report,
    )
    from evidently.presets import ClassificationPreset, RegressionPreset

    window = _labelled(current, task)
    reference = _labelled(baseline, task)
    if len(window) < 2:
        raise _NotPlotted("fewer than two of the sampled rows have a label")
    if task == "regression":
        definition = DataDefinition(
            numerical_columns=["actual", "prediction"],
            regression=[Regression(target="actual", prediction="prediction")],
        )
        preset = RegressionPreset()
    else:
        if task == "binary" and (window["actual"].nunique() < 2):
            raise _NotPlotted("all labels of the sampled rows are of one class")
        classification = (
            BinaryClassification(
                target="actual",
                prediction_labels="prediction",
                prediction_probas="score" if "score" in window else None,
                pos_label=positive_class,
            )
            if task == "binary"
            else MulticlassClassification(
                target="actual", prediction_labels="prediction"
            )
        )
        definition = DataDefinition(
            numerical_columns=[name for name in window if name == "score"],
            categorical_columns=["actual", "prediction"],
            classification=[classification],
        )
        preset = ClassificationPreset()
    compared = len(reference) >= 2 and (
        task != "binary" or reference["actual"].nunique() == 2
    )
    if compared and task == "binary" and ("score" in window) != ("score" in reference):
        compared = False
    return Report([preset]).run(
        Dataset.from_pandas(window, definition),
        Dataset.from_pandas(reference, definition) if compared else None,
    )


def _labelled(frame: pd.DataFrame, task: str) -> pd.DataFrame:
    """The rows with a prediction and a label; with their scores, if they have them."""
    if not {"actual", "prediction"} <= set(frame.columns):
        raise _NotPlotted("the sample has no labels")
    names = ["actual", "prediction"]
    if task == "binary" and "score" in frame and bool(frame["score"].notna().any()):
        names.append("score")
    rows = frame[names].replace([np.inf, -np.inf], np.nan).dropna()
    return pd.DataFrame(thinned(rows, PLOTTED_LIMIT).reset_index(drop=True))


def _page(title: str, heading: str, snapshots: Sequence[Any]) -> str:
    head = f'<title>{html.escape(title)}</title><meta charset="utf-8">'
    style = f"<style>{STYLE}</style>"
    if not snapshots:
        return (
            f'<!doctype html><html lang="en"><head>{head}{style}</head>'
            f"<body>{heading}</body></html>\n"
        )
    from evidently.core.report import render_widgets
    from evidently.legacy.renderers.html_widgets import (
        group_widget,
    )

    # As Snapshot.get_html_str does it for one.
    page: str = render_widgets(
        [group_widget(title="", widgets=each._widgets) for each in snapshots],
        as_iframe=False,
    )
    page = page.replace("<head>", f"<head>{head}{style}", 1)
    return page.replace("<body>", f'<body style="margin: 0">{heading}', 1)


def _heading(
    results: Sequence[DriftResult],
    *,
    monitor: str,
    day: date,
    row_count: int,
    sample_count: int,
    baseline_count: int,
    made_at: datetime,
    omissions: Sequence[str],
) -> str:
    ordered = sorted(
        results,
        key=lambda each: (
            {"dataset": 0, "features": 1}.get(each.role, 2),
            0 if each.role == "features" else _ORDER.get(each.status, 3),
            each.column_name,
            each.method,
        ),
    )
    rows = "\n".join(_row(each) for each in ordered)
    notes = "".join(f"<p>{html.escape(omission)}</p>" for omission in omissions)
    return f"""
<div class="driftline"><main>
<a href="../index.html">← All reports</a>
<h1>{html.escape(monitor)}, {day:%A} {day}</h1>
<p>{sample_count:,} of the day's {row_count:,} rows, beside {baseline_count:,} of the
baseline. Days are UTC; made {made_at:%Y-%m-%d %H:%M} UTC.</p>
<div class="scroll"><table>
<thead><tr><th>Column</th><th>Status</th><th>Method</th>
<th class="number">Score</th><th class="number">p-value</th>
<th class="number">Threshold</th><th class="number">Values</th><th>Why</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
{notes}
</main></div>
"""


def _row(result: DriftResult) -> str:
    return (
        f'<tr><td class="name">{html.escape(result.column_name)}</td>'
        f"<td>{status_label(result.status)}</td>"
        f"<td>{html.escape(result.method)}</td>"
        f'<td class="number">{_figure(result.score)}</td>'
        f'<td class="number">{_figure(result.p_value)}</td>'
        f'<td class="number">{_figure(result.threshold)}</td>'
        f'<td class="number">{result.sample_count:,}</td>'
        f'<td class="why">{html.escape(result.reason or "")}</td></tr>'
    )


def status_label(status: str) -> str:
    """A status as a coloured word."""
    kind = status if status in ("ok", "warning") else "none"
    word = html.escape(_WORDS.get(status, status))
    return f'<span class="status {kind}">{word}</span>'


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if value != 0 and abs(value) < 0.0005:
        return "&lt; 0.001" if value > 0 else f"{value:.1e}"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
