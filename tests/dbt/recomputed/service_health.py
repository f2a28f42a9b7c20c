"""``service_health`` from raw rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.dbt.recomputed.model_performance import wilson
from tests.dbt.recomputed.rows import (
    GRAINS,
    Array,
    Figures,
    Monitor,
    Row,
    Window,
    numbers,
    quantile,
    windows,
    within_one_percent,
)

WEEK = timedelta(weeks=1)
STATUSES = ("not_computable", "ok", "warning", "critical")


def service_health(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    by_window = windows(monitor, monitor.grains["traffic"], segments=True)
    counts = {key: len(rows) for key, rows in by_window.items()}
    ends = _first_and_newest(monitor, counts)
    found: dict[tuple[object, ...], Figures] = {}
    for key, rows in by_window.items():
        whole = (key[0], "all", *key[2:])
        earlier = _earlier_counts(key, counts, ends)
        found[key] = {
            **_of_requests(monitor, rows, GRAINS[key[4]]),
            "window_end": key[5] + GRAINS[key[4]],
            "traffic_share": len(rows) / counts[whole],
            "status": STATUSES[
                max(
                    *_severities(monitor, rows),
                    _severity_of_volume(monitor, key, len(rows), earlier, ends),
                )
            ],
            **_expectation(earlier, len(rows)),
        }
    for key in _silences(monitor, counts, ends):
        found[key] = {
            "window_end": key[5] + GRAINS[key[4]],
            "request_count": 0,
            "error_count": 0,
            "latency_count": 0,
            "rated_count": 0,
            "requests_per_second": 0.0,
            "error_rate": None,
            "apdex": None,
            "latency_p50_ms": None,
            "status": "critical",
            **_expectation(_earlier_counts(key, counts, ends), 0),
        }
    return found


def usable_latencies(rows: Sequence[Row]) -> Array:
    """In milliseconds; negative and unusable ones are left out."""
    latencies = numbers(row.latency_ms for row in rows)
    return latencies[latencies >= 0]


def _of_requests(monitor: Monitor, rows: Sequence[Row], length: timedelta) -> Figures:
    latencies = usable_latencies(rows)
    errors = sum(row.is_error for row in rows)
    slow_rate = None
    if len(latencies):
        slow_rate = (latencies > monitor.latency_target_ms).mean()
    figures: Figures = {
        "request_count": len(rows),
        "error_count": errors,
        "latency_count": len(latencies),
        "error_rate": errors / len(rows),
        "availability": (len(rows) - errors) / len(rows),
        "requests_per_second": len(rows) / length.total_seconds(),
        "latency_mean_ms": latencies.mean() if len(latencies) else None,
        **_apdex(rows, monitor.latency_target_ms),
        "slow_rate": slow_rate,
        "burn_rate_availability": errors
        / len(rows)
        / (1 - monitor.availability_target),
        "burn_rate_latency": None
        if slow_rate is None
        else slow_rate / (1 - monitor.latency_target_share),
    }
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        exact = quantile(latencies, share)
        figures[f"latency_{name}_ms"] = within_one_percent(exact)
    return figures


def _apdex(rows: Sequence[Row], target: float) -> Figures:
    """A sample's points: 1, 1/2 or 0."""
    points = []
    for row in rows:
        latency = usable_latencies([row])
        if row.is_error:
            points.append(0.0)
        elif len(latency):
            points.append(1.0 - np.digitize(latency[0], (target, 4 * target), True) / 2)
    return {
        "rated_count": len(points),
        "apdex": float(np.mean(points)) if points else None,
    }


def _first_and_newest(
    monitor: Monitor, found: Iterable[Window]
) -> tuple[datetime, datetime] | None:
    """The first and the newest window that are not in the future."""
    grain, now = monitor.grains["traffic"], datetime.now(UTC)
    starts = {key[5] for key in found if key[4] == grain and key[5] <= now}
    return (min(starts), max(starts)) if starts else None


def _earlier_counts(
    key: Window,
    counts: Mapping[Window, int],
    ends: tuple[datetime, datetime] | None,
) -> list[int]:
    if key[1] != "all" or ends is None:
        return []
    starts = [key[5] - number * WEEK for number in range(1, 5)]
    return [counts.get((*key[:5], start), 0) for start in starts if start > ends[0]]


def _severities(monitor: Monitor, rows: Sequence[Row]) -> tuple[int, int]:
    """Of failures and of slow requests; 0 where there are too few to tell."""
    latencies = usable_latencies(rows)
    slow = int((latencies > monitor.latency_target_ms).sum())
    return (
        _severity_of_rate(
            sum(row.is_error for row in rows),
            len(rows),
            1 - monitor.availability_target,
            monitor.minimum_sample,
        ),
        _severity_of_rate(
            slow,
            len(latencies),
            1 - monitor.latency_target_share,
            monitor.minimum_sample,
        ),
    )


def _severity_of_rate(bad: int, total: int, budget: float, minimum: int) -> int:
    if total < minimum:
        return 0
    lower = wilson(bad, total)[0] or 0.0
    generous = (1 + budget) / 2
    return 1 + sum(lower > min(times * budget, generous) for times in (5, 20))


def _severity_of_volume(
    monitor: Monitor,
    key: Window,
    count: int,
    earlier: Sequence[int],
    ends: tuple[datetime, datetime] | None,
) -> int:
    """0 unless far from what earlier weeks let expect."""
    if ends is None or len(earlier) < 2 or key[2] != "all":
        return 0
    median = float(np.median(earlier))
    spread = 1.4826 * float(np.median(np.abs(np.array(earlier) - median)))
    variance = max(median, spread**2) * (1 + np.pi / 2 / len(earlier))
    is_over = key[5] + GRAINS[key[4]] <= ends[1]
    if (
        median < monitor.minimum_sample
        or abs(count - median) <= 4 * np.sqrt(variance)
        or (count < median and not is_over)
    ):
        return 0
    if count < 0.1 * median or count > 10 * median:
        return 3
    return 2 if count < 0.5 * median or count > 2 * median else 0


def _expectation(earlier: Sequence[int], count: int) -> Figures:
    expected = float(np.median(earlier)) if earlier else None
    return {
        "expected_request_count": expected,
        "request_count_ratio": count / expected if expected else None,
    }


def _silences(
    monitor: Monitor,
    counts: Mapping[Window, int],
    ends: tuple[datetime, datetime] | None,
) -> list[Window]:
    """Windows over all without a request, though many were expected."""
    if ends is None:
        return []
    candidates = {
        (*key[:5], key[5] + number * WEEK)
        for key in counts
        if key[1:4] == ("all", "all", "all")
        for number in range(1, 5)
    }
    return [
        key
        for key in candidates - counts.keys()
        if _severity_of_volume(
            monitor, key, 0, _earlier_counts(key, counts, ends), ends
        )
    ]
