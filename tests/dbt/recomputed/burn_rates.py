"""``burn_rates`` from raw rows."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta

from tests.dbt.recomputed.rows import GRAINS, Figures, Monitor, Row, windows
from tests.dbt.recomputed.service_health import usable_latencies

# The SRE workbook's alerts: threshold, long window, short window.
ALERTS = {
    "page_1h": (14.4, timedelta(hours=1), timedelta(minutes=5)),
    "page_6h": (6, timedelta(hours=6), timedelta(minutes=30)),
    "ticket_3d": (1, timedelta(days=3), timedelta(hours=6)),
}


def burn_rates(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    grain = monitor.grains["traffic"]
    served = sorted(monitor.served, key=lambda row: row.at)
    times = [row.at for row in served]
    for key in windows(monitor, grain, segments=False):
        if key[4] != grain:
            continue
        end = key[5] + GRAINS[grain]

        for name, (threshold, long, short) in ALERTS.items():
            for slo in ("availability", "latency"):
                short = max(short, GRAINS[grain])
                looked_at = [
                    [
                        row
                        for row in served[
                            bisect_left(
                                times, end - max(length, GRAINS[grain])
                            ) : bisect_left(times, end)
                        ]
                        if key[1] in ("all", row.version)
                    ]
                    for length in (long, short)
                ]
                figures = _alert(monitor, slo, threshold, *looked_at)
                if GRAINS[grain] > long:
                    figures |= {
                        "long_burn_rate": None,
                        "short_burn_rate": None,
                        "is_burning": None,
                        "status": "not_computable",
                    }
                if figures["status"] == "critical" and name == "ticket_3d":
                    figures["status"] = "warning"
                found[*key, slo, name] = {
                    "window_end": end,
                    "threshold": float(threshold),
                    "long_window_seconds": long.total_seconds(),
                    "short_window_seconds": short.total_seconds(),
                    **figures,
                }
    return found


def _alert(
    monitor: Monitor, slo: str, threshold: float, long: list[Row], short: list[Row]
) -> Figures:
    figures: Figures = {}
    rates: list[float | None] = []
    for name, rows in (("long", long), ("short", short)):
        total, bad, objective = _counts(monitor, slo, rows)
        rates.append(bad / total / (1 - objective) if total else None)
        figures |= {
            "objective": objective,
            f"{name}_request_count": total,
            f"{name}_bad_count": bad,
            f"{name}_burn_rate": rates[-1],
        }
    # SQL's "and": false if either is, whatever the other.
    above = [None if rate is None else rate > threshold for rate in rates]
    burning = False if False in above else None if None in above else True
    too_few = figures["long_request_count"] < monitor.minimum_sample or (
        burning and figures["long_bad_count"] < 10
    )
    figures["is_burning"] = burning
    figures["status"] = (
        "not_computable"
        if burning is None or too_few
        else "critical"
        if burning
        else "ok"
    )
    return figures


def _counts(monitor: Monitor, slo: str, rows: Sequence[Row]) -> tuple[int, int, float]:
    if slo == "availability":
        bad = sum(row.is_error for row in rows)
        return len(rows), bad, monitor.availability_target
    latencies = usable_latencies(rows)
    slow = int((latencies > monitor.latency_target_ms).sum())
    return len(latencies), slow, monitor.latency_target_share
