"""What is evaluated, a column, and what comes of it, a result."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["numerical", "categorical", "text", "embedding"]
Role = Literal["feature", "prediction", "score", "actual", "features", "dataset"]
Status = Literal["ok", "warning", "critical", "not_computable"]

KINDS: tuple[Kind, ...] = ("numerical", "categorical", "text", "embedding")

MINIMUM_SAMPLE_COUNT = 50

# What a statistical library raises on data it can't take. One column's failure must not
# lose the other columns.
FAILURES = (
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
class Column:
    """A column of both frames.

    Numerical ones are float64; categorical ones and texts are text, or None; embeddings
    are one-dimensional float32 arrays, or None.
    """

    name: str
    role: Role
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a test found: its figure, what it was judged by, and a remark, if any.

    ``score`` is a distance, ``p_value`` a probability from 0 to 1; a test may have
    both. The counts are of the values or rows that it took.
    """

    score: float | None
    p_value: float | None
    threshold: float
    is_drifted: bool
    sample_count: int
    baseline_sample_count: int
    remark: str | None = None


@dataclass(frozen=True, kw_only=True)
class DriftResult:
    """What one test said of one column, of all features, or of the dataset.

    ``score`` is a distance (Wasserstein in baseline standard deviations,
    Jensen-Shannon from 0 to 0.83), a classifier's area under the curve, or the share of
    drifted columns; it is None for tests that give only a ``p_value``. The counts are
    of usable values, for all features and the dataset of rows. Every figure is None and
    ``reason`` is set if ``status`` is not computable.
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


def described(error: BaseException) -> str:
    """An error in one line of at most 300 characters, for a reason."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def computed(
    tested: Tested,
    *,
    column_name: str,
    role: Role,
    method: str,
    reason: str | None = None,
) -> DriftResult:
    """The result of a test; its remark stands after the ``reason``."""
    return DriftResult(
        column_name=column_name,
        role=role,
        method=method,
        score=tested.score,
        p_value=tested.p_value,
        threshold=tested.threshold,
        is_drifted=tested.is_drifted,
        sample_count=tested.sample_count,
        baseline_sample_count=tested.baseline_sample_count,
        # There is one threshold, so one severity.
        status="warning" if tested.is_drifted else "ok",
        reason="; ".join(filter(None, (reason, tested.remark))) or None,
    )


def uncomputed(
    *,
    column_name: str,
    role: Role,
    method: str,
    reason: str,
    sample_count: int = 0,
    baseline_sample_count: int = 0,
) -> DriftResult:
    """The result where nothing could be computed: no figure, and why."""
    return DriftResult(
        column_name=column_name,
        role=role,
        method=method,
        score=None,
        p_value=None,
        threshold=None,
        is_drifted=None,
        sample_count=sample_count,
        baseline_sample_count=baseline_sample_count,
        status="not_computable",
        reason=reason,
    )
