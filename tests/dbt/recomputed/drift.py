"""``drift`` from raw rows."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial.distance import chebyshev, cityblock, euclidean, jensenshannon
from scipy.special import kolmogorov

from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Between,
    Figures,
    Monitor,
    Row,
    Value,
    Window,
    numbers,
    role,
    segments_of,
    usable,
    windows,
)

# What thresholds and methods are by default, and to which columns they apply.
THRESHOLDS = {
    "psi": (0.1, 0.25),
    "jensen_shannon": (0.1, 0.2),
    "hellinger": (0.1, 0.2),
    "total_variation": (0.1, 0.2),
    "l_infinity": (0.1, 0.2),
    "chi_squared": (0.1, 0.3),
    "ks": (0.1, 0.2),
    "wasserstein": (0.1, 0.25),
    "mean_shift": (0.2, 0.5),
}
OF_NUMBERS = ("ks", "wasserstein", "mean_shift")
COMPARISONS = ("baseline", "previous", "last_week")

Score = float | Between | None
Binned = Callable[[Value], object]
UNKNOWN: Any = object()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a method says: exactly, or within bounds."""

    score: Score
    noise_floor: Score = None
    p_value: Score = None
    sample_count: int
    baseline_sample_count: int


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """How a column's drift is measured and judged."""

    methods: Sequence[str]
    thresholds: Mapping[str, tuple[float, float]]


