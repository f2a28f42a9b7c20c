"""Row-level drift of one window against a baseline, by Evidently's tests.

Where a monitor chooses no test, Evidently does, by the column's type, the size of the
baseline sample and the number of distinct values. Its tests are called directly:
``Report([ValueDrift(column)])`` calls the very same ones and spends more than nine
tenths of its time on plots. ``tests/orchestration`` holds both against each other.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.embeddings import USUAL_METHOD, tested_embeddings
from orchestration.evaluation.methods import (
    DATASET_METHOD,
    DEFAULT_SETTINGS,
    METHODS,
    NAMES,
    NO_METHOD,
    EvidentlySettings,
)
from orchestration.evaluation.multivariate import ALL_FEATURES, Features
from orchestration.evaluation.results import (
    FAILURES,
    MINIMUM_SAMPLE_COUNT,
    Column,
    DriftResult,
    Tested,
    computed,
    described,
    uncomputed,
)
from orchestration.evaluation.texts import (
    Descriptor,
    descriptors,
    tested_texts,
    usual_text_method,
)
from orchestration.evaluation.values import Values, thinned, usable_values

DATASET_COLUMN = "(dataset)"

# Kinds of columns whose values can be long, and are read apart, on fewer rows.
LONG_KINDS = ("text", "embedding")

# Evidently puts at least this below the distance as the baseline's standard deviation.
_SMALLEST_NORM = 0.001

# Descriptors are numbers, and tested as such by default.
_NUMBER = Column(name="", role="feature", kind="numerical")


class Baseline:
    """A baseline sample made ready once, for any number of windows."""

    def __init__(
        self,
        frame: pd.DataFrame,
        columns: Sequence[Column],
        *,
        settings: EvidentlySettings = DEFAULT_SETTINGS,
        long_frame: pd.DataFrame | None = None,
    ) -> None:
        """Take the ``columns`` of ``frame``, and what a monitor chose for them.

        Texts and embeddings are taken from ``long_frame`` if it is given. A column that
        the frame lacks, or that is not of its kind, fails when it is evaluated, and
        alone. The frames are kept for reports.
        """
        self.frame = frame
        self.long_frame = frame if long_frame is None else long_frame
        self.columns = tuple(columns)
        self.settings = settings
        self.row_count = len(frame)
        self._values: dict[str, Values] = {}
        self._usual_methods: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._descriptors: dict[str, tuple[Descriptor, ...]] = {}
        self._features: Features | str | None = None
        for column in self.columns:
            chosen = settings.method(column.name)
            if chosen is not None:
                self._usual_methods[column.name] = chosen
            try:
                values = usable_values(
                    self.long_frame if column.kind in LONG_KINDS else frame, column
                )
                self._values[column.name] = values
                if chosen is None:
                    self._usual_methods[column.name] = _usual_method(values, column)
                if column.kind == "text" and values.count:
                    self._descriptors[column.name] = descriptors(values)
            except FAILURES as error:
                self._failures[column.name] = f"baseline: {described(error)}"

    def failure(self, column: Column) -> str | None:
        """Why the column can't be compared with anything, if it can't."""
        return self._failures.get(column.name)

    def values(self, column: Column) -> Values:
        """The usable values of a column that has not failed."""
        return self._values[column.name]

    def descriptors(self, column: Column) -> tuple[Descriptor, ...]:
        """The descriptors of a column of texts; of other columns none."""
        return self._descriptors.get(column.name, ())

    def usual_method(self, column: Column) -> str:
        """What was chosen, or what Evidently would choose by the baseline alone.

        So a day that can't be computed stands in the same series as its neighbours.
        """
        return self._usual_methods.get(column.name, NO_METHOD)

    def features(self) -> Features:
        """All features together. Raises ``ValueError`` if there are too few."""
        if self._features is None:
            try:
                self._features = Features(self.frame, self.columns)
            except FAILURES as error:
                self._features = f"baseline: {error}"
        if isinstance(self._features, str):
            raise ValueError(self._features)
        return self._features


def evaluate_drift(
    current: pd.DataFrame,
    baseline: Baseline,
    *,
    minimum_sample_count: int = MINIMUM_SAMPLE_COUNT,
    long_frame: pd.DataFrame | None = None,
) -> list[DriftResult]:
    """One result for each of the baseline's columns, and those of all together.

    ``current`` has one row per prediction of the window, and ``long_frame``, if it is
    given, the texts and embeddings of fewer. Nulls, NaN, infinities, numbers beyond
    ±1e100 and vectors of another dimension are missing: they are left out and counted
    in ``reason``. A column with fewer than ``minimum_sample_count``
    usable values on either side can't be computed, nor one with the same single value
    on both sides. After the columns come the descriptors of texts, the multivariate
    methods of the settings, and the dataset.
    """
    long = current if long_frame is None else long_frame
    columns = [
        _column_drift(
            long if column.kind in LONG_KINDS else current,
            baseline,
            column,
            minimum_sample_count=minimum_sample_count,
        )
        for column in baseline.columns
    ]
    described_texts = [
        result
        for column in baseline.columns
        for result in _descriptor_drift(
            long, baseline, column, minimum_sample_count=minimum_sample_count
        )
    ]
    together = [
        _multivariate_drift(
            current, baseline, method, minimum_sample_count=minimum_sample_count
        )
        for method in baseline.settings.multivariate
    ]
    dataset = _dataset_drift(
        columns,
        threshold=baseline.settings.drifted_share,
        sample_count=len(current),
        baseline_sample_count=baseline.row_count,
    )
    return [*columns, *described_texts, *together, dataset]


def not_computable(
    columns: Sequence[Column],
    *,
    reason: str,
    settings: EvidentlySettings = DEFAULT_SETTINGS,
) -> list[DriftResult]:
    """The results of a window that could not be evaluated at all."""
    return [
        *(
            uncomputed(
                column_name=column.name,
                role=column.role,
                method=settings.method(column.name) or NO_METHOD,
                reason=reason,
            )
            for column in columns
        ),
        *(
            uncomputed(
                column_name=ALL_FEATURES, role="features", method=method, reason=reason
            )
            for method in settings.multivariate
        ),
        _uncomputed_dataset(sample_count=0, baseline_sample_count=0, reason=reason),
    ]


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
            current = usable_values(
                current_frame, column, dimension=_dimension(baseline, column)
            )
            current_count = current.count
            reason = _why_not_computable(
                current, baseline, minimum_sample_count=minimum_sample_count
            )
            if reason is None:
                method, tested = _tested(
                    current, baseline, column, baseline_sample.settings
                )
                return computed(
                    tested,
                    column_name=column.name,
                    role=column.role,
                    method=method,
                    reason=_remarks(current, baseline, method),
                )
        except FAILURES as error:
            reason = described(error)
    return uncomputed(
        column_name=column.name,
        role=column.role,
        method=baseline_sample.usual_method(column),
        reason=reason,
        sample_count=current_count,
        baseline_sample_count=baseline_count,
    )


def _dimension(baseline: Values, column: Column) -> int | None:
    return int(baseline.usable.shape[1]) if column.kind == "embedding" else None


def _tested(
    current: Values, baseline: Values, column: Column, settings: EvidentlySettings
) -> tuple[str, Tested]:
    """The method that was taken, and what it found."""
    method = settings.method(column.name)
    with warnings.catch_warnings(), np.errstate(all="ignore"), _fixed_seed():
        # An unseen category divides by an expected count of zero: p is then 0.
        warnings.simplefilter("ignore")
        if column.kind == "text":
            method = method or usual_text_method(baseline)
            test = tested_texts
        elif column.kind == "embedding":
            method = method or USUAL_METHOD
            test = tested_embeddings
        else:
            return _tested_by_registry(current, baseline, column, settings)
        return method, test(
            current,
            baseline,
            method=method,
            threshold=settings.threshold(column.name, method),
        )


def _tested_by_registry(
    current: Values, baseline: Values, column: Column, settings: EvidentlySettings
) -> tuple[str, Tested]:
    chosen = settings.method(column.name)
    test = (
        _default_test(baseline.usable, current.usable, column.kind)
        if chosen is None
        else _chosen_test(METHODS[chosen].test, column.kind)
    )
    name = NAMES[test.name]
    method = METHODS[name]
    limit = method.row_limit
    if method.equal_sizes:
        limit = min(current.count, baseline.count)
    reference = thinned(baseline.usable, limit)
    window = thinned(current.usable, limit)
    outcome = test(
        reference,
        window,
        _evidently_kind(column.kind),
        settings.threshold(column.name, name),
    )
    value = float(outcome.drift_score)
    is_drifted = bool(outcome.drifted)
    if np.isnan(value) and name == "jensen_shannon":
        # SciPy takes the root of a sum that rounding can make a hair negative: the two
        # distributions are the same to 15 digits.
        value, is_drifted = 0.0, False
    if not np.isfinite(value):
        raise ValueError(f"Evidently's {name} returned {value}")
    return name, Tested(
        score=None if method.is_p_value else value,
        p_value=value if method.is_p_value else None,
        threshold=float(outcome.actual_threshold),
        is_drifted=is_drifted,
        sample_count=len(window),
        baseline_sample_count=len(reference),
    )


def _descriptor_drift(
    current_frame: pd.DataFrame,
    baseline_sample: Baseline,
    column: Column,
    *,
    minimum_sample_count: int,
) -> Iterator[DriftResult]:
    """The descriptors of a column of texts, by Evidently's default test."""
    for descriptor in baseline_sample.descriptors(column):
        name = f"{column.name} ({descriptor.name})"
        method, baseline = NO_METHOD, descriptor.baseline
        count = 0
        try:
            method = _usual_method(baseline, _NUMBER)
            current = descriptor.values(usable_values(current_frame, column))
            count = current.count
            reason = _why_not_computable(
                current, baseline, minimum_sample_count=minimum_sample_count
            )
            if reason is None:
                method, tested = _tested(
                    current,
                    baseline,
                    _NUMBER,
                    EvidentlySettings(thresholds=baseline_sample.settings.thresholds),
                )
                yield computed(
                    tested,
                    column_name=name,
                    role=column.role,
                    method=method,
                    reason=_remarks(current, baseline, method),
                )
                continue
        except FAILURES as error:
            reason = described(error)
        yield uncomputed(
            column_name=name,
            role=column.role,
            method=method,
            reason=reason,
            sample_count=count,
            baseline_sample_count=baseline.count,
        )


