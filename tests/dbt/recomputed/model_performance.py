"""``model_performance`` from raw rows."""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import (  # type: ignore[import-untyped]
    proportion_confint,
)

from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Figures,
    Monitor,
    Row,
    about,
    numbers,
    quantile,
    segments_of,
    windows,
    within_one_percent,
)


def model_performance(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["columns"], segments=True)
    segments = [segments_of(monitor, row) for row in monitor.baseline]

    @cache
    def of_baseline(version: str | None, segment: tuple[str, str]) -> Figures:
        rows = [
            row
            for row, belongs in zip(monitor.baseline, segments, strict=True)
            if row.version == version and segment in belongs
        ]
        return quality(monitor, rows)

    for key, rows in by_window.items():
        delays = np.array(
            [
                (row.labelled_at - row.at).total_seconds()
                for row in rows
                if row.values["actual"] is not None and row.labelled_at is not None
            ]
        )
        labelled = sum(row.values["actual"] is not None for row in rows)
        figures: Figures = {
            "window_end": key[5] + GRAINS[key[4]],
            "prediction_count": len(rows),
            "labelled_count": labelled,
            "label_coverage": labelled / len(rows),
        }
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            exact = quantile(np.maximum(delays, 0), share) if key[2] == "all" else None
            figures[f"label_delay_{name}_seconds"] = within_one_percent(exact)
        baseline = of_baseline(monitor.baseline_version(key[1]), (key[2], key[3]))
        found[key] = {
            **figures,
            **quality(monitor, rows),
            **{
                f"baseline_{name}": value
                for name, value in baseline.items()
                if not name.endswith(("_lower", "_upper"))
            },
        }
    return found


def quality(monitor: Monitor, rows: Sequence[Row]) -> Figures:
    """How good the predictions of some rows were; None where that is not defined."""
    figures: Figures = dict.fromkeys(_CLASSIFICATION + _SCORES + _REGRESSION)
    with warnings.catch_warnings():
        # They tell of undefined figures, which are what is tested here.
        warnings.simplefilter("ignore")
        if monitor.task == "regression":
            figures |= _regression(rows)
        else:
            figures |= _classification(rows, monitor.positive_class)
        if monitor.task == "binary":
            figures |= _scores(rows, monitor.positive_class)
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }


_CLASSIFICATION = (
    *("accuracy", "accuracy_lower", "accuracy_upper", "balanced_accuracy"),
    *("precision", "recall", "specificity", "f1", "f1_macro"),
)
_SCORES = ("roc_auc", "roc_auc_lower", "roc_auc_upper", "log_loss", "brier_score")
_REGRESSION = ("mae", "mae_lower", "mae_upper", "rmse", "mape", "r2", "mean_error")


def _classification(rows: Sequence[Row], positive: str | None) -> Figures:
    pairs = [
        (str(row.values["actual"]), str(row.values["prediction"]))
        for row in rows
        if row.values["actual"] is not None and row.values["prediction"] is not None
    ]
    if not pairs:
        return {}
    classes = sorted({label for pair in pairs for label in pair})
    # Numbers for classes, because NumPy gives all texts of an array the longest's room.
    code = {label: number for number, label in enumerate(classes)}
    actual, predicted = (
        [code[label] for label in side] for side in zip(*pairs, strict=True)
    )
    correct = sum(left == right for left, right in pairs)
    lower, upper = proportion_confint(correct, len(pairs), method="wilson")
    figures: Figures = {
        "accuracy": metrics.accuracy_score(actual, predicted),
        "accuracy_lower": float(lower),
        "accuracy_upper": float(upper),
        "balanced_accuracy": metrics.balanced_accuracy_score(actual, predicted),
        "f1_macro": metrics.f1_score(actual, predicted, average="macro"),
    }
    if positive is None:
        return figures
    is_positive = [label == positive for label, _ in pairs]
    is_predicted = [label == positive for _, label in pairs]
    undefined = {"zero_division": np.nan}
    negatives = sorted({*actual} - {code.get(positive)})
    return {
        **figures,
        "precision": metrics.precision_score(is_positive, is_predicted, **undefined),
        "recall": metrics.recall_score(is_positive, is_predicted, **undefined),
        "specificity": metrics.recall_score(
            actual, predicted, labels=negatives, average="micro"
        )
        if negatives
        else None,
        "f1": metrics.f1_score(is_positive, is_predicted, **undefined),
    }