def drift(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key, those of the engine ``sql``."""
    settings = {column: _settings(monitor, column) for column in monitor.kinds}
    compared = monitor.drift.get("compared_to", COMPARISONS)
    first = "baseline" if "baseline" in compared else compared[0]
    by_window = windows(monitor, monitor.grains["columns"], column_segments=True)
    found: dict[tuple[object, ...], Figures] = {}
    for column, of_column in settings.items():
        bins = ColumnBins(monitor, column)
        for key, rows in by_window.items():
            values = bins.values(rows)
            for reference in compared if values else ():
                if reference == "last_week" and key[4] == "week":
                    continue
                known = bins.values(compared_rows(monitor, by_window, key, reference))
                measured = distances(values, known, bins)
                for place, method in enumerate(of_column.methods):
                    found[(*key, column, method, reference, "sql")] = {
                        **vars(measured[method]),
                        "window_end": key[5] + GRAINS[key[4]],
                        "role": role(column),
                        "threshold": of_column.thresholds[method][0],
                        "is_headline": place == 0 and reference == first,
                    }
    _adjust_p_values(found, monitor.minimum_sample)
    features: dict[tuple[object, ...], list[Figures]] = defaultdict(list)
    for drift_key, figures in found.items():
        of_column, method = settings[str(drift_key[6])], str(drift_key[7])
        _judge(
            figures,
            monitor.minimum_sample,
            of_column.thresholds[method][1],
            monitor.drift.get("alpha", 0.05),
        )
        if method == of_column.methods[0] and figures["role"] == "feature":
            dataset = (*drift_key[:6], "(dataset)", "drifted_share", *drift_key[8:])
            features[dataset].append(figures)
    return found | {key: _dataset(judged) for key, judged in features.items()}


def _settings(monitor: Monitor, column: str) -> ColumnSettings:
    shared, own = monitor.drift, monitor.drift.get("columns", {}).get(column, {})
    is_numerical = monitor.kinds[column] == "numerical"
    return ColumnSettings(
        methods=[
            method
            for method in own.get("methods", shared.get("methods", THRESHOLDS))
            if is_numerical or method not in OF_NUMBERS
        ],
        thresholds={
            **THRESHOLDS,
            **shared.get("thresholds", {}),
            **own.get("thresholds", {}),
        },
    )


def _dataset(features: Sequence[Figures]) -> Figures:
    figures: Figures = {
        "window_end": features[0]["window_end"],
        "role": "dataset",
        "threshold": 0.5,
        "p_value": None,
        "p_value_adjusted": None,
        "noise_floor": None,
        "is_headline": False,
        **{
            name: max(feature[name] for feature in features)
            for name in ("sample_count", "baseline_sample_count")
        },
    }
    verdicts = [feature.get("is_drifted", UNKNOWN) for feature in features]
    if UNKNOWN in verdicts:
        return figures
    computed = [verdict for verdict in verdicts if verdict is not None]
    if not computed:
        return figures | {
            "score": None,
            "is_drifted": None,
            "status": "not_computable",
        }
    share = sum(computed) / len(computed)
    return figures | {
        "score": share,
        "is_drifted": share >= 0.5,
        "status": "warning" if share >= 0.5 else "ok",
    }


def compared_rows(
    monitor: Monitor,
    by_window: Mapping[Window, list[Row]],
    key: Window,
    compared_to: str,
) -> list[Row]:
    """The rows that a window is compared with."""
    if compared_to == "baseline":
        rows = monitor.baseline_of(monitor.baseline_version(key[1]))
        return [row for row in rows if key[2:4] in segments_of(monitor, row)]
    delay = GRAINS[key[4]] if compared_to == "previous" else timedelta(weeks=1)
    return by_window.get((*key[:5], key[5] - delay), [])


class ColumnBins:
    """The bins of a column, frozen with the baseline of the reference version."""

    def __init__(self, monitor: Monitor, column: str) -> None:
        self.column = column
        self.is_numerical = monitor.kinds[column] == "numerical"
        reference = monitor.baseline_of(monitor.reference_version)
        values = [row.values[column] for row in reference]
        self.edges = _edges(usable(values)) if self.is_numerical else np.array([])
        self.bin = _bins(monitor, column, values)

    def values(self, rows: Sequence[Row]) -> list[Value]:
        """A label that is not there yet says nothing of the labels."""
        values = [row.values[self.column] for row in rows]
        if self.column == "actual":
            return [value for value in values if value is not None]
        return values


def _edges(known: Array) -> Array:
    """Lower edges of the fifty quantile bins, and the maximum at the end."""
    if not len(known):
        return known
    distinct, counts = np.unique(known, return_counts=True)
    if len(distinct) > 50:
        below = np.cumsum(counts) - counts
        firsts = [-(-k * len(known) // 50) for k in range(50)]
        places = np.searchsorted(below, firsts)
        distinct_edges = distinct[np.unique(places[places < len(distinct)])]
    else:
        distinct_edges = distinct
    return np.append(distinct_edges, known.max())


def _bins(monitor: Monitor, column: str, reference: Sequence[Value]) -> Binned:
    """Puts a value into one of the bins whose shares are compared."""
    if monitor.kinds[column] == "categorical":
        seen = {row.values[column] for row in monitor.baseline}
        counts = Counter(value for value in reference if isinstance(value, str))
        ranked = sorted(counts, key=lambda value: (-counts[value], value.encode()))
        own = set(ranked[:50])

        def category(value: Value) -> object:
            if value is None:
                return "null"
            if value in own:
                return ("category", value)
            return "other" if value in seen else "unseen"

        return category

    edges = _tenths(usable(reference))

    def tenth(value: Value) -> object:
        if value is None:
            return "null"
        found = usable([value])
        return (
            int(np.searchsorted(edges, found[0], "right")) if len(found) else "invalid"
        )

    return tenth


def _tenths(known: Array) -> Array:
    """The inner edges of ten bins with equal shares of the baseline, ends open."""
    distinct = np.unique(known)
    if len(distinct) == len(known) > 100:
        # No ties: simply the deciles.
        return np.sort(known)[[-(-k * len(known) // 10) for k in range(1, 10)]]
    if not len(known):
        return known
    # Ties: neighbouring bins whose middle lies in the same tenth of the baseline. Below
    # the minimum is the first tenth, above the maximum the last.
    edges = _edges(known)
    lower, maximum = edges[:-1], edges[-1]
    places = tenths(known, edges)
    edges_of_tenths = [] if places[0] == 0 else [lower[0]]
    edges_of_tenths += list(lower[1:][np.diff(places) > 0])
    if places[-1] < 9:
        edges_of_tenths.append(np.nextafter(maximum, np.inf))
    return np.array(edges_of_tenths)


def tenths(known: Array, edges: Array) -> Array:
    """The tenth of the baseline that the middle of each of the fifty bins lies in."""
    starts = np.searchsorted(np.sort(known), edges[:-1], "left")
    middles = (starts + np.append(starts[1:], len(known))) / 2
    found: Array = np.floor(10 * middles / len(known))
    return found


def distances(
    values: Sequence[Value], known: Sequence[Value], bins: ColumnBins
) -> dict[str, Measured]:
    """What every method says of two sets of values."""
    measured = share_distances(values, known, bins.bin)
    if bins.is_numerical:
        measured |= _number_distances(values, known, bins.edges)
    return measured


def share_distances(
    values: Sequence[Value], known: Sequence[Value], binned: Binned
) -> dict[str, Measured]:
    """The methods that compare shares, once of the values, once of their presence."""
    counts = {"sample_count": len(values), "baseline_sample_count": len(known)}
    if not known:
        nothing = Measured(score=None, **counts)
        return {method: nothing for method in THRESHOLDS if method not in OF_NUMBERS}
    found, known_found = Counter(map(binned, values)), Counter(map(binned, known))
    parts = []
    missing = ("null", "invalid")
    names = sorted({*found, *known_found} - {*missing}, key=str)
    of_values = [[side[name] for name in names] for side in (found, known_found)]
    if all(sum(side) for side in of_values):
        parts.append(_compared(*of_values))
    presence = [
        [sum(side), *(counter[name] for name in missing)]
        for side, counter in zip(of_values, (found, known_found), strict=True)
    ]
    filled = np.array(presence)[:, np.sum(presence, axis=0) > 0]
    parts.append(_compared(*filled.tolist()))
    measured = {}
    for method in parts[0]:
        if method == "chi_squared_test":
            continue
        # That which is above its noise floor; of two such, or none, the greater.
        score, noise = max(
            (part[method] for part in parts),
            key=lambda one: (one[1] is not None and one[0] > one[1], one[0]),
        )
        p_value = None
        if method == "chi_squared":
            tests = np.array([part["chi_squared_test"] for part in parts], dtype=float)
            statistic, degrees = tests.sum(axis=0)
            p_value = float(stats.chi2.sf(statistic, degrees)) if degrees else 1.0
        measured[method] = Measured(
            score=_rooted(method, score),
            noise_floor=noise,
            p_value=p_value,
            **counts,
        )
    return measured


def _compared(
    found: Sequence[int], known: Sequence[int]
) -> dict[str, tuple[float, float | None]]:
    """Score and exact noise floor of each method that compares shares."""
    counts, known_counts = np.array(found), np.array(known)
    size, known_size, bins = counts.sum(), known_counts.sum(), len(counts)
    share, known_share = counts / size, known_counts / known_size
    # Half a row is added to each count where a logarithm or a root follows.
    smooth = (counts + 0.5) / (size + bins / 2)
    known_smooth = (known_counts + 0.5) / (known_size + bins / 2)
    degrees = max(bins - 1, 1)
    spread = 1 / size + 1 / known_size
    tail = stats.chi2.ppf(0.99, degrees) * (
        1 / (size + bins / 2) + 1 / (known_size + bins / 2)
    )
    common = (counts + known_counts) / (size + known_size)
    deviations = np.sqrt(spread * common * (1 - common))
    test = (0.0, 0.0)
    if bins > 1:
        outcome = stats.chi2_contingency([counts, known_counts], correction=False)
        test = (float(outcome.statistic), float(outcome.dof))
    cramer = math.sqrt(test[0] / (size + known_size))
    return {
        "psi": (
            float(np.sum((smooth - known_smooth) * np.log(smooth / known_smooth))),
            tail,
        ),
        "jensen_shannon": (
            float(np.nan_to_num(jensenshannon(smooth, known_smooth, base=2))),
            math.sqrt(tail / 8 / math.log(2)),
        ),
        "hellinger": (
            float(euclidean(np.sqrt(smooth), np.sqrt(known_smooth))) / math.sqrt(2),
            math.sqrt(tail / 8),
        ),
        "total_variation": (
            float(cityblock(share, known_share)) / 2,
            # The expected sum of half-normal differences, and what the one of two bins
            # needs to reach 99 %.
            float(deviations.sum()) / math.sqrt(2 * math.pi)
            + 0.8891 * math.sqrt(spread),
        ),
        "l_infinity": (
            float(chebyshev(share, known_share)),
            math.sqrt(2 * math.log(32 * degrees)) * float(deviations.max()),
        ),
        "chi_squared": (cramer, None),
        "chi_squared_test": test,
    }


def _rooted(method: str, score: float) -> Score:
    if score < 1e-4 and method in ("jensen_shannon", "chi_squared"):
        # A square root: what is 1e-17 off in the divergence is 3e-9 in the distance.
        return Between(lower=score - 1e-8, upper=score + 1e-8)
    return score


def _number_distances(
    values: Sequence[Value], known: Sequence[Value], edges: Array
) -> dict[str, Measured]:
    found, reference = usable(values), usable(known)
    counts = {
        "sample_count": len(found),
        "baseline_sample_count": len(reference),
    }
    nothing = Measured(score=None, **counts)
    measured = dict.fromkeys(OF_NUMBERS, nothing)
    if not len(found) or not len(reference):
        return measured
    # A bin below the minimum and one above the maximum.
    places = (np.searchsorted(edges[:-1], side, "right") for side in (found, reference))
    left, right = (
        np.where(side > edges[-1], len(edges), place) if len(edges) else place
        for side, place in zip((found, reference), places, strict=True)
    )
    ks = float(stats.ks_2samp(left, right, method="asymp").statistic)
    assert_ks_within_bound(found, reference, left, right, ks)
    spread = 1 / len(found) + 1 / len(reference)
    tail = stats.kstwobign.ppf(0.99) * math.sqrt(spread)
    measured["ks"] = Measured(
        score=ks,
        p_value=float(kolmogorov(ks / math.sqrt(spread))),
        noise_floor=Between(lower=tail * 0.9999, upper=tail * 1.0001),
        **counts,
    )
    found, reference = numbers(values), numbers(known)
    deviation, slack = _deviation(reference)
    if not deviation:
        return measured
    measured["wasserstein"] = _wasserstein(
        edges, (left, right), (found, reference), deviation, slack, counts
    )
    if len(found) > 1:
        measured["mean_shift"] = _welch(found, reference, deviation, slack, counts)
    return measured


def _deviation(values: Array) -> tuple[float, float]:
    """The standard deviation, and how much of it doubles may lose, as a share."""
    if len(values) < 2 or (values == values[0]).all():
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    exact = math.sqrt(math.fsum((values - mean) ** 2) / (len(values) - 1))
    if exact <= 1e-10 * abs(mean):
        # What the rounding of equal numbers leaves.
        return 0.0, 0.0
    return exact, 1e-9 + 8 * _rounding(values) / exact


def _rounding(values: Array) -> float:
    return float(np.finfo(float).eps * math.sqrt(len(values)) * np.abs(values).max())


def _within(exact: float, slack: float) -> Between:
    return Between(lower=exact - slack, upper=exact + slack)


def _wasserstein(
    edges: Array,
    places: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    sides: tuple[Array, Array],
    deviation: float,
    slack: float,
    counts: Mapping[str, int],
) -> Measured:
    # A value stands at the lower end of its bin; outside, at an end of the range.
    positions = np.append(edges[0], edges)
    positions = np.where(np.abs(positions) < 1e-100, 0, positions)
    left, right = (positions[place] for place in places)
    scale = edges[-1] - edges[0]
    if not scale:
        distance = 0.0
    else:
        distance = scale * stats.wasserstein_distance(
            (left - edges[0]) / scale, (right - edges[0]) / scale
        )
    assert_wasserstein_within_bound(edges, sides, places, distance)
    bins = sorted({*left.tolist(), *right.tolist()})
    both = np.append(left, right)
    up_to = np.array([(both <= position).mean() for position in bins[:-1]])
    spread = math.sqrt(1 / len(left) + 1 / len(right))
    rises = float(np.sum(np.sqrt(up_to * (1 - up_to)) * np.diff(bins)))
    noise = spread * (math.sqrt(2 / math.pi) * rises / deviation + 1.7781)
    score = float(distance) / deviation
    return Measured(
        score=_within(score, score * slack + 1e-12),
        noise_floor=_within(noise, noise * slack + 1e-9 * noise),
        **counts,
    )


def assert_wasserstein_within_bound(
    edges: Array,
    sides: tuple[Array, Array],
    places: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    binned: float,
) -> None:
    """Moving every value to the end of its bin costs its share times the width."""
    scale = edges[-1] - edges[0]
    if not scale or not np.isfinite(scale):
        return
    clipped = [
        (np.clip(side, edges[0], edges[-1]) - edges[0]) / scale for side in sides
    ]
    exact = scale * float(stats.wasserstein_distance(*clipped))
    widths = np.concatenate([[0], np.diff(edges), [0]])
    bound = sum(float(widths[place].mean()) for place in places)
    assert abs(binned - exact) <= bound + 1e-9 * scale


def _welch(
    found: Array,
    reference: Array,
    deviation: float,
    slack: float,
    counts: Mapping[str, int],
) -> Measured:
    sizes = [len(found), len(reference)]
    means = [math.fsum(side) / len(side) for side in (found, reference)]
    deviations = [_deviation(side)[0] for side in (found, reference)]
    # Scaled, so that no power is out of a double's range.
    scale = max(deviations)
    lost = 8 * (_rounding(found) + _rounding(reference))
    difference = abs(means[0] - means[1])
    with np.errstate(all="ignore"):
        p_values = [
            float(
                stats.ttest_ind_from_stats(
                    max(0.0, difference + sign * (lost + slack * difference)) / scale,
                    deviations[0] / scale,
                    sizes[0],
                    0.0,
                    deviations[1] / scale,
                    sizes[1],
                    equal_var=False,
                ).pvalue
            )
            for sign in (1, -1)
        ]
    low, high = (0.0 if math.isnan(p_value) else p_value for p_value in p_values)
    return Measured(
        score=_within(
            difference / deviation, (difference * slack + lost) / deviation + 1e-12
        ),
        p_value=Between(
            lower=low * (1 - 1e-7) - 1e-12, upper=high * (1 + 1e-7) + 1e-12
        ),
        noise_floor=2.5758 * math.sqrt(1 / len(found) + 1 / len(reference)),
        **counts,
    )


def assert_ks_within_bound(
    values: Array,
    known: Array,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    binned: float,
) -> None:
    """Within a bin, one function can lead the other by no more than at its ends."""
    exact = float(stats.ks_2samp(values, known, method="asymp").statistic)
    last = int(max(left.max(), right.max()))
    lower = np.array([(left <= place).mean() for place in range(-1, last + 1)])
    upper = np.array([(right <= place).mean() for place in range(-1, last + 1)])
    bound = max((lower[1:] - upper[:-1]).max(), (upper[1:] - lower[:-1]).max())
    assert binned - 1e-12 <= exact <= bound + 1e-12


def _adjust_p_values(
    found: Mapping[tuple[object, ...], Figures], minimum_sample: int
) -> None:
    """By Benjamini and Hochberg, over columns, segments and windows of a period."""
    families: dict[tuple[object, ...], list[Figures]] = defaultdict(list)
    for key, figures in found.items():
        figures["p_value_adjusted"] = None
        is_computable = _is_computable(figures, minimum_sample)
        if figures["p_value"] is None or not is_computable:
            continue
        grain, start = key[4], cast(datetime, key[5])
        period = start.date() if grain == "hour" else start.isocalendar()[:2]
        families[(*key[:2], grain, period, *key[7:9])].append(figures)
    for family in families.values():
        bounds = np.array([_bounds(figures["p_value"]) for figures in family]).T
        lower, upper = (
            stats.false_discovery_control(np.clip(side, 0, 1)) for side in bounds
        )
        for figures, low, high in zip(family, lower, upper, strict=True):
            figures["p_value_adjusted"] = (
                Between(lower=low - 1e-12, upper=high + 1e-12)
                if isinstance(figures["p_value"], Between)
                else float(low)
            )


def _bounds(value: float | Between) -> tuple[float, float]:
    if isinstance(value, Between):
        return value.lower, value.upper
    return value, value


def _is_computable(figures: Figures, minimum_sample: int) -> bool:
    return figures["score"] is not None and (
        min(figures["sample_count"], figures["baseline_sample_count"]) >= minimum_sample
    )


def _judge(
    figures: Figures, minimum_sample: int, critical: float, alpha: float
) -> None:
    if not _is_computable(figures, minimum_sample):
        figures |= {"is_drifted": None, "status": "not_computable"}
        return
    low, high = _bounds(figures["score"])
    limits = [(figures["threshold"], figures["threshold"])]
    if figures["noise_floor"] is not None:
        limits.append(_bounds(figures["noise_floor"]))
    is_below = any(high <= limit_low for limit_low, _ in limits)
    is_above = all(low > limit_high for _, limit_high in limits)
    if figures["p_value_adjusted"] is not None:
        p_low, p_high = _bounds(figures["p_value_adjusted"])
        is_below = is_below or p_low >= alpha
        is_above = is_above and p_high < alpha
    if is_below:
        figures |= {"is_drifted": False, "status": "ok"}
    elif is_above:
        figures["is_drifted"] = True
        if low > critical or high <= critical:
            figures["status"] = "critical" if low > critical else "warning"
