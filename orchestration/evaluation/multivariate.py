"""Drift of all features together, which no single column need show.

Two questions: can a classifier tell the window's rows from the baseline's, and do the
window's rows still lie where the baseline's correlations put them? Both look at the
numerical and categorical features; nulls are a value to the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.methods import DOMAIN_CLASSIFIER, PCA_RECONSTRUCTION
from orchestration.evaluation.results import Column, Tested
from orchestration.evaluation.values import LARGEST_MAGNITUDE, thinned

Matrix = np.ndarray[Any, np.dtype[np.float64]]

ALL_FEATURES = "(all features)"

# Rows of each side that the classifier takes at most: half of them judge it, and with
# 1,000 rows a side the area's standard error is 0.013.
CLASSIFIER_ROW_LIMIT = 2000

# Quantiles of the normal distribution: 99 %, one side; 99 %, both sides.
_ONE_SIDE = 2.3263478740408408
_BOTH_SIDES = 2.5758293035489004
_ALPHA = 0.01

# A column counts among those that tell the windows apart if the area falls by as much
# without it.
_LEAST_IMPORTANCE = 0.01
_NAMED_COLUMNS = 5
_SHUFFLED_NUMBERS = 4_000_000

# The classifier takes at most 255 values of a category.
_CATEGORY_LIMIT = 250

# NannyML's default: as few components as explain this share of the variance.
_EXPLAINED_SHARE = 0.65
_LARGEST_DEVIATION = 10.0


@dataclass(frozen=True, kw_only=True)
class _Encoding:
    """How a column becomes a number: of categories by rank, and by frequency."""

    column: Column
    categories: dict[str, int]
    shares: dict[str, float]

    def ranks(self, frame: pd.DataFrame) -> Matrix:
        """The number itself, or a category's rank; NaN where there is none."""
        values = frame[self.column.name]
        if self.column.kind == "numerical":
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            return np.where(np.abs(numbers) < LARGEST_MAGNITUDE, numbers, np.nan)
        unseen = min(len(self.categories), _CATEGORY_LIMIT)
        return np.array(
            [
                np.nan if pd.isna(value) else self.categories.get(str(value), unseen)
                for value in values
            ],
            dtype=np.float64,
        )

    def sizes(self, frame: pd.DataFrame) -> Matrix:
        """The number itself, or a category's share of the baseline."""
        if self.column.kind == "numerical":
            return self.ranks(frame)
        return np.array(
            [
                np.nan if pd.isna(value) else self.shares.get(str(value), 0.0)
                for value in frame[self.column.name]
            ],
            dtype=np.float64,
        )


