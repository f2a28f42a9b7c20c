"""What ``model_performance`` estimates without labels, from raw rows."""

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy import stats
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression

from tests.dbt.recomputed.rows import (
    Array,
    Figures,
    Monitor,
    Row,
    about,
    numbers,
    usable,
)

ESTIMATES = (
    *("estimated_count", "estimated_accuracy", "estimated_accuracy_lower"),
    *("estimated_accuracy_upper", "estimated_balanced_accuracy"),
    *("estimated_precision", "estimated_recall", "estimated_specificity"),
    *("estimated_f1", "estimated_roc_auc", "estimated_mae", "estimated_mae_lower"),
    *("estimated_mae_upper", "estimated_rmse", "compared_count"),
    *("realised_minus_estimated_accuracy", "realised_minus_estimated_accuracy_lower"),
    *("realised_minus_estimated_accuracy_upper", "realised_minus_estimated_roc_auc"),
    *("realised_minus_estimated_f1", "realised_minus_estimated_rmse"),
    *("realised_minus_estimated_mae", "realised_minus_estimated_mae_lower"),
    "realised_minus_estimated_mae_upper",
)
_Z = float(stats.norm.ppf(0.975))


def estimator(monitor: Monitor) -> Callable[[Sequence[Row]], Figures]:
    """A function that estimates the performance of some rows."""
    estimate = (
        _loss_estimator if monitor.task == "regression" else _confidence_estimator
    )(monitor)

    def estimates(rows: Sequence[Row]) -> Figures:
        figures: Figures = dict.fromkeys(ESTIMATES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return figures | estimate(rows)

    return estimates


def steps_of(scores: Array) -> Array:
    """The bucket of each score: 200 equal steps."""
    return np.minimum(np.floor(scores * 200), 199)


def scores_of(rows: Sequence[Row]) -> Array:
    """The scores that are probabilities."""
    found = numbers([row.values["score"] for row in rows])
    return found[(found >= 0) & (found <= 1)]


def scored_labels(monitor: Monitor, rows: Sequence[Row]) -> tuple[Array, Array]:
    """Outcomes, 1 or 0, and scores of the rows that have both."""
    pairs = [
        (float(row.values["actual"] == target), score)
        for row in rows
        for target in [monitor.positive_class or row.values["prediction"]]
        for score in scores_of([row])
        if row.values["actual"] is not None and target is not None
    ]
    actual, score = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(actual), np.array(score)


class Calibration:
    """scikit-learn's isotonic regression over score buckets, and its variance."""

    def __init__(self, actual: Array, score: Array) -> None:
        steps = steps_of(score)
        self._regression = IsotonicRegression(out_of_bounds="clip").fit(steps, actual)
        self._known = np.unique(steps)
        fitted = np.round(self._regression.predict(steps), 12)
        self._values = np.round(self._regression.predict(self._known), 12)
        self._variances = {}
        for value in set(fitted):
            outcomes = actual[fitted == value]
            share = (outcomes.sum() + 0.5) / (len(outcomes) + 1)
            self._variances[value] = share * (1 - share) / len(outcomes)

    def probability(self, step: float) -> float:
        return float(self._regression.predict([step])[0])

    def block(self, step: float) -> tuple[float, float]:
        """The fitted value at or below a step, and its variance."""
        index = max(0, int(np.searchsorted(self._known, step, side="right")) - 1)
        value = float(self._values[index])
        return value, self._variances[value]


def _confidence_estimator(monitor: Monitor) -> Callable[[Sequence[Row]], Figures]:
    @cache
    def calibration_of(version: str | None) -> Calibration | None:
        actual, score = scored_labels(monitor, monitor.baseline_of(version))
        if len(actual) < monitor.minimum_sample:
            return None
        return Calibration(actual, score)

    @cache
    def known(version: str, step: float) -> tuple[float, float, float] | None:
        calibration = calibration_of(monitor.baseline_version(version))
        if calibration is None:
            return None
        return (calibration.probability(step), *calibration.block(step))

    def estimate(rows: Sequence[Row]) -> Figures:
        found = []
        for row in rows:
            prediction, label = row.values["prediction"], row.values["actual"]
            if monitor.task == "multiclass" and prediction is None:
                continue
            target = monitor.positive_class or prediction
            for step in steps_of(scores_of([row])):
                calibrated = known(row.version, float(step))
                if calibrated is None:
                    continue
                found.append(
                    (
                        step,
                        *calibrated,
                        math.nan if prediction is None else prediction == target,
                        math.nan if label is None else label == target,
                        monitor.baseline_version(row.version),
                    )
                )
        if not found:
            return {}
        step, probability, block, variance, predicted, actual = (
            np.array([row[index] for row in found], dtype=float) for index in range(6)
        )
        versions = [str(row[6]) for row in found]
        decided = ~np.isnan(predicted)
        labelled = ~np.isnan(actual)

        def margin(chosen: Array) -> float:
            """Half an interval of the number of right predictions."""
            weights: dict[tuple[str, float], float] = defaultdict(float)
            variances = {}
            for index in np.flatnonzero(chosen):
                key = (versions[index], block[index])
                weights[key] += 2 * predicted[index] - 1
                variances[key] = variance[index]
            total = float((probability * (1 - probability))[chosen].sum())
            total += sum(weights[key] ** 2 * variances[key] for key in weights)
            return _Z * math.sqrt(total)

        right = np.where(predicted == 1, probability, 1 - probability)
        both = decided & labelled
        count, compared = int(decided.sum()), int(both.sum())
        figures: Figures = {"estimated_count": count, "compared_count": compared}
        if count:
            accuracy = right[decided].mean()
            half = margin(decided) / count
            figures["estimated_accuracy"] = float(accuracy)
            figures["estimated_accuracy_lower"] = max(0.0, float(accuracy - half))
            figures["estimated_accuracy_upper"] = min(1.0, float(accuracy + half))
        if compared:
            gap = ((predicted == actual)[both] - right[both]).mean()
            half = margin(both) / compared
            name = "realised_minus_estimated_accuracy"
            figures[name] = about(float(gap), largest=1.0, count=compared)
            for end, value in (("lower", gap - half), ("upper", gap + half)):
                figures[f"{name}_{end}"] = about(
                    float(value), largest=1.0, count=compared
                )
        if monitor.task == "binary":
            figures |= _expected_rates(probability[decided], predicted[decided] == 1)
            expected = _expected_rates(probability[both], predicted[both] == 1)
            if compared and expected["estimated_f1"] is not None:
                reality = _expected_rates(actual[both], predicted[both] == 1)
                if reality["estimated_f1"] is not None:
                    figures["realised_minus_estimated_f1"] = about(
                        reality["estimated_f1"] - expected["estimated_f1"],
                        largest=1.0,
                        count=compared,
                    )
            area = _expected_area(step, probability)
            figures["estimated_roc_auc"] = area
            estimated = _expected_area(step[labelled], probability[labelled])
            if estimated is not None and len(set(actual[labelled])) == 2:
                realised = metrics.roc_auc_score(actual[labelled], step[labelled])
                figures["realised_minus_estimated_roc_auc"] = about(
                    realised - estimated, largest=1.0, count=compared
                )
        return figures

    return estimate


def _expected_rates(probability: Array, predicted: Array) -> Figures:
    """Each row twice, as a positive and as a negative, weighted."""
    if not len(probability):
        return {}
    actual = np.repeat([True, False], len(probability))
    weights = np.concatenate([probability, 1 - probability])
    twice = np.concatenate([predicted, predicted])
    shared = {"sample_weight": weights, "zero_division": np.nan}
    figures: Figures = {
        "estimated_precision": metrics.precision_score(actual, twice, **shared),
        "estimated_recall": metrics.recall_score(actual, twice, **shared),
        "estimated_specificity": metrics.recall_score(
            actual, twice, pos_label=False, **shared
        ),
        "estimated_f1": metrics.f1_score(actual, twice, **shared),
    }
    figures["estimated_balanced_accuracy"] = (
        figures["estimated_recall"] + figures["estimated_specificity"]
    ) / 2
    return {
        name: None if math.isnan(value) else value for name, value in figures.items()
    }


def _expected_area(step: Array, probability: Array) -> float | None:
    if not probability.sum() or not (1 - probability).sum():
        return None
    return float(
        metrics.roc_auc_score(
            np.repeat([1, 0], len(step)),
            np.concatenate([step, step]),
            sample_weight=np.concatenate([probability, 1 - probability]),
        )
    )


def _loss_estimator(monitor: Monitor) -> Callable[[Sequence[Row]], Figures]:
    reference = monitor.baseline_of(monitor.reference_version)
    edges = _coarse_edges(usable(row.values["prediction"] for row in reference))

    def losses(rows: Sequence[Row]) -> list[tuple[int, float | None]]:
        """The bin of each prediction, and its absolute error if it has a label."""
        found = []
        for row in rows:
            for predicted in numbers([row.values["prediction"]]):
                actual = numbers([row.values["actual"]])
                error = abs(predicted - actual[0]) if len(actual) else None
                place = int(np.searchsorted(edges, predicted, side="right"))
                found.append((place, error))
        return found

    @cache
    def expected(version: str | None) -> dict[int, Array] | None:
        known = losses(monitor.baseline_of(version))
        everything = np.array([error for _, error in known if error is not None])
        if len(everything) < monitor.minimum_sample:
            return None
        by_bin = {}
        for place in range(10):
            own = np.array(
                [error for at, error in known if at == place and error is not None]
            )
            by_bin[place] = own if len(own) >= 2 else everything
        return by_bin

    def estimate(rows: Sequence[Row]) -> Figures:
        groups: dict[tuple[str | None, int], list[float | None]] = defaultdict(list)
        for row in rows:
            version = monitor.baseline_version(row.version)
            if expected(version) is not None:
                for place, error in losses([row]):
                    groups[version, place].append(error)
        if not groups:
            return {}
        parts = []
        for (version, place), errors in groups.items():
            by_bin = expected(version)
            assert by_bin is not None
            known = by_bin[place]
            labelled = [error for error in errors if error is not None]
            parts.append(
                (
                    len(errors),
                    len(labelled),
                    math.fsum(labelled),
                    math.fsum(error**2 for error in labelled),
                    known.mean(),
                    np.mean(known**2),
                    # In doubles, as far apart as they may be.
                    known.var(ddof=1) if len(known) > 1 else math.nan,
                    len(known),
                )
            )
        counts, compared, sums, squares, absolute, squared, variance, sizes = (
            np.array(part, dtype=float) for part in zip(*parts, strict=True)
        )
        largest = float(max(absolute.max(), sums.max()))

        def summed(value: float) -> object:
            if math.isnan(value):
                return None
            return about(value, largest=largest, count=len(rows))

        def margin(weights: Array) -> float:
            chosen = weights * (1 + weights / sizes) * variance
            return float(_Z * math.sqrt(chosen[weights > 0].sum()) / weights.sum())

        mae = float((counts * absolute).sum() / counts.sum())
        half = margin(counts)
        figures: Figures = {
            "estimated_count": int(counts.sum()),
            "estimated_mae": mae,
            "estimated_mae_lower": None
            if math.isnan(half)
            else summed(max(0.0, mae - half)),
            "estimated_mae_upper": summed(mae + half),
            "estimated_rmse": math.sqrt((counts * squared).sum() / counts.sum()),
            "compared_count": int(compared.sum()),
        }
        if compared.sum():
            gap = float((sums - compared * absolute).sum() / compared.sum())
            half = margin(compared)
            name = "realised_minus_estimated_mae"
            figures[name] = summed(gap)
            figures[f"{name}_lower"] = summed(gap - half)
            figures[f"{name}_upper"] = summed(gap + half)
            realised = math.sqrt(squares.sum() / compared.sum())
            estimated = math.sqrt((compared * squared).sum() / compared.sum())
            figures["realised_minus_estimated_rmse"] = about(
                realised - estimated,
                largest=max(realised, estimated),
                count=len(rows),
            )
        return figures

    return estimate


def _coarse_edges(values: Array) -> Array:
    """Where the second and later of ten bins begin, each a tenth of the values."""
    if not len(values):
        return np.array([])
    distinct, counts = np.unique(values, return_counts=True)
    below = np.cumsum(counts) - counts
    groups = np.arange(len(distinct))
    if len(distinct) > 50:
        groups = 50 * below // len(values)
    edges: dict[int, float] = {}
    for group in sorted(set(groups)):
        inside = groups == group
        middle = below[inside][0] + counts[inside].sum() / 2
        coarse = min(9, int(10 * middle // len(values)))
        edges.setdefault(coarse, distinct[inside][0])
    return np.array([edge for coarse, edge in sorted(edges.items()) if coarse > 0])
