"""``data_quality`` from raw rows."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from tests.dbt.recomputed.model_performance import wilson
from tests.dbt.recomputed.rows import (
    A_MONDAY,
    GRAINS,
    Array,
    Between,
    Figures,
    Monitor,
    Row,
    Value,
    about,
    key_text,
    numbers,
    role,
    segments_of,
    usable,
    windows,
)

QUANTILES = {
    "p05": Fraction(5, 100),
    "p25": Fraction(1, 4),
    "median": Fraction(1, 2),
    "p75": Fraction(3, 4),
    "p95": Fraction(95, 100),
}
OF_BASELINE = (
    *("null_rate", "invalid_rate", "mean", "stddev", "minimum", "maximum"),
    *QUANTILES,
    "distinct_count",
)
DISTINCT_ERROR = 0.0694
# Warning and critical.
LIMITS = {
    "null": (0.03, 0.2),
    "invalid": (0.01, 0.1),
    "unseen": (0.01, 0.1),
    "out_of_range": (0.05, 0.2),
    "implausible": (0.01, 0.1),
    "duplicate": (0.01, 0.1),
}


def data_quality(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    grain = monitor.grains["columns"]
    columns = {name: _Column(monitor, name) for name in monitor.kinds}
    baselines = _baselines(monitor)
    known_figures: dict[tuple[str | None, str, str, str], Figures] = {}
    for key, rows in windows(monitor, grain, column_segments=True).items():
        shared = {"window_end": key[5] + GRAINS[key[4]]}
        version, segment, value = key[1:4]
        reference = (monitor.baseline_version(version), segment, value)
        for name, column in columns.items():
            figures = column.figures(rows)
            known = (*reference, name)
            if known not in known_figures:
                known_figures[known] = column.figures(baselines.get(reference, []))
            figures |= {
                f"baseline_{figure}": known_figures[known].get(figure)
                for figure in OF_BASELINE
            }
            whole = column.figures(baselines.get((reference[0], "all", "all"), []))
            found[(*key, name)] = shared | figures | _judged(figures, whole, monitor)
        cells = _cells(rows, grain)
        for name, figures in _repeated(monitor, cells):
            figures = {"row_count": len(rows), **figures}
            found[(*key, name)] = shared | figures | _judged(figures, {}, monitor)
        expected = _unknown_rates(monitor, baselines, reference)
        for name, count in _unknown(monitor, cells).items():
            excess = None if expected is None else wilson(count, len(rows))[0]
            if excess is not None and expected is not None:
                excess -= expected.get(name, 0)
            is_judged = len(rows) >= monitor.minimum_sample and excess is not None
            found[(*key, name)] = shared | {
                "status": "not_computable"
                if not is_judged or excess is None
                else "warning"
                if excess > 0.01
                else "ok",
                "role": "unknown",
                "row_count": count,
                "unknown_rate": count / len(rows),
                "baseline_unknown_rate": None
                if expected is None
                else expected.get(name, 0),
                "implausible_count": None,
                "implausible_rate": None,
                "checked_count": len(rows),
                "value_count": None,
                "null_count": None,
                "baseline_null_rate": None,
            }
    return found


def _judged(figures: Figures, whole: Figures, monitor: Monitor) -> Figures:
    """The status of a column, of the identifiers or of rows as a whole."""
    name, count = figures["role"], figures["row_count"]
    judged = count - figures["null_count"] if name == "actual" else count
    if judged < monitor.minimum_sample:
        return {"status": "not_computable"}
    if name == "row":
        return {"status": "ok"}

    def surely(problem: str, among: int) -> float:
        lower, _ = wilson(figures.get(f"{problem}_count") or 0, among)
        return lower or 0.0

    excesses = {
        problem: surely(problem, judged)
        for problem in (
            *("invalid", "unseen", "out_of_range", "implausible", "duplicate"),
        )
    }
    if name != "actual":
        expected = figures.get("baseline_null_rate")
        expected = whole.get("null_rate") if expected is None else expected
        excesses["null"] = surely("null", count) - (expected or 0)
    for place, status in ((1, "critical"), (0, "warning")):
        if any(excesses[name] > LIMITS[name][place] for name in excesses):
            return {"status": status}
    return {"status": "ok", "reason": None}


def _unknown_rates(
    monitor: Monitor,
    baselines: Mapping[tuple[str | None, str, str], list[Row]],
    reference: tuple[str | None, str, str],
) -> dict[str, float] | None:
    """The shares of the baseline's rows that had them; None without such rows."""
    whole = baselines.get((reference[0], "all", "all"))
    rows = baselines.get(reference, whole)
    if not rows:
        return None
    counts = _unknown(monitor, [rows])
    return {name: count / len(rows) for name, count in counts.items()}


