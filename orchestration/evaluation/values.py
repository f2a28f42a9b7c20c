"""The values of a column that a test can take, and how many it can't."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.results import Column

# Beyond it squares overflow, and one such value would make every statistic infinite.
LARGEST_MAGNITUDE = 1e100


@dataclass(frozen=True)
class Values:
    """The usable values of one column, and how many were left out.

    ``usable`` is a series, or of embeddings a float32 matrix with one row each.
    ``note`` says what is odd about those that were left out, if it is no null.
    """

    usable: Any
    missing_count: int
    note: str | None = None

    @property
    def count(self) -> int:
        """How many can be used."""
        return len(self.usable)

    def single(self) -> float | str | None:
        """The only value, if all are the same."""
        if isinstance(self.usable, np.ndarray):
            is_single = bool(len(self.usable)) and bool(
                (self.usable == self.usable[0]).all()
            )
            return str(self.usable[0].tolist()) if is_single else None
        distinct = self.usable.unique()
        return distinct[0] if len(distinct) == 1 else None


def usable_values(
    frame: pd.DataFrame, column: Column, *, dimension: int | None = None
) -> Values:
    """The usable values of a column: numbers within ±1e100, texts, whole vectors.

    ``dimension`` is that of the vectors of an embedding, by default the most frequent.
    Raises ``ValueError`` if the frame has no such column or its values are of another
    kind.
    """
    if column.name not in frame:
        raise ValueError(f"the sample has no column {column.name}")
    values = frame[column.name]
    if column.kind == "embedding":
        return _vectors(values, dimension)
    if column.kind != "numerical":
        usable = values.dropna().astype(str).astype(object)
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        # False for NaN too.
        is_usable = np.abs(numbers) < LARGEST_MAGNITUDE
        usable = pd.Series(numbers[is_usable], name=column.name)
    return Values(usable=usable, missing_count=len(values) - len(usable))


def thinned(values: Any, limit: int | None) -> Any:
    """At most ``limit`` of the values, drawn by a fixed seed, in their order."""
    if limit is None or len(values) <= limit:
        return values
    drawn = np.sort(np.random.default_rng(0).choice(len(values), limit, replace=False))
    return values[drawn] if isinstance(values, np.ndarray) else values.iloc[drawn]


def _vectors(values: "pd.Series[Any]", dimension: int | None) -> Values:
    # The log's invalid arrays may be more than the vectors, and of one length.
    vectors = [
        vector
        for vector in values
        if vector is not None and len(vector) and bool(np.isfinite(vector).all())
    ]
    dimensions = Counter(len(vector) for vector in vectors)
    if dimension is None:
        # Of two that are as frequent, the smaller.
        dimension = min(dimensions, key=lambda d: (-dimensions[d], d), default=0)
    alike = [vector for vector in vectors if len(vector) == dimension]
    other_count = len(vectors) - len(alike)
    return Values(
        usable=np.stack(alike).astype(np.float32, copy=False)
        if alike
        else np.empty((0, dimension), dtype=np.float32),
        missing_count=len(values) - len(alike),
        note=f"{other_count} of other than {dimension} dimensions"
        if other_count
        else None,
    )
