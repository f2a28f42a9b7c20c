"""``status_codes`` from raw rows."""

from collections import Counter

from tests.dbt.recomputed.rows import GRAINS, Figures, Monitor, windows


def status_codes(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["traffic"], segments=True)
    for key, rows in by_window.items():
        for code, count in Counter(row.status_code for row in rows).items():
            failed = [row for row in rows if row.status_code == code and row.is_error]
            found[*key, "(none)" if code is None else str(code)] = {
                "window_end": key[5] + GRAINS[key[4]],
                "error_class": _class(code),
                "request_count": count,
                "error_count": len(failed),
                "share": count / len(rows),
            }
    return found


def _class(code: int | None) -> str:
    if code is None:
        return "(none)"
    return f"{code // 100}xx" if 200 <= code < 600 else "other"