def _baselines(monitor: Monitor) -> dict[tuple[str | None, str, str], list[Row]]:
    found: dict[tuple[str | None, str, str], list[Row]] = defaultdict(list)
    for row in monitor.baseline:
        for segment, value in segments_of(monitor, row):
            found[(row.version, segment, value)].append(row)
    return found


class _Column:
    """A monitored column, and what its baseline says of any values."""

    def __init__(self, monitor: Monitor, name: str) -> None:
        self.name = name
        self.is_numerical = monitor.kinds[name] == "numerical"
        self.is_feature = name in monitor.features
        self.has_baseline = bool(monitor.baseline)
        known = [row.values[name] for row in monitor.baseline]
        own = [
            row.values[name] for row in monitor.baseline_of(monitor.reference_version)
        ]
        self.range = usable(own) if self.is_numerical else np.array([])
        self.edges = _edges(self.range)
        self.seen = {value for value in known if value is not None}
        counts = Counter(value for value in own if isinstance(value, str))
        ranked = sorted(counts, key=lambda value: (-counts[value], value.encode()))
        self.frequent = set(ranked[:50])

    def figures(self, rows: Sequence[Row]) -> Figures:
        if not rows:
            return {}
        values = [row.values[self.name] for row in rows]
        found = numbers(values) if self.is_numerical else np.array([])
        null = sum(value is None for value in values)
        counts = {
            "null": null,
            "invalid": len(values) - null - len(found) if self.is_numerical else 0,
            "unseen": self._unseen(values),
            "out_of_range": self._out_of_range(values),
        }
        implausible = self._implausible(values)
        figures: Figures = {
            "role": role(self.name),
            "row_count": len(values),
            **{f"{name}_count": count for name, count in counts.items()},
            **{f"{name}_rate": count / len(values) for name, count in counts.items()},
            "implausible_count": implausible,
            "implausible_rate": None
            if implausible is None
            else implausible / len(values),
            "missing_count": None,
            "missing_rate": None,
            "duplicate_count": None,
            "value_count": len(found) if self.is_numerical else len(values) - null,
            "checked_count": len(values) if self.is_feature else None,
            "mean": _mean(found),
            "stddev": _stddev(found, self.range),
            "minimum": found.min() if len(found) else None,
            "maximum": found.max() if len(found) else None,
        }
        if self.is_feature:
            missing = sum(self.name not in row.logged_features for row in rows)
            figures |= {
                "missing_count": missing,
                "missing_rate": missing / len(values),
            }
        for name, share in QUANTILES.items():
            figures[name] = self._quantile(usable(values), share)
        return figures | self._distinct(values, found)

    def _unseen(self, values: Sequence[Value]) -> int:
        if self.is_numerical or not self.has_baseline:
            return 0
        return sum(value is not None and value not in self.seen for value in values)

    def _out_of_range(self, values: Sequence[Value]) -> int:
        found = usable(values)
        if not self.is_numerical or not len(self.range):
            return 0
        outside = (found < self.range.min()) | (found > self.range.max())
        return int(outside.sum())

    def _implausible(self, values: Sequence[Value]) -> int | None:
        """Far outside the baseline's range, or on the other side of zero than it."""
        if not self.is_numerical or not len(self.range):
            return None
        low, high = self.range.min(), self.range.max()
        far = 3 * (high - low) if high > low else math.inf
        return sum(
            bool(
                value < low - far
                or value > high + far
                or (low >= 0 and high > 0 and value < 0)
                or (high <= 0 and low < 0 and value > 0)
            )
            for value in usable(values)
        )

    def _quantile(self, values: Array, share: Fraction) -> Between | float | None:
        """Where the bin of the baseline ends that the exact quantile lies in."""
        if not self.is_numerical or not len(self.range) or not len(values):
            return None
        rank = math.ceil(share * len(values))
        exact = np.sort(values)[rank - 1]
        distinct = np.unique(self.range)
        if len(distinct) <= 50 and set(values) <= set(distinct):
            return _near_zero(float(exact))
        # The bins are [edge, next edge), the last one with its end.
        ends = [values.min(), *self.edges, values.max()]
        place = np.searchsorted(self.edges[:-1], exact, "right")
        if exact > self.edges[-1]:
            place = len(self.edges)
        lower, upper = (
            _near_zero(np.clip(end, values.min(), values.max()))
            for end in (ends[int(place)], ends[int(place) + 1])
        )
        rounding = 1e-12 * max(abs(lower), abs(upper))
        return Between(lower=lower - rounding, upper=upper + rounding)

    def _distinct(self, values: Sequence[Value], found: Array) -> Figures:
        if self.is_numerical:
            exact = len(np.unique(found))
            is_exact = exact <= 1
            count = len(found)
        else:
            known = [value for value in values if value is not None]
            exact, count = len(set(known)), len(known)
            is_exact = set(known) <= self.frequent
        if is_exact:
            return {"distinct_count": exact, "distinct_count_is_exact": True}
        slack = math.exp(4 * DISTINCT_ERROR)
        return {
            "distinct_count": Between(
                # Of a few values, two more can share a bit.
                lower=math.floor(exact / slack) - 1,
                upper=min(count, math.ceil(exact * slack)),
            ),
            "distinct_count_is_exact": False,
        }


