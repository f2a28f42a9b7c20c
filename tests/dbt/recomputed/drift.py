"""``drift`` from raw rows."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import kolmogorov

from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Between,
    Figures,
    Monitor,
    Value,
    role,
    usable,
    windows,
)

# Scores above which a drifted column is critical, by method.
CRITICAL = {"psi": 0.25, "jensen_shannon": 0.2, "ks": 0.2}


def drift(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key, those of the engine ``sql``."""
    found: dict[tuple[object, ...], Figures] = {}
    reference = monitor.baseline_of(monitor.reference_version)
    by_window = windows(monitor, monitor.grains["columns"], segments=False)
    for column, kind in monitor.kinds.items():
        binned = _bins(monitor, column, [row.values[column] for row in reference])
        for key, rows in by_window.items():
            baseline = monitor.baseline_of(monitor.baseline_version(key[1]))
            values = [row.values[column] for row in rows]
            known = [row.values[column] for row in baseline]
            if column == "actual":
                # A label that is not there yet says nothing of the labels.
                values = [value for value in values if value is not None]
                known = [value for value in known if value is not None]
            if not values:
                continue
            shared: Figures = {
                "window_end": key[5] + GRAINS[key[4]],
                "role": role(column),
            }
            for method, figures in shares_by_bin(values, known, binned):
                found[(*key, column, method, "baseline", "sql")] = shared | figures
            if kind == "numerical":
                edges = _edges(usable(row.values[column] for row in reference))
                found[(*key, column, "ks", "baseline", "sql")] = shared | _ks(
                    usable(values), usable(known), edges
                )
    for drift_key, figures in found.items():
        _judge(figures, monitor.minimum_sample, CRITICAL[str(drift_key[7])])
    return found


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


def _bins(
    monitor: Monitor, column: str, reference: Sequence[Value]
) -> Callable[[Value], object]:
    """Puts a value into one of the bins that psi and jensen_shannon compare."""
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
    starts = np.searchsorted(np.sort(known), lower, "left")
    middles = (starts + np.append(starts[1:], len(known))) / 2
    tenths = np.floor(10 * middles / len(known))
    edges_of_tenths = [] if tenths[0] == 0 else [lower[0]]
    edges_of_tenths += list(lower[1:][np.diff(tenths) > 0])
    if tenths[-1] < 9:
        edges_of_tenths.append(np.nextafter(maximum, np.inf))
    return np.array(edges_of_tenths)


def shares_by_bin(
    values: Sequence[Value],
    known: Sequence[Value],
    binned: Callable[[Value], object],
) -> Iterator[tuple[str, Figures]]:
    counts, known_counts = Counter(map(binned, values)), Counter(map(binned, known))
    bins = sorted({*counts, *known_counts}, key=str)
    shared: Figures = {
        "sample_count": len(values),
        "baseline_sample_count": len(known),
        "p_value": None,
        "threshold": 0.1,
    }
    if not known:
        for method in ("psi", "jensen_shannon"):
            yield method, {**shared, "score": None, "noise_floor": None}
        return
    # Half a row is added to each count.
    added = len(bins) / 2
    share = np.array([counts[name] + 0.5 for name in bins]) / (len(values) + added)
    known_share = np.array([known_counts[name] + 0.5 for name in bins]) / (
        len(known) + added
    )
    degrees = max(len(bins) - 1, 1)
    tail = stats.chi2.ppf(0.99, degrees) * (1 / len(values) + 1 / len(known))
    slack = 0.01 if degrees > 1 else 0.05

    def noise(exact: float, slack: float) -> Between:
        return Between(lower=exact * (1 - slack), upper=exact * (1 + slack))

    psi = np.sum((share - known_share) * np.log(share / known_share))
    yield "psi", {**shared, "score": float(psi), "noise_floor": noise(tail, slack)}
    distance = float(np.nan_to_num(jensenshannon(share, known_share, base=2)))
    figures = {
        **shared,
        "score": distance,
        "noise_floor": noise(math.sqrt(tail / 8 / math.log(2)), slack),
    }
    if distance < 1e-4:
        # A square root: what is 1e-17 off in the divergence is 3e-9 in the distance.
        figures["score"] = Between(lower=distance - 1e-8, upper=distance + 1e-8)
    yield "jensen_shannon", figures


def _ks(values: Array, known: Array, edges: Array) -> Figures:
    figures: Figures = {
        "sample_count": len(values),
        "baseline_sample_count": len(known),
        "score": None,
        "p_value": None,
        "noise_floor": None,
        "threshold": 0.1,
    }
    if not len(values) or not len(known):
        return figures
    # A bin below the minimum and one above the maximum.
    places = (np.searchsorted(edges[:-1], side, "right") for side in (values, known))
    left, right = (
        np.where(side > edges[-1], len(edges), place) if len(edges) else place
        for side, place in zip((values, known), places, strict=True)
    )
    statistic = float(stats.ks_2samp(left, right, method="asymp").statistic)
    assert_ks_within_bound(values, known, left, right, statistic)
    spread = 1 / len(values) + 1 / len(known)
    return figures | {
        "score": statistic,
        "p_value": float(kolmogorov(statistic / math.sqrt(spread))),
        "noise_floor": Between(
            lower=stats.kstwobign.ppf(0.99) * math.sqrt(spread) * 0.9999,
            upper=stats.kstwobign.ppf(0.99) * math.sqrt(spread) * 1.0001,
        ),
    }


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


def _judge(figures: Figures, minimum_sample: int, critical: float) -> None:
    if min(figures["sample_count"], figures["baseline_sample_count"]) < minimum_sample:
        figures |= {"is_drifted": None, "status": "not_computable"}
        return
    noise_floor, score = figures["noise_floor"], figures["score"]
    if isinstance(score, Between) or noise_floor.lower < score <= noise_floor.upper:
        return
    if score <= figures["threshold"] or score <= noise_floor.lower:
        figures |= {"is_drifted": False, "status": "ok"}
    else:
        status = "critical" if score > critical else "warning"
        figures |= {"is_drifted": True, "status": status}
