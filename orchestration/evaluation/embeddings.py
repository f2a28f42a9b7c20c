"""Drift of embeddings, by Evidently's methods for them."""

from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.methods import METHODS
from orchestration.evaluation.results import Tested
from orchestration.evaluation.values import Values, thinned

USUAL_METHOD = "embedding_classifier"

# Below so many baseline vectors Evidently compares with classifiers that guess.
_BOOTSTRAP_LIMIT = 1000


def tested_embeddings(
    current: Values, baseline: Values, *, method: str, threshold: float
) -> Tested:
    """One of Evidently's methods for embeddings, on at most its ``row_limit`` vectors.

    With fewer than 1,000 baseline vectors the classifier's area also has to be above
    95 % of those of classifiers that guess, and the result's threshold is the greater.
    """
    limit = METHODS[method].row_limit
    reference, window = (
        thinned(values.usable, limit).astype(np.float64)
        for values in (baseline, current)
    )
    score, _, _ = _method(METHODS[method].test, threshold)(
        _frame(window), _frame(reference)
    )
    score = float(score)
    if method == USUAL_METHOD and len(reference) < _BOOTSTRAP_LIMIT:
        threshold = max(threshold, _guessed_area(len(reference), len(window)))
    if not np.isfinite(score):
        raise ValueError(f"Evidently's {method} returned {score}")
    return Tested(
        score=score,
        p_value=None,
        threshold=threshold,
        is_drifted=score > threshold,
        sample_count=len(window),
        baseline_sample_count=len(reference),
    )


def _method(test: str, threshold: float) -> Any:
    from evidently.legacy.metrics.data_drift import (
        embedding_drift_methods as methods,
    )

    if test in ("model", "mmd", "ratio"):
        return getattr(methods, test)(threshold=threshold)
    return methods.distance(dist=test, threshold=threshold)


def _frame(vectors: "np.ndarray[Any, Any]") -> pd.DataFrame:
    """A frame of its own, since Evidently's classifier adds a column to it."""
    return pd.DataFrame(vectors, columns=[str(i) for i in range(vectors.shape[1])])


def _guessed_area(baseline_count: int, current_count: int) -> float:
    """The area that 95 % of Evidently's guessing classifiers stay below."""
    from evidently.legacy.metrics.data_drift.embedding_drift_methods import (
        calc_roc_auc_random,
    )
    from sklearn.model_selection import train_test_split

    sides = np.repeat([1, 0], [baseline_count, current_count])
    # The very half that the classifier is judged by.
    _, test = train_test_split(sides, test_size=0.5, random_state=42, shuffle=True)
    return float(np.percentile([calc_roc_auc_random(test, i) for i in range(100)], 95))
