"""``model_performance`` from raw rows."""

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import numpy as np
from scipy import stats
from sklearn import metrics
from statsmodels.stats.proportion import (
    proportion_confint,
)

from tests.dbt.recomputed.estimated_performance import (
    estimator,
    scored_labels,
    steps_of,
)
from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Between,
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
    estimates = estimator(monitor)

    @cache
    def of_baseline(version: str | None, segment: tuple[str, str]) -> Figures:
        rows = [
            row
            for row, belongs in zip(monitor.baseline, segments, strict=True)
            if row.version == version and segment in belongs
        ]
        figures = quality(monitor, rows)
        # What has no row has no sum.
        return figures if rows else figures | {"outcome_count": None}

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
            exact = quantile(np.maximum(delays, 0), share)
            figures[f"label_delay_{name}_seconds"] = within_one_percent(exact)
        baseline = of_baseline(monitor.baseline_version(key[1]), (key[2], key[3]))
        own = quality(monitor, rows)
        found[key] = {
            **figures,
            **own,
            **estimates(rows),
            "is_final": key[5] + GRAINS[key[4]] + monitor.labels_expected_within
            <= datetime.now(UTC),
            **_judged(own, baseline, monitor.minimum_sample),
            **{
                f"baseline_{name}": value
                for name, value in baseline.items()
                if not name.endswith(("_lower", "_upper")) and name not in _BASES
            },
        }
    return found


def _judged(own: Figures, baseline: Figures, least: int) -> Figures:
    """The status, by intervals that are wholly worse than the baseline."""
    if own["outcome_count"] < least or (baseline["outcome_count"] or 0) < least:
        return {"status": "not_computable"}
    for status, loss, ratio in (("critical", 0.1, 1.5), ("warning", 0.03, 1.2)):
        for figure in ("accuracy", "roc_auc"):
            upper, known = own[f"{figure}_upper"], baseline[figure]
            if upper is not None and known is not None and upper < known - loss:
                return {"status": status}
        lower = own["mae_lower"]
        if isinstance(lower, Between):
            lower = (lower.lower + lower.upper) / 2
        known = baseline["mae"]
        if lower is not None and known is not None and lower > ratio * known:
            return {"status": status}
    return {"status": "ok", "reason": None}


def quality(monitor: Monitor, rows: Sequence[Row]) -> Figures:
    """How good the predictions of some rows were; None where that is not defined."""
    figures: Figures = {
        **dict.fromkeys(_CLASSIFICATION + _SCORES + _REGRESSION + _BASES),
        "outcome_count": 0,
        "scored_outcome_count": 0,
    }
    with warnings.catch_warnings():
        # They tell of undefined figures, which are what is tested here.
        warnings.simplefilter("ignore")
        if monitor.task == "regression":
            figures |= _regression(rows)
        else:
            figures |= _classification(rows, monitor.positive_class)
            scored = scored_labels(monitor, rows)
            figures["scored_outcome_count"] = len(scored[0])
            figures["expected_calibration_error"] = _calibration_error(scored)
            if monitor.task == "binary":
                figures |= _scores(scored)
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }


def _with_ends(*names: str) -> tuple[str, ...]:
    return tuple(name + end for name in names for end in ("", "_lower", "_upper"))


_CLASSIFICATION = (
    *_with_ends("accuracy", "precision", "recall", "f1"),
    *("balanced_accuracy", "specificity", "f1_macro", "expected_calibration_error"),
)
_SCORES = (*_with_ends("roc_auc"), "average_precision", "log_loss", "brier_score")
# The samples that figures rest on; outcome_count is told of the baseline, too.
_BASES = (
    *("positive_count", "predicted_positive_count"),
    *("scored_outcome_count", "nonzero_outcome_count"),
)
_REGRESSION = (*_with_ends("mae", "rmse", "mean_error"), "mape", "r2")


def wilson(count: int, total: int) -> tuple[float | None, float | None]:
    """Ends of the interval of a rate; None where nothing was counted."""
    if not total:
        return None, None
    lower, upper = proportion_confint(count, total, method="wilson")
    return max(0.0, float(lower)), min(1.0, float(upper))


