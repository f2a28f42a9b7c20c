"""The long view holds every figure of the marts, on how many rows, and nothing else."""

from collections.abc import Callable, Mapping
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
    "distributions": "is a histogram, whose distances are in drift",
    "int_rule_evaluations": "judges figures",
    "alerts": "judges figures",
    "incidents": "joins judgements of figures",
    "detection_scorecard": "judges alerts",
    "false_alarms": "counts alerts",
}
# Those with a metric for every numeric column.
WHOLE = sorted(KEYS.keys() - LEFT_OUT.keys() - {"drift", "version_comparison"})
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

Row = Mapping[str, Any]
Figure = tuple[float, int | None]


def _names(*names: str, ends: tuple[str, ...] = ("", "_lower", "_upper")) -> set[str]:
    return {name + end for name in names for end in ends}


def _parts(name: str) -> set[str]:
    ends = ("", "_difference", "_difference_lower", "_difference_upper", "_ratio")
    return _names(name, ends=ends)


# What a figure rests on, but for those on the last one of its mart.
SAMPLES: dict[str, list[tuple[set[str], Callable[[Row], object]]]] = {
    "service_health": [
        ({"expected_request_count"}, lambda row: None),
        (
            {"slow_rate", "burn_rate_latency", "latency_mean_ms"}
            | {f"latency_{name}_ms" for name in ("p50", "p95", "p99")},
            lambda row: row["latency_count"],
        ),
        ({"apdex"}, lambda row: row["rated_count"]),
        (
            {"traffic_share"},
            lambda row: round(row["request_count"] / row["traffic_share"]),
        ),
        (set(), lambda row: row["request_count"]),
    ],
    "status_codes": [
        ({"share"}, lambda row: round(row["request_count"] / row["share"])),
        (set(), lambda row: row["request_count"]),
    ],
    "burn_rates": [
        (
            {"short_window_seconds", "short_request_count", "short_bad_count"}
            | {"short_burn_rate"},
            lambda row: row["short_request_count"],
        ),
        (set(), lambda row: row["long_request_count"]),
    ],
    "data_quality": [
        (
            {"mean", "stddev", "minimum", "maximum", "distinct_count"}
            | {"p05", "p25", "median", "p75", "p95"},
            lambda row: row["row_count"] - row["null_count"] - row["invalid_count"],
        ),
        (
            {"missing_count", "missing_rate", "unknown_rate"},
            lambda row: row["checked_count"],
        ),
        (
            set(),
            lambda row: row[
                "checked_count" if row["role"] == "unknown" else "row_count"
            ],
        ),
    ],
    "model_performance": [
        (
            {"prediction_count", "labelled_count", "label_coverage", "outcome_count"}
            | {"scored_outcome_count", "estimated_count", "compared_count"},
            lambda row: row["prediction_count"],
        ),
        (
            {"label_delay_p50_seconds", "label_delay_p95_seconds"},
            lambda row: row["labelled_count"],
        ),
        (_names("precision"), lambda row: row["predicted_positive_count"]),
        (_names("recall"), lambda row: row["positive_count"]),
        ({"specificity"}, lambda row: row["outcome_count"] - row["positive_count"]),
        (
            _names("roc_auc")
            | {"average_precision", "log_loss", "brier_score"}
            | {"expected_calibration_error"},
            lambda row: row["scored_outcome_count"],
        ),
        ({"mape"}, lambda row: row["nonzero_outcome_count"]),
        (
            _names("estimated_accuracy", "estimated_mae")
            | {"estimated_balanced_accuracy", "estimated_precision", "estimated_recall"}
            | {"estimated_specificity", "estimated_f1", "estimated_roc_auc"}
            | {"estimated_rmse"},
            lambda row: row["estimated_count"],
        ),
        (
            _names("realised_minus_estimated_accuracy", "realised_minus_estimated_mae")
            | {
                f"realised_minus_estimated_{name}" for name in ("f1", "roc_auc", "rmse")
            },
            lambda row: row["compared_count"],
        ),
        (set(), lambda row: row["outcome_count"]),
    ],
    "model_performance_by_class": [
        (
            _names("precision") | {"predicted_count"},
            lambda row: row["predicted_count"],
        ),
        (
            _names("f1"),
            lambda row: row["support"] + row["predicted_count"] - row["correct_count"],
        ),
        (set(), lambda row: row["support"]),
    ],
    "fairness": [
        (
            _parts("selection_rate")
            | {"prediction_count", "labelled_count", "group_count"},
            lambda row: row["prediction_count"],
        ),
        (_parts("true_positive_rate"), lambda row: row["positive_count"]),
        (
            _parts("false_positive_rate"),
            lambda row: row["labelled_count"] - row["positive_count"],
        ),
        (
            _parts("positive_predictive_value"),
            lambda row: row["labelled_selected_count"],
        ),
        (set(), lambda row: row["labelled_count"]),
    ],
}