def _multivariate_drift(
    current: pd.DataFrame,
    baseline: Baseline,
    method: str,
    *,
    minimum_sample_count: int,
) -> DriftResult:
    try:
        reason = _too_few(len(current), baseline.row_count, minimum_sample_count)
        if reason is None:
            with _fixed_seed():
                tested = baseline.features().tested(
                    method,
                    current,
                    threshold=baseline.settings.multivariate_threshold(method),
                )
            return computed(
                tested, column_name=ALL_FEATURES, role="features", method=method
            )
    except FAILURES as error:
        reason = str(error) if isinstance(error, ValueError) else described(error)
    return uncomputed(
        column_name=ALL_FEATURES,
        role="features",
        method=method,
        reason=reason,
        sample_count=len(current),
        baseline_sample_count=baseline.row_count,
    )


def _dataset_drift(
    results: Sequence[DriftResult],
    *,
    threshold: float,
    sample_count: int,
    baseline_sample_count: int,
) -> DriftResult:
    # Labels come later than the window: with them the share would change by itself.
    judged = [result for result in results if result.role != "actual"]
    tested = [result for result in judged if result.is_drifted is not None]
    uncomputed_count = len(judged) - len(tested)
    if not tested:
        causes = Counter(result.reason for result in judged)
        cause = causes.most_common(1)[0][0] if causes else "no columns"
        return _uncomputed_dataset(
            sample_count=sample_count,
            baseline_sample_count=baseline_sample_count,
            reason=f"none of {len(judged)} columns could be tested; mostly: {cause}",
        )
    drifted_count = sum(1 for result in tested if result.is_drifted)
    share = drifted_count / len(tested)
    reason = f"{drifted_count} of {len(tested)} columns drifted"
    if uncomputed_count:
        reason += f"; {uncomputed_count} more could not be tested"
    return computed(
        Tested(
            score=share,
            p_value=None,
            threshold=threshold,
            is_drifted=share >= threshold,
            sample_count=sample_count,
            baseline_sample_count=baseline_sample_count,
        ),
        column_name=DATASET_COLUMN,
        role="dataset",
        method=DATASET_METHOD,
        reason=reason,
    )


