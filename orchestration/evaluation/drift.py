"""Row-level drift of one window against a baseline, by Evidently's default tests.

Evidently chooses the test by the column's type, the size of the baseline sample and the
number of distinct values, and brings its own threshold for it. Its tests are called
directly: ``Report([ValueDrift(column)])`` calls the very same ones and spends more than
nine tenths of its time on plots. ``tests/orchestration`` holds both against each other.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

Kind = Literal["numerical", "categorical"]
Role = Literal["feature", "prediction", "score", "actual", "dataset"]
Status = Literal["ok", "warning", "critical", "not_computable"]

DATASET_COLUMN = "(dataset)"
DATASET_METHOD = "drifted_share"
# Evidently's own default for dataset drift.
DRIFTED_SHARE_THRESHOLD = 0.5
MINIMUM_SAMPLE_COUNT = 50

# Beyond it squares overflow, and one such value would make every statistic infinite.
LARGEST_MAGNITUDE = 1e100

# The method of a column for which Evidently had nothing to choose by.
NO_METHOD = "default"

# Evidently puts at least this below the distance as the baseline's standard deviation.
_SMALLEST_NORM = 0.001

# What a statistical library raises on data it can't take. One column's failure must not
# lose the other columns.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A drift test: our name for it, and whether it returns a p-value."""

    name: str
    is_p_value: bool


# Evidently's registered name -> ours. It displays them, in order, as "K-S p_value",
# "chi-square p_value", "Z-test p_value", "Wasserstein distance (normed)" and
# "Jensen-Shannon distance". By default it chooses no others for numbers and categories:
# one of the first three up to 1,000 baseline values, one of the last two above.
METHODS: Mapping[str, Method] = {
    "ks": Method(name="ks", is_p_value=True),
    "chisquare": Method(name="chi_squared", is_p_value=True),
    "z": Method(name="z_test", is_p_value=True),
    "wasserstein": Method(name="wasserstein_normed", is_p_value=False),
    "jensenshannon": Method(name="jensen_shannon", is_p_value=False),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of both frames: float64 if numerical, text (or None) if categorical."""

    name: str
    role: Role
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """What one test said of one column, or of the dataset.

    ``score`` is Evidently's distance (Wasserstein in baseline standard deviations,
    Jensen-Shannon from 0 to 0.83) or the share of drifted columns; it is None for tests
    that give only a ``p_value``. The counts are of usable values, for the dataset of
    rows. Every figure is None and ``reason`` is set if ``status`` is not computable.
    """

    column_name: str
    role: Role
    method: str
    score: float | None
    p_value: float | None
    threshold: float | None
    is_drifted: bool | None
    sample_count: int
    baseline_sample_count: int
    status: Status
    reason: str | None


@dataclass(frozen=True)
class _Values:
    """The usable values of one column, and how many were left out."""

    usable: "pd.Series[Any]"
    missing_count: int

    @property
    def count(self) -> int:
        return len(self.usable)


class Baseline:
    """A baseline sample made ready once, for any number of windows."""

    def __init__(self, frame: pd.DataFrame, columns: Sequence[Column]) -> None:
        """Take the ``columns`` of ``frame``, which is not kept.

        A column that the frame lacks, or that is not of its kind, fails when it is
        evaluated, and alone.
        """
        self.columns = tuple(columns)
        self.row_count = len(frame)
        self._values: dict[str, _Values] = {}
        self._usual_methods: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        for column in self.columns:
            try:
                values = _usable_values(frame, column)
                self._values[column.name] = values
                self._usual_methods[column.name] = _usual_method(values, column)
            except _FAILURES as error:
                self._failures[column.name] = f"baseline: {described(error)}"

    def failure(self, column: Column) -> str | None:
        """Why the column can't be compared with anything, if it can't."""
        return self._failures.get(column.name)

    def values(self, column: Column) -> _Values:
        """The usable values of a column that has not failed."""
        return self._values[column.name]

    def usual_method(self, column: Column) -> str:
        """What Evidently would choose by the baseline alone.

        So a day that can't be computed stands in the same series as its neighbours.
        """
        return self._usual_methods.get(column.name, NO_METHOD)


def described(error: BaseException) -> str:
    """An error in one line of at most 300 characters, for a reason."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def evaluate_drift(
    current: pd.DataFrame,
    baseline: Baseline,
    *,
    minimum_sample_count: int = MINIMUM_SAMPLE_COUNT,
) -> list[DriftResult]:
    """One result for each of the baseline's columns, then one for the dataset.

    ``current`` has one row per prediction of the window. Nulls, NaN, infinities and
    numbers beyond ±1e100 are missing: they are left out and counted in ``reason``. A
    column with fewer than ``minimum_sample_count`` usable values on either side can't
    be computed, nor one with the same single value on both sides.
    """
    results = [
        _column_drift(
            current, baseline, column, minimum_sample_count=minimum_sample_count
        )
        for column in baseline.columns
    ]
    dataset = _dataset_drift(
        results,
        sample_count=len(current),
        baseline_sample_count=baseline.row_count,
    )
    return [*results, dataset]