class Features:
    """A baseline's features made ready once, for any number of windows."""

    def __init__(self, frame: pd.DataFrame, columns: Sequence[Column]) -> None:
        """Take the numerical and categorical features among the ``columns``.

        Those that the frame lacks are left out. Raises ``ValueError`` if fewer than two
        remain.
        """
        encodings = [
            _encoding(frame, column)
            for column in columns
            if column.role == "feature"
            and column.kind in ("numerical", "categorical")
            and column.name in frame
        ]
        # What no baseline row has can't be compared.
        self._encodings = [
            encoding
            for encoding in encodings
            if bool(frame[encoding.column.name].notna().any())
        ]
        if len(self._encodings) < 2:
            raise ValueError("fewer than two features to look at together")
        self.row_count = len(frame)
        self.columns = tuple(encoding.column for encoding in self._encodings)
        order = np.random.default_rng(0).permutation(len(frame))
        self._ranks = self.ranks(thinned(frame.iloc[order], CLASSIFIER_ROW_LIMIT))
        self._fit_components(self._sizes(frame)[order])

    def ranks(self, frame: pd.DataFrame) -> Matrix:
        """One column for each feature, categories by rank, NaN for what is missing."""
        return np.column_stack([each.ranks(frame) for each in self._encodings])

    def _sizes(self, frame: pd.DataFrame) -> Matrix:
        return np.column_stack([each.sizes(frame) for each in self._encodings])

    def _fit_components(self, sizes: Matrix) -> None:
        """Principal components of one half, and the errors of the other."""
        fitted, held_out = np.array_split(sizes, 2)
        with np.errstate(all="ignore"):
            self._means = np.nan_to_num(np.nanmean(sizes, axis=0))
            spreads = np.nanstd(sizes, axis=0)
        # A constant has no spread, and says nothing of the others.
        self._varied = spreads > 1e-12 * np.maximum(np.abs(self._means), 1e-100)
        self._spreads = np.where(self._varied, spreads, 1.0)
        standard = self._standardised(fitted)
        _, singular, directions = np.linalg.svd(
            standard - standard.mean(axis=0), full_matrices=False
        )
        explained = np.cumsum(singular**2) / np.sum(singular**2)
        # All of them would rebuild every row, and leave no error to compare.
        count = min(
            int(np.searchsorted(explained, _EXPLAINED_SHARE)) + 1,
            int(self._varied.sum()) - 1,
        )
        self._centre = standard.mean(axis=0)
        self._directions = directions[:count]
        self.component_count = count
        self.baseline_errors = self._errors(held_out)

    def errors(self, frame: pd.DataFrame) -> Matrix:
        """How far each row is from what the components make of it."""
        return self._errors(self._sizes(frame))

    def _errors(self, sizes: Matrix) -> Matrix:
        centred = self._standardised(sizes) - self._centre
        rebuilt = centred @ self._directions.T @ self._directions
        return np.asarray(np.sqrt(((centred - rebuilt) ** 2).sum(axis=1)))

    def _standardised(self, sizes: Matrix) -> Matrix:
        """In standard deviations, at most ten; what is missing is at the mean."""
        deviations = (sizes - self._means) / self._spreads
        clipped = np.clip(
            np.nan_to_num(deviations), -_LARGEST_DEVIATION, _LARGEST_DEVIATION
        )
        return np.asarray(clipped[:, self._varied])

    def classified(self, current: pd.DataFrame, *, threshold: float) -> Tested:
        """How well a classifier tells the window from the baseline, by its area.

        Gradient-boosted trees are fitted to half of the rows, drawn by a fixed seed,
        and judged by the other half. The area under its curve is Mann and Whitney's U
        over n·m, so without drift it is ½ on average with a variance of
        (n + m + 1) / (12 n m), whatever the classifier (Mann & Whitney 1947; ties make
        it less). Drift is an area above the ``threshold`` and above what 99 % of
        windows without drift stay below; the remark names the columns that tell them
        apart, by how far the area falls when their values are shuffled (Breiman 2001).
        """
        from scipy.stats import norm
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.metrics import roc_auc_score

        generator = np.random.default_rng(0)
        drawn = generator.permutation(len(current))[:CLASSIFIER_ROW_LIMIT]
        window = self.ranks(current.iloc[drawn])
        train, test = _halves(self._ranks, window)
        classifier = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=15,
            early_stopping=False,
            class_weight="balanced",
            categorical_features=[
                column.kind == "categorical" for column in self.columns
            ],
            random_state=0,
        )
        classifier.fit(*train)
        rows, sides = test

        def areas_of(judged: Matrix) -> list[float]:
            """One for each time that all rows are in there, one below the other."""
            scores = classifier.decision_function(judged).reshape(-1, len(sides))
            return [float(roc_auc_score(sides, each)) for each in scores]

        (area,) = areas_of(rows)
        current_count = int(sides.sum())
        baseline_count = len(sides) - current_count
        error = np.sqrt(
            (current_count + baseline_count + 1) / (12 * current_count * baseline_count)
        )
        floor = 0.5 + _ONE_SIDE * float(error)
        limit = max(threshold, floor)
        is_drifted = area > limit
        return Tested(
            score=area,
            p_value=float(norm.sf((area - 0.5) / error)),
            threshold=limit,
            is_drifted=is_drifted,
            sample_count=len(window),
            baseline_sample_count=len(self._ranks),
            remark=self._told_apart_by(rows, area, areas_of, generator)
            if is_drifted
            else None,
        )

    def _told_apart_by(
        self,
        rows: Matrix,
        area: float,
        areas_of: Callable[[Matrix], list[float]],
        generator: np.random.Generator,
    ) -> str:
        falls = []
        # Calls cost more than rows, and rows memory.
        at_once = max(1, _SHUFFLED_NUMBERS // rows.size)
        for start in range(0, len(self.columns), at_once):
            columns = self.columns[start : start + at_once]
            shuffled = np.tile(rows, (len(columns), 1, 1))
            for offset in range(len(columns)):
                position = start + offset
                shuffled[offset, :, position] = generator.permutation(rows[:, position])
            areas = areas_of(shuffled.reshape(-1, rows.shape[1]))
            falls += [
                (area - each, column.name)
                for each, column in zip(areas, columns, strict=True)
            ]
        telling = sorted(
            ((fall, name) for fall, name in falls if fall >= _LEAST_IMPORTANCE),
            reverse=True,
        )
        if not telling:
            return "no column alone tells the windows apart"
        named = ", ".join(
            f"{name} ({fall:.2f})" for fall, name in telling[:_NAMED_COLUMNS]
        )
        more = len(telling) - _NAMED_COLUMNS
        return f"told apart by {named}" + (f" and {more} more" if more > 0 else "")

    def reconstructed(self, current: pd.DataFrame, *, threshold: float) -> Tested:
        """How far the window is from where the baseline's correlations put it.

        Features are standardised (categories by their share of the baseline, missing
        values at the mean) and rebuilt from the principal components of one half of the
        baseline, as few as explain 65 % of its variance. The score is the difference of
        the window's mean error and that of the other half, in standard deviations of
        the latter (Glass's delta). Drift is a score above the ``threshold`` and above
        2.5758 √(1/n + 1/m), and Welch's p-value below 0.01. The idea is NannyML's
        (data reconstruction with PCA), which has no p-value.
        """
        from scipy.stats import ttest_ind

        if self._varied.sum() < 2:
            raise ValueError("fewer than two features of the baseline vary")
        errors, baseline = self.errors(current), self.baseline_errors
        spread = float(np.std(baseline, ddof=1))
        # Rounding leaves less.
        if not spread > 1e-9:
            raise ValueError("the components rebuild every row of the baseline")
        score = abs(float(errors.mean() - baseline.mean())) / spread
        p_value = float(ttest_ind(errors, baseline, equal_var=False).pvalue)
        floor = _BOTH_SIDES * float(np.sqrt(1 / len(errors) + 1 / len(baseline)))
        limit = max(threshold, floor)
        return Tested(
            score=score,
            p_value=p_value,
            threshold=limit,
            is_drifted=score > limit and p_value < _ALPHA,
            sample_count=len(errors),
            baseline_sample_count=len(baseline),
            remark=f"{self.component_count} components of {int(self._varied.sum())}",
        )

    def tested(self, method: str, current: pd.DataFrame, *, threshold: float) -> Tested:
        """The window by one of the methods. Raises ``ValueError`` on too few rows."""
        missing = [c.name for c in self.columns if c.name not in current]
        if missing:
            raise ValueError(f"the sample has no column {', '.join(missing)}")
        by_name = {
            DOMAIN_CLASSIFIER: self.classified,
            PCA_RECONSTRUCTION: self.reconstructed,
        }
        return by_name[method](current, threshold=threshold)


def _encoding(frame: pd.DataFrame, column: Column) -> _Encoding:
    if column.kind == "numerical":
        return _Encoding(column=column, categories={}, shares={})
    counts = frame[column.name].dropna().astype(str).value_counts()
    # By name where counts are equal, so that the same rows give the same ranks.
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rarest = min(len(ordered), _CATEGORY_LIMIT)
    total = max(int(counts.sum()), 1)
    return _Encoding(
        column=column,
        categories={
            str(name): min(rank, rarest - 1) for rank, (name, _) in enumerate(ordered)
        },
        shares={str(name): int(count) / total for name, count in ordered},
    )


def _halves(
    baseline: Matrix, window: Matrix
) -> tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]:
    """The first halves of both to learn from, the second to judge by; 1 the window."""
    parts = [np.array_split(side, 2) for side in (baseline, window)]

    def joined(half: int) -> tuple[Matrix, Matrix]:
        rows = [part[half] for part in parts]
        sides = np.repeat([0.0, 1.0], [len(side) for side in rows])
        return np.concatenate(rows), sides

    return joined(0), joined(1)