def f1_ends(hits: int, others: int) -> tuple[float | None, float | None]:
    """Of F1 by the interval of Jaccard's index, hits among hits and others."""
    lower, upper = wilson(hits, hits + others)
    if lower is None or upper is None:
        return None, None
    return 2 * lower / (1 + lower), 2 * upper / (1 + upper)


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
    lower, upper = wilson(correct, len(pairs))
    figures: Figures = {
        "outcome_count": len(pairs),
        "accuracy": metrics.accuracy_score(actual, predicted),
        "accuracy_lower": lower,
        "accuracy_upper": upper,
        "balanced_accuracy": metrics.balanced_accuracy_score(actual, predicted),
        "f1_macro": metrics.f1_score(actual, predicted, average="macro"),
    }
    if positive is None:
        return figures
    is_positive = [label == positive for label, _ in pairs]
    is_predicted = [label == positive for _, label in pairs]
    undefined = {"zero_division": np.nan}
    negatives = sorted({*actual} - {code.get(positive)})
    hits = sum(map(min, is_positive, is_predicted))
    others = sum(is_positive) + sum(is_predicted) - 2 * hits
    for name, ends in (
        ("precision", wilson(hits, sum(is_predicted))),
        ("recall", wilson(hits, sum(is_positive))),
        ("f1", f1_ends(hits, others)),
    ):
        figures[f"{name}_lower"], figures[f"{name}_upper"] = ends
    return {
        **figures,
        "positive_count": sum(is_positive),
        "predicted_positive_count": sum(is_predicted),
        "precision": metrics.precision_score(is_positive, is_predicted, **undefined),
        "recall": metrics.recall_score(is_positive, is_predicted, **undefined),
        "specificity": metrics.recall_score(
            actual, predicted, labels=negatives, average="micro"
        )
        if negatives
        else None,
        "f1": metrics.f1_score(is_positive, is_predicted, **undefined),
    }


def _calibration_error(pairs: tuple[Array, Array]) -> float | None:
    """Naeini, Cooper and Hauskrecht, AAAI 2015, with ten bins of equal width."""
    actual, score = pairs
    if not len(actual):
        return None
    bins = steps_of(score) // 20
    distances = [
        (bins == number).mean()
        * abs(actual[bins == number].mean() - score[bins == number].mean())
        for number in set(bins)
    ]
    return float(sum(distances))


def _scores(pairs: tuple[Array, Array]) -> Figures:
    actual, score = pairs
    if not len(actual):
        return {}
    steps = steps_of(score)
    figures: Figures = {
        "log_loss": metrics.log_loss(actual, score, labels=[0.0, 1.0]),
        "brier_score": metrics.mean_squared_error(actual, score),
    }
    if actual.any():
        figures["average_precision"] = metrics.average_precision_score(actual, steps)
        assert_precision_within_bound(
            actual, score, steps, figures["average_precision"]
        )
    if len(set(actual)) == 2:
        # Exactly the area under the curve of the scores in 200 steps.
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


def assert_precision_within_bound(
    actual: Array, score: Array, steps: Array, found: float
) -> None:
    """The documented bounds: whatever the order within the buckets is."""
    lower = upper = above = hits = 0.0
    for step in sorted(set(steps), reverse=True):
        positives = actual[steps == step].sum()
        negatives = (steps == step).sum() - positives
        lower += positives * (hits + 1) / (above + negatives + 1)
        upper += positives and positives * (hits + positives) / (above + positives)
        above += positives + negatives
        hits += positives
    exact = metrics.average_precision_score(actual, score)
    for value in (found, exact):
        assert lower / hits - 1e-12 <= value <= upper / hits + 1e-12


def _mean_ends(values: Array) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    margin = stats.norm.ppf(0.975) * stats.sem(values)
    return float(values.mean() - margin), float(values.mean() + margin)


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
    mae_lower, mae_upper = _mean_ends(errors)
    # The fourth power of what is larger may be more than a double holds.
    squares = errors**2 if errors.max() <= 1e50 else np.array([])
    square_lower, square_upper = _mean_ends(squares)
    mean_lower, mean_upper = _mean_ends(predicted - actual)

    def summed(exact: float) -> Between | None:
        largest = errors.max()
        return (
            None
            if math.isnan(exact)
            else about(exact, largest=largest, count=len(errors))
        )

    nonzero = actual != 0
    return {
        "outcome_count": len(errors),
        "nonzero_outcome_count": int(nonzero.sum()),
        "mae": metrics.mean_absolute_error(actual, predicted),
        "mae_lower": summed(mae_lower),
        "mae_upper": mae_upper,
        "rmse_lower": math.sqrt(max(square_lower, 0.0)),
        "rmse_upper": math.sqrt(square_upper),
        "rmse": metrics.root_mean_squared_error(actual, predicted),
        # scikit-learn's divides by no less than 2e-16.
        "mape": float(np.mean(errors[nonzero] / np.abs(actual[nonzero])))
        if nonzero.any()
        else None,
        "r2": metrics.r2_score(actual, predicted)
        # Squares of what is closer to zero than 1e-50 are no variance.
        if actual.min() < actual.max() and np.abs(actual).max() > 1e-50
        else None,
        "mean_error": summed(math.fsum(predicted - actual) / len(errors)),
        "mean_error_lower": summed(mean_lower),
        "mean_error_upper": summed(mean_upper),
    }
