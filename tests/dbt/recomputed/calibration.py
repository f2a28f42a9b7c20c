"""``calibration`` from raw rows."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from sklearn.calibration import calibration_curve

from tests.dbt.recomputed.estimated_performance import (
    scored_labels,
    scores_of,
    steps_of,
)
from tests.dbt.recomputed.model_performance import wilson
from tests.dbt.recomputed.rows import (
    GRAINS,
    Figures,
    Monitor,
    Row,
    segments_of,
    windows,
)


def calibration(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    if monitor.task == "regression":
        return found
    segments = [segments_of(monitor, row) for row in monitor.baseline]

    @cache
    def of_baseline(
        version: str | None, segment: tuple[str, str]
    ) -> dict[int, Figures]:
        return by_bin(
            monitor,
            [
                row
                for row, belongs in zip(monitor.baseline, segments, strict=True)
                if row.version == version and segment in belongs
            ],
        )

    by_window = windows(monitor, monitor.grains["columns"], segments=True)
    for key, rows in by_window.items():
        baseline = of_baseline(monitor.baseline_version(key[1]), (key[2], key[3]))
        for number, figures in by_bin(monitor, rows).items():
            known = baseline.get(number, {})
            found[(*key, number)] = {
                "window_end": key[5] + GRAINS[key[4]],
                "lower_bound": number / 10,
                "upper_bound": (number + 1) / 10,
                **figures,
                **{
                    f"baseline_{name}": known.get(name)
                    for name in ("labelled_count", "score_mean", "observed_rate")
                },
            }
    return found


def by_bin(monitor: Monitor, rows: Sequence[Row]) -> dict[int, Figures]:
    """The figures of every bin that holds a score."""
    usable = [
        row
        for row in rows
        if monitor.task == "binary" or row.values["prediction"] is not None
    ]
    scores = scores_of(usable)
    actual, score = scored_labels(monitor, usable)
    all_bins, bins = steps_of(scores) // 20, steps_of(score) // 20
    found: dict[int, Figures] = {}
    for number in sorted(set(all_bins)):
        inside = bins == number
        labelled, positives = int(inside.sum()), int(actual[inside].sum())
        lower, upper = wilson(positives, labelled)
        figures: Figures = {
            "score_count": int((all_bins == number).sum()),
            "labelled_count": labelled,
            "positive_count": positives,
            "score_mean": None,
            "observed_rate": None,
            "observed_rate_lower": lower,
            "observed_rate_upper": upper,
        }
        if labelled:
            # All of them in one bin, whatever scikit-learn's edges would be.
            rate, _ = calibration_curve(actual[inside], np.zeros(labelled), n_bins=1)
            figures["observed_rate"] = float(rate[0])
            figures["score_mean"] = float(score[inside].mean())
        found[int(number)] = figures
    return found
