"""``data_quality`` from raw rows."""

import math
from collections.abc import Sequence

import numpy as np

from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Between,
    Figures,
    Monitor,
    Value,
    about,
    numbers,
    role,
    usable,
    windows,
)


def data_quality(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    reference = monitor.baseline_of(monitor.reference_version)
    by_window = windows(monitor, monitor.grains["columns"], segments=False)
    for key, rows in by_window.items():
        baseline = monitor.baseline_of(monitor.baseline_version(key[1]))
        for column, kind in monitor.kinds.items():
            values = [row.values[column] for row in rows]
            known = [row.values[column] for row in baseline]
            is_numerical = kind == "numerical"
            found_numbers = numbers(values) if is_numerical else np.array([])
            known_numbers = numbers(known) if is_numerical else np.array([])
            reference_numbers = (
                numbers([row.values[column] for row in reference])
                if is_numerical
                else np.array([])
            )
            count = len(values)
            null = sum(value is None for value in values)
            invalid = count - null - len(found_numbers) if is_numerical else 0
            counts = {
                "null": null,
                "invalid": invalid,
                "unseen": _unseen(monitor, column, values),
                "out_of_range": _out_of_range(
                    [row.values[column] for row in reference],
                    values if is_numerical else [],
                ),
            }
            found[(*key, column)] = {
                "window_end": key[5] + GRAINS[key[4]],
                "role": role(column),
                "row_count": count,
                **{f"{name}_count": value for name, value in counts.items()},
                **{f"{name}_rate": value / count for name, value in counts.items()},
                "baseline_null_rate": sum(value is None for value in known) / len(known)
                if known
                else None,
                "mean": _mean(found_numbers),
                "stddev": _stddev(found_numbers, reference_numbers),
                "minimum": found_numbers.min() if len(found_numbers) else None,
                "maximum": found_numbers.max() if len(found_numbers) else None,
                "baseline_mean": _mean(known_numbers),
                "baseline_stddev": _stddev(known_numbers, reference_numbers),
            }
    return found


def _unseen(monitor: Monitor, column: str, values: Sequence[Value]) -> int:
    if monitor.kinds[column] == "numerical" or not monitor.baseline:
        return 0
    seen = {row.values[column] for row in monitor.baseline}
    return sum(value is not None and value not in seen for value in values)


def _out_of_range(reference: Sequence[Value], values: Sequence[Value]) -> int:
    known, found = usable(reference), usable(values)
    if not len(known):
        return 0
    return int(((found < known.min()) | (found > known.max())).sum())


def _mean(values: Array) -> float | None:
    return math.fsum(values) / len(values) if len(values) else None


def _stddev(values: Array, reference: Array) -> Between | None:
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    exact = math.sqrt(math.fsum((values - mean) ** 2) / (len(values) - 1))
    # Near the baseline's minimum, deviations from there are summed, so an offset costs
    # no digits but those of the windows' means. Elsewhere one pass over doubles loses
    # what the offset takes of them, however stable (Chan, Golub & LeVeque 1983).
    is_near = len(reference) and abs(mean - reference.min()) < abs(mean) / 2
    count = 1 if is_near else len(values)
    return about(exact, largest=np.abs(values).max(), count=count)