@pytest.fixture(scope="module", params=["built_log", "big_log"])
def log(request: pytest.FixtureRequest) -> ConnectionSettings:
    """A small log, and one of several versions, segments and odd values."""
    settings: ConnectionSettings = request.getfixturevalue(request.param)
    return settings


@pytest.fixture(scope="module")
def long_values(log: ConnectionSettings) -> dict[str, dict[Any, Figure]]:
    """The values of the view with their samples, by family and key."""
    found: dict[str, dict[Any, Figure]] = {}
    with warehouse.connect(log) as connection:
        rows = connection.execute(
            f"select family, {', '.join(WINDOW)}, column_name, metric, value, "
            "sample_count from marts.metric_values"
        )
        for family, *key, value, sample_count in rows:
            values = found.setdefault(family, {})
            assert tuple(key) not in values, (family, key)
            values[tuple(key)] = (value, sample_count)
    return found


def test_the_families_are_the_marts(
    long_values: dict[str, dict[Any, Figure]], big_log: ConnectionSettings
) -> None:
    # In the small log nobody is compared.
    compared = {"fairness", "version_comparison"}
    assert long_values.keys() | compared == KEYS.keys() - LEFT_OUT.keys()


@pytest.mark.parametrize("mart", WHOLE)
def test_every_number_of_a_mart_is_a_metric_with_its_sample(
    mart: str,
    long_values: dict[str, dict[Any, Figure]],
    log: ConnectionSettings,
) -> None:
    expected: dict[Any, Figure] = {}
    for key, row in read_mart(log, mart).items():
        keys = dict(zip(KEYS[mart], key, strict=True))
        window = tuple(keys[name] for name in WINDOW)
        column = " ".join(str(keys[name]) for name in COLUMN.get(mart, ())) or "all"
        suffix = "_each_other" if keys.get("compared_to") == "each other" else ""
        for name, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                expected[(*window, column, name + suffix)] = (
                    float(value),
                    _sample(mart, name, row),
                )

    assert long_values.get(mart, {}) == expected


def _sample(mart: str, name: str, row: Row) -> Any:
    if name.startswith("baseline_"):
        return None
    *special, (_, rest) = SAMPLES[mart]
    return next((count for names, count in special if name in names), rest)(row)


def test_no_rate_stands_without_a_sample(
    long_values: dict[str, dict[Any, Figure]],
) -> None:
    without = {
        (family, key[-1])
        for family, values in long_values.items()
        for key, (_, sample_count) in values.items()
        if not sample_count and "_count" not in key[-1] and key[-1] != "support"
    }
    assert {
        (family, name) for family, name in without if not name.startswith("baseline_")
    } <= {("burn_rates", name) for name in SETTINGS}


# Of an alert, whatever it finds.
SETTINGS = (
    *("objective", "threshold", "long_window_seconds", "short_window_seconds"),
    *("long_burn_rate", "short_burn_rate"),
)


def test_scores_of_drift_are_named_by_method_reference_and_engine(
    long_values: dict[str, dict[Any, Figure]], log: ConnectionSettings
) -> None:
    expected = {}
    for key, row in read_mart(log, "drift").items():
        keys = dict(zip(KEYS["drift"], key, strict=True))
        window = tuple(keys[name] for name in WINDOW)
        prefix = "" if keys["engine"] == "sql" else "evidently_"
        reference = keys["compared_to"]
        suffix = "" if reference == "baseline" else f"_{reference}"
        for name, end in (
            ("score", ""),
            ("p_value", "_p_value"),
            ("p_value_adjusted", "_p_value_adjusted"),
            ("noise_floor", "_noise_floor"),
            ("threshold", "_threshold"),
        ):
            if row[name] is not None:
                metric = f"{prefix}{keys['method']}{suffix}{end}"
                expected[(*window, keys["column_name"], metric)] = (
                    row[name],
                    row["sample_count"],
                )

    assert long_values["drift"] == expected


def test_differences_of_versions_are_the_challengers(
    long_values: dict[str, dict[Any, Figure]], log: ConnectionSettings
) -> None:
    expected = {}
    for key, row in read_mart(log, "version_comparison").items():
        monitor, grain, start, champion, challenger, metric = key
        samples = (row["champion_sample_count"], row["challenger_sample_count"])
        for name in ("difference", "difference_lower", "difference_upper"):
            if row[name] is not None:
                window = (monitor, challenger, "all", "all", grain, start)
                expected[(*window, champion, f"{metric}_{name}")] = (
                    row[name],
                    min(samples),  # type: ignore[type-var]
                )

    assert long_values.get("version_comparison", {}) == expected