def _edges(known: Array) -> Array:
    """Where the bins of a baseline begin, and where the last one ends."""
    distinct, counts = np.unique(known, return_counts=True)
    if not len(distinct):
        return distinct
    if len(distinct) > 50:
        groups = 50 * (np.cumsum(counts) - counts) // len(known)
        _, firsts = np.unique(groups, return_index=True)
        distinct = distinct[firsts]
    return np.append(distinct, known.max())


def _near_zero(value: float) -> float:
    return float(numbers([value])[0])


def _cells(rows: Iterable[Row], grain: str) -> list[list[Row]]:
    """The rows by version and finest window."""
    cells: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        cells[(row.at - A_MONDAY) // GRAINS[grain], row.version].append(row)
    return list(cells.values())


def _repeated(
    monitor: Monitor, cells: Sequence[Sequence[Row]]
) -> Iterator[tuple[str, Figures]]:
    count = sum(map(len, cells))

    def repeats(of: Callable[[Row], object]) -> int:
        found = ([of(row) for row in cell if of(row) is not None] for cell in cells)
        return sum(len(keys) - len(set(keys)) for keys in found)

    ids = repeats(lambda row: row.prediction_id)
    null = sum(row.prediction_id is None for cell in cells for row in cell)
    yield (
        "prediction_id",
        {
            "role": "key",
            "null_count": null,
            "null_rate": null / count,
            "duplicate_count": ids,
            "duplicate_rate": ids / count,
            "distinct_count": None,
            "value_count": None,
            "checked_count": None,
        },
    )

    def features(row: Row) -> object:
        values = [row.values[name] for name in monitor.features]
        # NaN equals itself in a database.
        return tuple("invalid" if value != value else (value,) for value in values)

    equal = repeats(features)
    yield (
        "(all features)",
        {
            "role": "row",
            "null_count": None,
            "duplicate_count": equal,
            "duplicate_rate": equal / count,
        },
    )


def _unknown(monitor: Monitor, cells: Sequence[Sequence[Row]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for cell in cells:
        counts: Counter[str] = Counter()
        for row in cell:
            counts.update(
                {_name(monitor, name) for name in row.logged_features}
                - set(monitor.features)
            )
        ranked = sorted(counts, key=lambda name: (-counts[name], name.encode()))
        for name in ranked[:50]:
            found[name] += counts[name]
        if len(ranked) > 50:
            found["(other)"] += counts[ranked[50]]
    return found


def _name(monitor: Monitor, name: str) -> str:
    reserved = {*monitor.kinds, "prediction_id", "(all features)"} - set(
        monitor.features
    )
    return f"(unknown) {name}" if name in reserved else key_text(name)


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
