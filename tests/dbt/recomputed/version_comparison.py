"""``version_comparison`` from raw rows."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from scipy import stats
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
)

from tests.dbt.recomputed.model_performance import quality
from tests.dbt.recomputed.rows import (
    GRAINS,
    Between,
    Figures,
    Monitor,
    Row,
    about,
    numbers,
    windows,
)


def version_comparison(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the view by key."""
    found: dict[tuple[object, ...], Figures] = {}
    traffic = windows(monitor, monitor.grains["traffic"], segments=False)
    first: dict[str, tuple[datetime, int, str]] = {}
    for row in monitor.served:
        start = row.at.replace(hour=0, minute=0, second=0, microsecond=0)
        version = row.version
        earlier, count, _ = first.get(version, (start, 0, version))
        first[version] = (min(earlier, start), count - 1, version)
    served: dict[tuple[str, datetime], dict[str, list[Row]]] = defaultdict(dict)
    for key, rows in traffic.items():
        if key[4] in ("day", "week") and key[1] != "all":
            served[key[4], key[5]][key[1]] = rows
    for (grain, start), versions in served.items():
        champion = min(versions, key=first.__getitem__)
        for challenger in versions.keys() - {champion}:
            metrics = _compared(monitor, versions[champion], versions[challenger])
            for metric, figures in metrics.items():
                key_of_row = (monitor.name, grain, start, champion, challenger, metric)
                found[key_of_row] = {"window_end": start + GRAINS[grain], **figures}
    return found


def _compared(
    monitor: Monitor, champion: Sequence[Row], challenger: Sequence[Row]
) -> dict[str, Figures]:
    sides = [_measured(monitor, rows) for rows in (champion, challenger)]
    return {
        metric: _difference(monitor, metric, sides[0][metric], sides[1][metric])
        for metric in sides[0]
        if any(side[metric]["value"] is not None for side in sides)
    }


def _measured(monitor: Monitor, rows: Sequence[Row]) -> dict[str, Figures]:
    """Each metric with its ends, and the sample that it rests on."""
    known = quality(monitor, rows)
    pairs = [
        (row.values["prediction"], row.values["actual"])
        for row in rows
        if len(numbers([row.values["prediction"]]))
        == len(numbers([row.values["actual"]]))
        == 1
        or monitor.task != "regression"
    ]
    count = sum(None not in pair for pair in pairs)
    found: dict[str, Figures] = {
        name: {
            "value": known[name],
            "lower": known[f"{name}_lower"],
            "upper": known[f"{name}_upper"],
            "count": count,
        }
        for name in ("accuracy", "f1", "roc_auc", "mae")
    }
    errors = sum(row.is_error for row in rows)
    found["error_rate"] = {
        "value": errors / len(rows),
        "count": len(rows),
        "lower": None,
        "upper": None,
    }
    return found


def _difference(
    monitor: Monitor, metric: str, champion: Figures, challenger: Figures
) -> Figures:
    counts = champion["count"], challenger["count"]
    figures: Figures = {
        "champion_sample_count": counts[0],
        "challenger_sample_count": counts[1],
        "champion_value": champion["value"],
        "challenger_value": challenger["value"],
        "difference": None,
        "difference_lower": None,
        "difference_upper": None,
        "is_better": None,
        "is_worse": None,
        "status": "not_computable",
    }
    if champion["value"] is None or challenger["value"] is None:
        return figures
    difference = challenger["value"] - champion["value"]
    largest = max(champion["value"], challenger["value"])

    def summed(value: float) -> Between:
        return about(value, largest=largest, count=sum(counts))

    figures["difference"] = summed(difference)
    ends = _ends(metric, champion, challenger)
    if ends is None:
        return figures
    figures["difference_lower"], figures["difference_upper"] = map(summed, ends)
    if min(counts) < monitor.minimum_sample:
        return figures
    above, below = ends[0] > 0, ends[1] < 0
    if metric in ("mae", "error_rate"):
        above, below = below, above
    status = "warning" if below else "ok"
    return figures | {"is_better": above, "is_worse": below, "status": status}


def _ends(
    metric: str, champion: Figures, challenger: Figures
) -> tuple[float, float] | None:
    difference = challenger["value"] - champion["value"]
    if metric in ("accuracy", "error_rate"):
        lower, upper = confint_proportions_2indep(
            *(round(challenger["value"] * challenger["count"]), challenger["count"]),
            *(round(champion["value"] * champion["count"]), champion["count"]),
            method="newcomb",
            compare="diff",
        )
        return float(lower), float(upper)
    ends = [_floats(side) for side in (challenger, champion)]
    if None in (*ends[0], *ends[1]):
        return None
    (own_lower, own_upper), (lower, upper) = ends
    if metric == "mae":
        # The half widths are multiples of the standard errors.
        z = stats.norm.ppf(0.975)
        errors = [(side[1] - side[0]) / 2 / z for side in ends]
        half = z * math.hypot(*errors)
        return difference - half, difference + half
    return (
        difference
        - math.hypot(challenger["value"] - own_lower, upper - champion["value"]),
        difference
        + math.hypot(own_upper - challenger["value"], champion["value"] - lower),
    )


def _floats(side: Figures) -> tuple[float, float]:
    """The ends; of those that are only known about, the middle."""
    lower, upper = (
        (end.lower + end.upper) / 2 if isinstance(end, Between) else end
        for end in (side["lower"], side["upper"])
    )
    return lower, upper
