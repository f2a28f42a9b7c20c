"""The rows of the benchmark: the same for a seed, and as nasty as they say."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.generate import (
    CATEGORIES,
    FEATURES,
    NUMBERS,
    Log,
    baseline_log,
    concatenated,
    day_of_log,
    joined,
)
from benchmarks.project import MONITOR
from benchmarks.tables import (
    write_baseline_lines,
    write_label_lines,
    write_prediction_lines,
)
from simulator.records import parse_baseline, parse_label, parse_prediction

DAY = date(2025, 11, 3)


@pytest.fixture(scope="module")
def log() -> Log:
    return day_of_log(7, DAY, 20_000, first_version_until=DAY)


def test_the_same_seed_and_day_give_the_same_rows(log: Log) -> None:
    again = day_of_log(7, DAY, 20_000, first_version_until=DAY)
    other = day_of_log(8, DAY, 20_000, first_version_until=DAY)

    pd.testing.assert_frame_equal(again.predictions, log.predictions)
    pd.testing.assert_frame_equal(again.labels, log.labels)
    assert not other.predictions["velocity"].equals(log.predictions["velocity"])


def test_days_share_no_row_and_stay_within_themselves(log: Log) -> None:
    next_day = day_of_log(7, date(2025, 11, 4), 1_000, first_version_until=DAY)
    both = concatenated([log, next_day]).predictions

    assert both["id"].is_unique
    assert set(log.predictions["predicted_at"].dt.date) == {DAY}
    assert both["predicted_at"].is_monotonic_increasing


def test_nulls_and_invalid_values_are_as_rare_as_described(log: Log) -> None:
    for name, number in NUMBERS.items():
        values = log.predictions[name]
        assert values.isna().mean() == pytest.approx(number.null_rate, abs=0.005)
        assert np.isinf(values).mean() == pytest.approx(number.invalid_rate, abs=0.002)
    for name, category in CATEGORIES.items():
        values = log.predictions[name]
        assert values.isna().mean() == pytest.approx(category.null_rate, abs=0.005)
        assert values.nunique() <= category.size


def test_four_predictions_of_five_get_a_label(log: Log) -> None:
    assert len(log.labels) / len(log.predictions) == pytest.approx(0.8, abs=0.02)
    assert len(baseline_log(7, 100, day=DAY).labels) == 100


def test_other_tools_get_no_infinite_number(log: Log) -> None:
    frame = joined(log)

    assert not np.isinf(frame[list(NUMBERS)]).any(axis=None)
    assert frame["actual"].notna().sum() == len(log.labels)


def test_the_loader_takes_every_line(log: Log, tmp_path: Path) -> None:
    few = Log(predictions=log.predictions.head(2000), labels=log.labels.head(1000))
    validated = baseline_log(7, 500, day=DAY)
    path = tmp_path / "lines"

    write_prediction_lines(few, path)
    predictions = [parse_prediction(line) for line in path.read_bytes().splitlines()]
    write_label_lines(few, path)
    labels = [parse_label(line) for line in path.read_bytes().splitlines()]
    write_baseline_lines(validated, path)
    baseline = [parse_baseline(line) for line in path.read_bytes().splitlines()]

    assert (len(predictions), len(labels), len(baseline)) == (2000, 1000, 500)
    assert [row.prediction_id for row in predictions] == [
        str(identifier) for identifier in few.predictions["id"]
    ]
    assert any('"amount":"n/a"' in row.features for row in predictions)
    assert all(row.actual is not None for row in baseline)


def test_the_monitor_watches_twenty_features() -> None:
    assert MONITOR["features"] == FEATURES
    assert len(FEATURES) == 20
