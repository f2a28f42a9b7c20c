"""``service_health`` from raw rows."""

from tests.dbt.recomputed.rows import (
    GRAINS,
    Figures,
    Monitor,
    numbers,
    quantile,
    windows,
    within_one_percent,
)


def service_health(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["traffic"], segments=True)
    for key, rows in by_window.items():
        length = GRAINS[key[4]]
        latencies = numbers(row.latency_ms for row in rows)
        latencies = latencies[latencies >= 0]
        errors = sum(row.is_error for row in rows)
        figures: Figures = {
            "window_end": key[5] + length,
            "request_count": len(rows),
            "error_count": errors,
            "error_rate": errors / len(rows),
            "availability": (len(rows) - errors) / len(rows),
            "requests_per_second": len(rows) / length.total_seconds(),
            "latency_mean_ms": latencies.mean() if len(latencies) else None,
            "slow_rate": (latencies > monitor.latency_target_ms).mean()
            if len(latencies)
            else None,
        }
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            exact = quantile(latencies, share) if key[2] == "all" else None
            figures[f"latency_{name}_ms"] = within_one_percent(exact)
        found[key] = figures
    return found