def not_computable(columns: Sequence[Column], *, reason: str) -> list[DriftResult]:
    """The results of a window that could not be evaluated at all."""
    results = [
        _uncomputed(column, method=NO_METHOD, current=0, baseline=0, reason=reason)
        for column in columns
    ]
    dataset = _uncomputed_dataset(
        sample_count=0, baseline_sample_count=0, reason=reason
    )
    return [*results, dataset]


def _column_drift(
    current_frame: pd.DataFrame,
    baseline_sample: Baseline,
    column: Column,
    *,
    minimum_sample_count: int,
) -> DriftResult:
    current_count = baseline_count = 0
    reason = baseline_sample.failure(column)
    if reason is None:
        try:
            baseline = baseline_sample.values(column)
            baseline_count = baseline.count
            current = _usable_values(current_frame, column)
            current_count = current.count
            reason = _why_not_computable(
                current, baseline, minimum_sample_count=minimum_sample_count
            )
            if reason is None:
                return _tested(current, baseline, column)
        except _FAILURES as error:
            reason = described(error)
    return _uncomputed(
        column,
        method=baseline_sample.usual_method(column),
        current=current_count,
        baseline=baseline_count,
        reason=reason,
    )


def _tested(current: _Values, baseline: _Values, column: Column) -> DriftResult:
    test = _default_test(baseline.usable, current.usable, column.kind)
    method = METHODS[test.name]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # An unseen category divides by an expected count of zero: p is then 0.
        warnings.simplefilter("ignore")
        outcome = test(
            baseline.usable, current.usable, _evidently_kind(column.kind), None
        )
    value = float(outcome.drift_score)
    is_drifted = bool(outcome.drifted)
    if np.isnan(value) and method.name == "jensen_shannon":
        # SciPy takes the root of a sum that rounding can make a hair negative: the two
        # distributions are the same to 15 digits.
        value, is_drifted = 0.0, False
    if not np.isfinite(value):
        raise ValueError(f"Evidently's {method.name} returned {value}")
    return DriftResult(
        column_name=column.name,
        role=column.role,
        method=method.name,
        score=None if method.is_p_value else value,
        p_value=value if method.is_p_value else None,
        threshold=float(outcome.actual_threshold),
        is_drifted=is_drifted,
        sample_count=current.count,
        baseline_sample_count=baseline.count,
        # Evidently has one threshold, so one severity.
        status="warning" if is_drifted else "ok",
        reason=_remarks(current, baseline, method),
    )


def _dataset_drift(
    results: Sequence[DriftResult], *, sample_count: int, baseline_sample_count: int
) -> DriftResult:
    # Labels come later than the window: with them the share would change by itself.
    judged = [result for result in results if result.role != "actual"]
    computed = [result for result in judged if result.is_drifted is not None]
    uncomputed_count = len(judged) - len(computed)
    if not computed:
        causes = Counter(result.reason for result in judged)
        cause = causes.most_common(1)[0][0] if causes else "no columns"
        return _uncomputed_dataset(
            sample_count=sample_count,
            baseline_sample_count=baseline_sample_count,
            reason=f"none of {len(judged)} columns could be tested; mostly: {cause}",
        )
    drifted_count = sum(1 for result in computed if result.is_drifted)
    share = drifted_count / len(computed)
    is_drifted = share >= DRIFTED_SHARE_THRESHOLD
    reason = f"{drifted_count} of {len(computed)} columns drifted"
    if uncomputed_count:
        reason += f"; {uncomputed_count} more could not be tested"
    return DriftResult(
        column_name=DATASET_COLUMN,
        role="dataset",
        method=DATASET_METHOD,
        score=share,
        p_value=None,
        threshold=DRIFTED_SHARE_THRESHOLD,
        is_drifted=is_drifted,
        sample_count=sample_count,
        baseline_sample_count=baseline_sample_count,
        status="warning" if is_drifted else "ok",
        reason=reason,
    )


