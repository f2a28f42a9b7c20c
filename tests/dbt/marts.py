"""What the marts hold, and whether two warehouses hold the same."""

import math
from collections.abc import Mapping

from psycopg import sql
from psycopg.rows import dict_row

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings

# A mart's rows by their key. Sums of floats depend on the order of the rows, so figures
# are compared with this relative tolerance and counts exactly.
Rows = dict[tuple[object, ...], dict[str, object]]
TOLERANCE = 1e-9

KEYS = {
    "service_health": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
    ),
    "status_codes": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "status_code",
    ),
    "burn_rates": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "slo",
        "alert",
    ),
    "data_quality": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "column_name",
    ),
    "model_performance": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
    ),
    "model_performance_by_class": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "class",
    ),
    "calibration": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "score_bin",
    ),
    "fairness": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "compared_to",
        "class",
    ),
    "version_comparison": (
        "monitor",
        "grain",
        "window_start",
        "champion_version",
        "challenger_version",
        "metric",
    ),
    "drift": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "column_name",
        "method",
        "compared_to",
        "engine",
    ),
    "distributions": (
        "monitor",
        "model_version",
        "segment",
        "segment_value",
        "grain",
        "window_start",
        "column_name",
        "bin",
    ),
    "deployments": ("monitor", "model_version", "deployed_at"),
    "monitors": ("monitor",),
    "statuses": ("monitor", "model_version", "family", "grain", "window_start"),
    # No mart, but what all alerts follow from.
    "int_rule_evaluations": (
        "monitor",
        "rule_id",
        "model_version",
        "segment",
        "segment_value",
        "column_name",
        "grain",
        "window_start",
    ),
    "alerts": (
        "monitor",
        "rule_id",
        "model_version",
        "segment",
        "segment_value",
        "column_name",
        "grain",
        "window_start",
    ),
    "incidents": ("monitor", "incident_id"),
    "detection_scorecard": ("monitor", "incident_id"),
    "false_alarms": ("monitor", "week_start", "family"),
}
# These tell the time of reading, not what was read.
VOLATILE = {
    "seconds_since_last_prediction",
    "expected_request_count_since_last",
    "freshness_status",
    "freshness_reason",
}


def read_mart(settings: ConnectionSettings, mart: str) -> Rows:
    """All rows of a mart by key; fails on a key that occurs twice."""
    with (
        warehouse.connect(settings) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        schema = "intermediate" if mart.startswith("int_") else "marts"
        cursor.execute(sql.SQL("select * from {}").format(sql.Identifier(schema, mart)))
        found: Rows = {}
        for row in cursor:
            key = tuple(row[name] for name in KEYS[mart])
            assert key not in found, f"{mart} holds {key} twice"
            found[key] = {
                name: value
                for name, value in row.items()
                if name not in KEYS[mart] and name not in VOLATILE
            }
    return found


def read_marts(settings: ConnectionSettings) -> dict[str, Rows]:
    """All marts."""
    return {mart: read_mart(settings, mart) for mart in KEYS}


def assert_same_marts(actual: Mapping[str, Rows], expected: Mapping[str, Rows]) -> None:
    """Fail with the first differences of each mart."""
    differences: list[str] = []
    for mart, rows in expected.items():
        others = actual[mart]
        differences += [f"{mart}: missing {key}" for key in rows.keys() - others.keys()]
        differences += [f"{mart}: extra {key}" for key in others.keys() - rows.keys()]
        for key in rows.keys() & others.keys():
            differences += [
                f"{mart} {key}: {name} is {others[key][name]!r}, not {value!r}"
                for name, value in rows[key].items()
                if not _same(others[key][name], value)
            ]
    assert not differences, "\n".join(
        [f"{len(differences)} differences", *differences[:20]]
    )


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=1e-12)
    return left == right