def _scores(rows: Sequence[Row], positive: str | None) -> Figures:
    pairs = [
        (float(row.values["actual"] == positive), score)
        for row in rows
        for score in numbers([row.values["score"]])
        if row.values["actual"] is not None and 0 <= score <= 1
    ]
    if not pairs:
        return {}
    actual, score = (np.array(side) for side in zip(*pairs, strict=True))
    figures: Figures = {
        "log_loss": metrics.log_loss(actual, score, labels=[0.0, 1.0]),
        "brier_score": metrics.mean_squared_error(actual, score),
    }
    if len(set(actual)) == 2:
        # Exactly the area under the curve of the scores in 200 steps.
        steps = np.minimum(np.floor(score * 200), 199)
        figures["roc_auc"] = metrics.roc_auc_score(actual, steps)
        assert_auc_within_bound(actual, score, steps, figures["roc_auc"])
        margin = stats.norm.ppf(0.975) * _hanley_mcneil_error(
            figures["roc_auc"], int(actual.sum()), int((1 - actual).sum())
        )
        figures["roc_auc_lower"] = max(0.0, figures["roc_auc"] - margin)
        figures["roc_auc_upper"] = min(1.0, figures["roc_auc"] + margin)
    return figures


def _hanley_mcneil_error(area: float, positives: int, negatives: int) -> float:
    """Formulas (1) and (2) of Hanley and McNeil, Radiology 143 (1982)."""
    two_positives = area / (2 - area)
    two_negatives = 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (positives - 1) * (two_positives - area**2)
        + (negatives - 1) * (two_negatives - area**2)
    ) / (positives * negatives)
    return math.sqrt(max(0.0, variance))


def assert_auc_within_bound(
    actual: Array, score: Array, steps: Array, found: float
) -> None:
    """The documented bound: half the share of pairs that fall into one bucket."""
    positives = Counter(steps[actual == 1])
    negatives = Counter(steps[actual == 0])
    together = sum(count * negatives[step] for step, count in positives.items())
    bound = together / 2 / (positives.total() * negatives.total())
    assert abs(metrics.roc_auc_score(actual, score) - found) <= bound + 1e-12


def _regression(rows: Sequence[Row]) -> Figures:
    pairs = [
        (actual, predicted)
        for row in rows
        for actual in numbers([row.values["actual"]])
        for predicted in numbers([row.values["prediction"]])
    ]
    if not pairs:
        return {}
    actual, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    errors = np.abs(predicted - actual)
    mae = metrics.mean_absolute_error(actual, predicted)
    margin = (
        stats.norm.ppf(0.975) * errors.std(ddof=1) / math.sqrt(len(errors))
        if len(errors) > 1
        else math.nan
    )
    nonzero = actual != 0
    return {
        "mae": mae,
        "mae_lower": mae - margin,
        "mae_upper": mae + margin,
        "rmse": metrics.root_mean_squared_error(actual, predicted),
        # scikit-learn's divides by no less than 2e-16.
        "mape": float(np.mean(errors[nonzero] / np.abs(actual[nonzero])))
        if nonzero.any()
        else None,
        "r2": metrics.r2_score(actual, predicted)
        if actual.min() < actual.max()
        else None,
        "mean_error": about(
            math.fsum(predicted - actual) / len(errors),
            largest=errors.max(),
            count=len(errors),
        ),
    }