def _why_not_computable(
    current: Values, baseline: Values, *, minimum_sample_count: int
) -> str | None:
    for side, values in (("the window", current), ("the baseline", baseline)):
        if values.count + values.missing_count == 0:
            return f"{side} has no rows"
        if values.count == 0:
            note = f": {values.note}" if values.note else ""
            return f"all {values.missing_count} values of {side} are missing{note}"
        if values.count < minimum_sample_count:
            return (
                f"{side} has {values.count} usable values, "
                f"fewer than {minimum_sample_count}"
            )
    if current.single() is not None and current.single() == baseline.single():
        return "nothing to compare: the same single value on both sides"
    return None


def _too_few(
    current_count: int, baseline_count: int, minimum_sample_count: int
) -> str | None:
    for side, count in (
        ("the window", current_count),
        ("the baseline", baseline_count),
    ):
        if count == 0:
            return f"{side} has no rows"
        # A half of them is fitted to, and the other judged.
        if count < max(2 * minimum_sample_count, 4):
            return f"{side} has {count} rows, fewer than {2 * minimum_sample_count}"
    return None


def _remarks(current: Values, baseline: Values, method: str) -> str | None:
    remarks = []
    for side, values in (("the window", current), ("the baseline", baseline)):
        if values.missing_count:
            remarks.append(
                f"{values.missing_count} of {values.missing_count + values.count} "
                f"values of {side} are missing and left out"
                + (f" ({values.note})" if values.note else "")
            )
    if (
        method == "wasserstein_normed"
        and float(np.std(baseline.usable)) < _SMALLEST_NORM
    ):
        remarks.append(
            "the baseline hardly varies: the distance is in units of "
            f"{_SMALLEST_NORM}, not of its standard deviation"
        )
    return "; ".join(remarks) or None


