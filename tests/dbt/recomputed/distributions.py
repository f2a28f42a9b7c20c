"""``distributions`` from raw rows."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tests.dbt.recomputed.drift import ColumnBins, compared_rows, tenths
from tests.dbt.recomputed.rows import (
    GRAINS,
    Figures,
    Monitor,
    Value,
    key_text,
    role,
    usable,
    windows,
)

SPECIAL: dict[object, int] = {"null": -1, "invalid": -2, "unseen": -3, "other": -4}


def distributions(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["columns"], column_segments=True)
    for column in monitor.kinds:
        bins = ColumnBins(monitor, column)
        reference = monitor.baseline_of(monitor.reference_version)
        known_values = [row.values[column] for row in reference]
        numbers = _numbers(bins, known_values)
        for key, rows in by_window.items():
            counts = Counter(map(bins.bin, bins.values(rows)))
            known = Counter(
                map(
                    bins.bin,
                    bins.values(compared_rows(monitor, by_window, key, "baseline")),
                )
            )
            for name in {*counts, *known} if counts else ():
                found[(*key, column, numbers[name])] = {
                    "window_end": key[5] + GRAINS[key[4]],
                    "role": role(column),
                    "bin_count": counts[name],
                    "baseline_count": known[name],
                    "share": counts[name] / counts.total(),
                    "baseline_share": known[name] / known.total() if known else None,
                    **_label(bins, name, known_values),
                }
    return found


def _numbers(bins: ColumnBins, known: Sequence[Value]) -> dict[object, int]:
    """The number of each bin: tenths of the baseline, or ranks of categories."""
    if not bins.is_numerical:
        counts = Counter(value for value in known if isinstance(value, str))
        ranked = sorted(counts, key=lambda value: (-counts[value], value.encode()))
        ranks: dict[object, int] = {
            ("category", value): rank for rank, value in enumerate(ranked[:50])
        }
        return {**SPECIAL, **ranks}
    reference = usable(known)
    if not len(reference):
        # Without numbers in the baseline, all share one bin.
        return {**SPECIAL, 0: 0}
    shown = sorted({0, 9, *tenths(reference, bins.edges).tolist()})
    return {**SPECIAL, **{place: int(tenth) for place, tenth in enumerate(shown)}}


def _label(bins: ColumnBins, name: object, known: Sequence[Value]) -> Figures:
    """Its bounds, and what it is called."""
    bounds = _bounds(bins, name, known)
    lower, upper = bounds["lower_bound"], bounds["upper_bound"]
    if isinstance(name, tuple):
        return bounds | {"label": key_text(str(name[1]))}
    if isinstance(name, str):
        return bounds | {"label": name}
    if lower is None and upper is None:
        return bounds | {"label": "any number"}
    start, end = (None if end is None else _spelled(end) for end in (lower, upper))
    if start is None:
        return bounds | {"label": f"below {end}"}
    if end is None:
        # The last tenth, if it holds nothing of the baseline, is what is above.
        reference = usable(known)
        is_above = 9 not in tenths(reference, bins.edges)
        return bounds | {"label": f"{'above' if is_above else 'from'} {start}"}
    return bounds | {"label": f"{start} to {end}"}


def _spelled(value: float) -> str:
    """A number as Postgres has it."""
    if abs(value) >= 1e15:
        return np.format_float_scientific(value, trim="-", exp_digits=2)
    return repr(value).removesuffix(".0")


def _bounds(bins: ColumnBins, name: object, known: Sequence[Value]) -> Figures:
    reference = usable(known)
    if not isinstance(name, int) or not len(reference):
        return {"lower_bound": None, "upper_bound": None}
    places = tenths(reference, bins.edges)
    lower, maximum = bins.edges[:-1], bins.edges[-1]
    shown = sorted({0, 9, *places.tolist()})
    inside = np.flatnonzero(places == shown[name])
    start = float(lower[inside[0]]) if len(inside) else float(maximum)
    end = float(maximum)
    if len(inside) and inside[-1] + 1 < len(lower):
        end = float(lower[inside[-1] + 1])
    elif not len(inside) and shown[name] == 0:
        end = float(lower[0])
    return {
        "lower_bound": None if shown[name] == 0 else start,
        "upper_bound": None if shown[name] == 9 else end,
    }
