"""``fairness`` from raw rows."""

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
)

from tests.dbt.recomputed.rows import (
    GRAINS,
    Figures,
    Monitor,
    Row,
    about,
    key_text,
    numbers,
    segments_of,
    windows,
)

RATES = (
    *("selection_rate", "true_positive_rate", "false_positive_rate"),
    "positive_predictive_value",
)
FIGURES = (*RATES, "mae")
STATUSES = ("not_computable", "ok", "warning", "critical")
PARTS = ("", "_difference", "_difference_lower", "_difference_upper", "_ratio")


def fairness(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    whole = {
        key: rows
        for key, rows in windows(
            monitor, monitor.grains["columns"], segments=False
        ).items()
    }
    for key, rows in whole.items():
        for segment in monitor.fairness:
            groups = [
                value
                for row in rows
                for name, value in segments_of(monitor, row)
                if name == segment
            ]
            tables = (
                _errors(rows, groups)
                if monitor.task == "regression"
                else _choices(monitor, rows, groups)
            )
            for label, table in tables.items():
                found |= _compared(monitor, (*key[:2], segment), key[4:], label, table)
    return found


def _choices(
    monitor: Monitor, rows: Sequence[Row], groups: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """By class: who was selected, and who ought to have been (None if unknown)."""
    pairs = [
        (
            group,
            key_text(str(row.values["prediction"])),
            None
            if row.values["actual"] is None
            else key_text(str(row.values["actual"])),
        )
        for group, row in zip(groups, rows, strict=True)
        if row.values["prediction"] is not None
    ]
    if not pairs:
        return {}
    classes = {label for _, *labels in pairs for label in labels if label is not None}
    if monitor.positive_class is not None:
        classes = {key_text(monitor.positive_class)}
    return {
        label: pd.DataFrame(
            {
                "group": [group for group, _, _ in pairs],
                "selected": [predicted == label for _, predicted, _ in pairs],
                "positive": [
                    math.nan if actual is None else float(actual == label)
                    for _, _, actual in pairs
                ],
            }
        )
        for label in classes
    }


def _errors(rows: Sequence[Row], groups: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Absolute errors."""
    found = defaultdict(list)
    for group, row in zip(groups, rows, strict=True):
        for actual in numbers([row.values["actual"]]):
            for predicted in numbers([row.values["prediction"]]):
                found["group"].append(group)
                found["error"].append(abs(predicted - actual))
    return {"all": pd.DataFrame(found)} if found else {}


def _compared(
    monitor: Monitor,
    model: tuple[str, ...],
    window: tuple[object, ...],
    label: str,
    table: pd.DataFrame,
) -> dict[tuple[object, ...], Figures]:
    grain = str(window[0])
    end = window[1] + GRAINS[grain]  # type: ignore[operator]
    found: dict[tuple[object, ...], Figures] = {}
    shown: dict[str, list[float]] = defaultdict(list)
    severities: list[int] = []
    for group in sorted(set(table["group"])):
        own, rest = table[table["group"] == group], table[table["group"] != group]
        figures: Figures = {
            "window_end": end,
            "prediction_count": len(own),
            **_labelled(own),
            "group_count": None,
            **dict.fromkeys(name + part for name in FIGURES for part in PARTS),
        }
        for name in FIGURES:
            left, right = (
                _sample(part, name, monitor.minimum_sample) for part in (own, rest)
            )
            if left is None:
                continue
            value = float(left.mean())
            figures[name] = value
            shown[name].append(value)
            if right is not None:
                figures |= _difference(name, left, right)
        figures["equalised_odds_difference"] = _odds(figures)
        severity = _severity(figures)
        severities.append(severity)
        figures["status"] = STATUSES[severity]
        if severity == 0:
            figures["reason"] = (
                f"{figures['labelled_count']} labelled of {len(own)} predictions: "
                "no figure of the group and the rest rests on the minimum of "
                f"{monitor.minimum_sample}"
            )
        found[*model, group, *window, "the rest", label] = figures
    summary: Figures = {
        "window_end": end,
        "prediction_count": len(table),
        **_labelled(table),
        "group_count": max((len(values) for values in shown.values()), default=0),
        **dict.fromkeys(name + part for name in FIGURES for part in PARTS),
    }
    for name, values in shown.items():
        if len(values) > 1:
            summary[f"{name}_difference"] = about(
                max(values) - min(values), largest=max(values), count=len(table)
            )
            summary[f"{name}_ratio"] = (
                min(values) / max(values) if max(values) else None
            )
    summary["status"] = STATUSES[max(severities)]
    summary["equalised_odds_difference"] = _odds(summary)
    found[*model, "all", *window, "each other", label] = summary
    return found


def _severity(figures: Figures) -> int:
    """Whether an interval lies wholly beyond the limits; 0 where nothing is known."""

    def end(name: str, figure: str) -> float | None:
        known = figures[f"{figure}_difference_{name}"]
        return None if known is None else float(known.lower + known.upper) / 2

    for severity, limit, share in ((3, 0.2, 0.5), (2, 0.1, 0.25)):
        for rate in RATES:
            lower, upper = end("lower", rate), end("upper", rate)
            if (lower or 0) > limit or (upper or 0) < -limit:
                return severity
        lower, ratio = end("lower", "mae"), figures["mae_ratio"]
        if lower is not None and ratio and lower > share * figures["mae"] / ratio:
            return severity
    known = [figures[f"{name}_difference"] for name in FIGURES[1:]]
    return 0 if all(difference is None for difference in known) else 1


def _labelled(table: pd.DataFrame) -> Figures:
    if "positive" not in table:
        return {
            "labelled_count": len(table),
            "positive_count": None,
            "labelled_selected_count": None,
        }
    known = table[table["positive"].notna()]
    return {
        "labelled_count": len(known),
        "positive_count": int(known["positive"].sum()),
        "labelled_selected_count": int(known["selected"].sum()),
    }


def _sample(table: pd.DataFrame, name: str, least: int) -> pd.Series | None:
    """The values whose mean the figure is; None if there are none, or too few rows."""
    if (name == "mae") != ("error" in table):
        return None
    if name == "mae":
        return table["error"] if len(table) >= least else None
    known = table if name == "selection_rate" else table[table["positive"].notna()]
    chosen = {
        "selection_rate": known["selected"],
        "true_positive_rate": known[known["positive"] == 1]["selected"],
        "false_positive_rate": known[known["positive"] == 0]["selected"],
        "positive_predictive_value": known[known["selected"]]["positive"],
    }[name]
    return chosen.astype(float) if len(chosen) >= least else None


def _difference(name: str, left: pd.Series, right: pd.Series) -> Figures:
    value, other = float(left.mean()), float(right.mean())
    if name == "mae":
        error = math.hypot(stats.sem(left), stats.sem(right))
        half = stats.norm.ppf(0.975) * error
        lower, upper = value - other - half, value - other + half
    else:
        lower, upper = confint_proportions_2indep(
            *(int(left.sum()), len(left), int(right.sum()), len(right)),
            method="newcomb",
            compare="diff",
        )
    largest = max(abs(value), abs(other))

    def summed(figure: float) -> object:
        if np.isnan(figure):
            return None
        return about(float(figure), largest=largest, count=len(left) + len(right))

    return {
        f"{name}_difference": summed(value - other),
        f"{name}_difference_lower": summed(lower),
        f"{name}_difference_upper": summed(upper),
        f"{name}_ratio": value / other if other else None,
    }


def _odds(figures: Figures) -> object:
    parts = [
        figures[f"{name}_rate_difference"]
        for name in ("true_positive", "false_positive")
    ]
    if None in parts:
        return None
    middles = [abs(part.lower + part.upper) / 2 for part in parts]
    return about(max(middles), largest=1.0, count=4)