def _usual_method(baseline: Values, column: Column) -> str:
    if baseline.count == 0:
        return NO_METHOD
    if column.kind == "text":
        return usual_text_method(baseline)
    if column.kind == "embedding":
        return USUAL_METHOD
    return NAMES[_default_test(baseline.usable, baseline.usable, column.kind).name]


def _uncomputed_dataset(
    *, sample_count: int, baseline_sample_count: int, reason: str
) -> DriftResult:
    return uncomputed(
        column_name=DATASET_COLUMN,
        role="dataset",
        method=DATASET_METHOD,
        reason=reason,
        sample_count=sample_count,
        baseline_sample_count=baseline_sample_count,
    )


@contextmanager
def _fixed_seed() -> Iterator[None]:
    """Some of Evidently's tests permute by NumPy's global generator, unseeded."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _default_test(
    baseline: "pd.Series[Any]", current: "pd.Series[Any]", kind: str
) -> Any:
    """Evidently's choice. Importing it takes 3 s, so nobody pays who does not test."""
    from evidently.legacy.calculations.stattests import (
        get_stattest,
    )

    return get_stattest(baseline, current, _evidently_kind(kind), None)


def _chosen_test(test: str, kind: str) -> Any:
    from evidently.legacy.calculations.stattests import registry

    return registry.get_registered_stattest(test, _evidently_kind(kind))


def _evidently_kind(kind: str) -> Any:
    from evidently.legacy.core import ColumnType

    return ColumnType.Numerical if kind == "numerical" else ColumnType.Categorical
