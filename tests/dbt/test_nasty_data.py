"""Whatever a log holds, the build goes through and the figures are right."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from tests.dbt.conftest import MODELS_ONLY, DbtOfBlocks
from tests.dbt.marts import KEYS, assert_same_marts, read_mart, read_marts
from tests.dbt.nasty_log import (
    CROWDED_DAY,
    DAYS,
    LEAP_DAY,
    SHIFTED_DAY,
    nasty_blocks,
    write_nasty_log,
)
from tests.dbt.recomputed import MARTS, differences, recompute
from tests.dbt.test_alerts import assert_evaluations

FreshDatabase = Callable[[], AbstractContextManager[ConnectionSettings]]
VARIABLES = {"monitors": nasty_blocks()}


@pytest.fixture(scope="module")
def nasty_log(
    fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConnectionSettings]:
    """The nasty log with its marts, and all data tests passed."""
    with fresh_database() as settings:
        with warehouse.connect(settings) as connection:
            write_nasty_log(connection)
        dbt = DbtOfBlocks(settings, target_path=tmp_path_factory.mktemp("nasty"))
        dbt.build(variables=VARIABLES)
        yield settings


@pytest.mark.parametrize("mart", MARTS)
def test_figures_of_the_nasty_log_are_those_of_the_libraries(
    nasty_log: ConnectionSettings, mart: str
) -> None:
    stored = read_mart(nasty_log, mart)
    found = differences(stored, recompute(nasty_log, nasty_blocks(), mart))
    assert not found, "\n".join([f"{len(found)} differences", *sorted(found)[:20]])


def test_alerts_of_the_nasty_log_are_those_of_plain_python(
    nasty_log: ConnectionSettings,
) -> None:
    monitors = assert_evaluations(nasty_log, nasty_blocks())

    fired = {
        series[0]
        for watched in monitors
        for series, windows in watched.evaluations.items()
        if any(window.severity for window in windows)
    }
    assert fired >= {
        *("far_from_zero", "significant", "errors", "requests"),
        *("baseline_difference_both", "baseline_ratio_both"),
    }


def test_the_session_in_another_time_zone_changes_no_figure(
    nasty_log: ConnectionSettings,
    fresh_database: FreshDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fresh_database() as settings:
        with warehouse.connect(settings) as connection:
            write_nasty_log(connection)
        with monkeypatch.context() as environment:
            environment.setenv("PGTZ", "America/New_York")
            DbtOfBlocks(settings, target_path=tmp_path).build(
                MODELS_ONLY, variables=VARIABLES
            )
        elsewhere = read_marts(settings)

    assert_same_marts(elsewhere, read_marts(nasty_log))


def test_days_are_those_of_utc_and_a_day_without_rows_has_no_window(
    nasty_log: ConnectionSettings,
) -> None:
    days = {
        key[5]
        for key in read_mart(nasty_log, "service_health")
        if key[0] == "flight_delayed" and key[4] == "day"
    }

    leap_day = datetime(2028, 2, 29, tzinfo=UTC)
    assert LEAP_DAY - leap_day == timedelta(days=1, microseconds=-1)
    assert days == {*DAYS, SHIFTED_DAY, leap_day}


def test_a_window_of_one_row_is_judged_by_nobody(
    nasty_log: ConnectionSettings,
) -> None:
    leap_day = datetime(2028, 2, 29, tzinfo=UTC)
    for mart in ("service_health", "data_quality", "drift", "model_performance"):
        statuses = {
            figures["status"]
            for key, figures in read_mart(nasty_log, mart).items()
            if key[0] == "flight_delayed" and key[5] == leap_day
        }
        assert statuses == {"not_computable"}, mart


def test_neither_an_outlier_nor_a_thousand_nulls_hide_a_shift(
    nasty_log: ConnectionSettings,
) -> None:
    drift = read_mart(nasty_log, "drift")

    def found(column: str, method: str) -> dict[str, object]:
        window = ("flight_delayed", "all", "all", "all", "day", SHIFTED_DAY)
        return drift[(*window, column, method, "baseline", "sql")]

    for method in ("psi", "jensen_shannon", "ks"):
        plain = found("shifted", method)
        assert plain["status"] == "critical"
        for column in ("shifted_and_outlier", "shifted_and_nulls"):
            assert found(column, method)["status"] == "critical", (column, method)
        with_outlier = found("shifted_and_outlier", method)["score"]
        assert with_outlier == pytest.approx(plain["score"], rel=0.01)


def test_an_empty_baseline_makes_drift_not_computable_and_nothing_odd(
    nasty_log: ConnectionSettings,
) -> None:
    drift = [
        figures
        for key, figures in read_mart(nasty_log, "drift").items()
        if key[0] == "flight_delay_band" and key[8] == "baseline"
    ]
    of_columns = [figures for figures in drift if figures["role"] != "dataset"]
    assert {figures["reason"] for figures in of_columns} == {"the baseline is empty"}
    assert {figures["status"] for figures in drift} == {"not_computable"}
    assert {figures["score"] for figures in drift} == {None}

    quality = read_mart(nasty_log, "data_quality")
    window = ("flight_delay_band", "all", "all", "all", "day", CROWDED_DAY)
    labels = quality[(*window, "prediction")]
    assert (labels["unseen_count"], labels["status"]) == (0, "ok")
    numbers = quality[(*window, "only")]
    assert (numbers["out_of_range_count"], numbers["invalid_rate"]) == (0, 0.5)


def test_one_class_alone_has_no_ranking_and_no_precision(
    nasty_log: ConnectionSettings,
) -> None:
    performance = read_mart(nasty_log, "model_performance")
    figures = performance[("flight_delayed", "2", "all", "all", "day", DAYS[1])]

    assert figures["accuracy"] == figures["specificity"] == 1
    undefined = ("precision", "recall", "f1", "roc_auc")
    assert {figures[name] for name in undefined} == {None}


def test_a_model_without_a_monitor_is_in_no_mart(
    nasty_log: ConnectionSettings,
) -> None:
    for mart in KEYS:
        monitors = {key[0] for key in read_mart(nasty_log, mart)}
        assert "unknown_model" not in monitors