def _usable_values(frame: pd.DataFrame, column: Column) -> _Values:
    if column.name not in frame:
        raise ValueError(f"the sample has no column {column.name}")
    values = frame[column.name]
    if column.kind == "categorical":
        usable = values.dropna().astype(str).astype(object)
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        # False for NaN too.
        is_usable = np.abs(numbers) < LARGEST_MAGNITUDE
        usable = pd.Series(numbers[is_usable], name=column.name)
    return _Values(usable=usable, missing_count=len(values) - len(usable))


def _why_not_computable(
    current: _Values, baseline: _Values, *, minimum_sample_count: int
) -> str | None:
    for side, values in (("the window", current), ("the baseline", baseline)):
        if values.count + values.missing_count == 0:
            return f"{side} has no rows"
        if values.count == 0:
            return f"all {values.missing_count} values of {side} are missing"
        if values.count < minimum_sample_count:
            return (
                f"{side} has {values.count} usable values, "
                f"fewer than {minimum_sample_count}"
            )
    if _single_value(current) is not None and _single_value(current) == _single_value(
        baseline
    ):
        return "nothing to compare: the same single value on both sides"
    return None


def _single_value(values: _Values) -> float | str | None:
    distinct = values.usable.unique()
    return distinct[0] if len(distinct) == 1 else None


def _remarks(current: _Values, baseline: _Values, method: Method) -> str | None:
    remarks = [
        f"{values.missing_count} of {values.missing_count + values.count} values of "
        f"{side} are missing and left out"
        for side, values in (("the window", current), ("the baseline", baseline))
        if values.missing_count
    ]
    if (
        method.name == "wasserstein_normed"
        and float(np.std(baseline.usable)) < _SMALLEST_NORM
    ):
        remarks.append(
            "the baseline hardly varies: the distance is in units of "
            f"{_SMALLEST_NORM}, not of its standard deviation"
        )
    return "; ".join(remarks) or None


def _usual_method(baseline: _Values, column: Column) -> str:
    if baseline.count == 0:
        return NO_METHOD
    test = _default_test(baseline.usable, baseline.usable, column.kind)
    return METHODS[test.name].name


def _uncomputed(
    column: Column, *, method: str, current: int, baseline: int, reason: str
) -> DriftResult:
    return DriftResult(
        column_name=column.name,
        role=column.role,
        method=method,
        score=None,
        p_value=None,
        threshold=None,
        is_drifted=None,
        sample_count=current,
        baseline_sample_count=baseline,
        status="not_computable",
        reason=reason,
    )


def _uncomputed_dataset(
    *, sample_count: int, baseline_sample_count: int, reason: str
) -> DriftResult:
    return DriftResult(
        column_name=DATASET_COLUMN,
        role="dataset",
        method=DATASET_METHOD,
        score=None,
        p_value=None,
        threshold=None,
        is_drifted=None,
        sample_count=sample_count,
        baseline_sample_count=baseline_sample_count,
        status="not_computable",
        reason=reason,
    )


def _default_test(
    baseline: "pd.Series[Any]", current: "pd.Series[Any]", kind: Kind
) -> Any:
    """Evidently's choice. Importing it takes 3 s, so nobody pays who does not test."""
    from evidently.legacy.calculations.stattests import (  # type: ignore[import-untyped]
        get_stattest,
    )

    return get_stattest(baseline, current, _evidently_kind(kind), None)


def _evidently_kind(kind: Kind) -> Any:
    from evidently.legacy.core import ColumnType  # type: ignore[import-untyped]

    return ColumnType.Numerical if kind == "numerical" else ColumnType.Categorical
