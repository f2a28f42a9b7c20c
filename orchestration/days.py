"""What Evidently reads of a day, and what becomes of it. Imports nothing heavy."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

SAMPLE_LIMIT = 50_000

# A window's sample is the smaller one and decides how well a distance is known; a
# larger baseline mostly costs time.
BASELINE_LIMIT = 10_000

# Texts and vectors take more memory, and no test takes more of them.
LONG_LIMIT = 5_000


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How many rows to read at most, and which: the same seed, the same rows.

    ``long_limit`` is that of columns of texts and embeddings, on either side.
    """

    window_limit: int = SAMPLE_LIMIT
    baseline_limit: int = BASELINE_LIMIT
    long_limit: int = LONG_LIMIT
    seed: int = 0


DEFAULT_OPTIONS = SampleOptions()


@dataclass(frozen=True, kw_only=True)
class DayRange:
    """The days from ``start`` until before ``end``; None leaves a side open."""

    start: date | None = None
    end: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.start is None or day >= self.start) and (
            self.end is None or day < self.end
        )


@dataclass(frozen=True, kw_only=True)
class DayOutcome:
    """One monitor's day, evaluated and written.

    ``row_count`` is what the day holds, ``sample_count`` what was read of it.
    ``drifted_share`` is None if no column could be computed, and ``failure`` is set if
    the day could not even be read. ``classifier_area`` is the domain classifier's, if
    it could be computed. ``report`` is the page that was written, and
    ``report_failure`` says why there is none although there should be. ``position``
    counts from 1 to ``total``, over all monitors.
    """

    monitor: str
    day: date
    row_count: int
    sample_count: int
    drifted_columns: tuple[str, ...]
    uncomputed_columns: tuple[str, ...]
    drifted_share: float | None
    classifier_area: float | None
    failure: str | None
    seconds: float
    position: int
    total: int
    report: Path | None = None
    report_failure: str | None = None
