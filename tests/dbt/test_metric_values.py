"""The long view holds every figure of the marts, and nothing else."""

from typing import Any

import pytest

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from tests.dbt.marts import KEYS, read_mart

# What is left out, and why.
LEFT_OUT = {
    "monitors": "is no figure of a window",
    "deployments": "is no figure of a window",
    "statuses": "is a judgement of figures",
    "calibration": "is a curve",
    "version_comparison": "compares versions",
    "distributions": "is a histogram, whose distances are in drift",
    "int_rule_evaluations": "judges figures",
    "alerts": "judges figures",
    "incidents": "joins judgements of figures",
    "detection_scorecard": "judges alerts",
    "false_alarms": "counts alerts",
}
WINDOW = (
    *("monitor", "model_version", "segment", "segment_value"),
    *("grain", "window_start"),
)
COLUMN = {
    "data_quality": ("column_name",),
    "model_performance_by_class": ("class",),
    "fairness": ("class",),
    "status_codes": ("status_code",),
    "burn_rates": ("slo", "alert"),
}


@pytest.fixture(scope="module")
def long_values(built_log: ConnectionSettings) -> dict[str, dict[Any, float]]:
    """The values of the view by family and key."""
    found: dict[str, dict[Any, float]] = {}
    with warehouse.connect(built_log) as connection:
        rows = connection.execute(
            f"select family, {', '.join(WINDOW)}, column_name, metric, value "
            "from marts.metric_values"
        )
        for family, *key, value in rows:
            values = found.setdefault(family, {})
            assert tuple(key) not in values
            values[tuple(key)] = value
    return found


def test_the_families_are_the_marts(
    long_values: dict[str, dict[Any, float]],
) -> None:
    assert long_values.keys() == KEYS.keys() - LEFT_OUT.keys()


@pytest.mark.parametrize("mart", sorted(KEYS.keys() - LEFT_OUT.keys() - {"drift"}))
def test_every_number_of_a_mart_is_a_metric(
    mart: str,
    long_values: dict[str, dict[Any, float]],
    built_log: ConnectionSettings,
) -> None:
    expected = {}
    for key, row in read_mart(built_log, mart).items():
        keys = dict(zip(KEYS[mart], key, strict=True))
        window = tuple(keys[name] for name in WINDOW)
        column = " ".join(str(keys[name]) for name in COLUMN.get(mart, ())) or "all"
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                expected[(*window, column, name)] = float(value)

    assert long_values[mart] == expected


def test_scores_of_drift_are_named_by_method_reference_and_engine(
    long_values: dict[str, dict[Any, float]], built_log: ConnectionSettings
) -> None:
    expected = {}
    for key, row in read_mart(built_log, "drift").items():
        keys = dict(zip(KEYS["drift"], key, strict=True))
        window = tuple(keys[name] for name in WINDOW)
        prefix = "" if keys["engine"] == "sql" else "evidently_"
        reference = keys["compared_to"]
        suffix = "" if reference == "baseline" else f"_{reference}"
        for name, end in (
            ("score", ""),
            ("p_value", "_p_value"),
            ("p_value_adjusted", "_p_value_adjusted"),
        ):
            if row[name] is not None:
                metric = f"{prefix}{keys['method']}{suffix}{end}"
                expected[(*window, keys["column_name"], metric)] = row[name]

    assert long_values["drift"] == expected
