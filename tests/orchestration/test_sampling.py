"""Samples are bounded, seeded, uniform and typed."""

from datetime import timedelta

import numpy as np
import psycopg
import pytest
from scipy import stats

from orchestration.evaluation.results import Column
from orchestration.monitors import Relation
from orchestration.sampling import read_sample
from tests.orchestration.conftest import COLUMNS, DAY, SmallWarehouse

PREDICTIONS = Relation(schema="staging", name="predictions")
SCORE = [Column(name="score", role="score", kind="numerical")]


def test_a_small_range_is_read_whole_and_typed(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    small_warehouse.add_predictions(DAY, 300)
    small_warehouse.execute(
        "update staging.predictions set distance = null, carrier = null "
        "where prediction_id like %s",
        "%-7",
    )
    small_warehouse.execute(
        "update staging.predictions set distance = 'NaN' where prediction_id like %s",
        "%-8",
    )

    sample = read_sample(connection, PREDICTIONS, COLUMNS)

    assert sample.row_count == len(sample.frame) == 300
    assert list(sample.frame) == [column.name for column in COLUMNS]
    assert sample.frame["distance"].dtype == np.float64
    assert sample.frame["distance"].isna().sum() == 2
    assert sample.frame["carrier"].isna().sum() == 1
    assert set(sample.frame["carrier"].dropna()) == {"UA", "DL", "it's \"O'Hare\" 🛫"}
    assert sample.read_at.tzinfo is not None


def test_the_range_is_half_open(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    small_warehouse.add_predictions(DAY, 3 * 24 * 60)

    day = read_sample(
        connection,
        PREDICTIONS,
        SCORE,
        start=DAY + timedelta(days=1),
        end=DAY + timedelta(days=2),
    )

    assert day.row_count == 24 * 60


def test_a_sample_is_bounded_and_the_same_rows_for_the_same_seed(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    small_warehouse.add_predictions(DAY, 5000)

    def sampled(seed: int) -> list[float]:
        sample = read_sample(connection, PREDICTIONS, SCORE, limit=500, seed=seed)
        assert sample.row_count == 5000
        return sample.frame["score"].tolist()

    first = sampled(1)
    # Another order of the same rows in the table.
    small_warehouse.execute("update staging.predictions set carrier = 'B6'")
    small_warehouse.execute("vacuum full staging.predictions")

    assert len(first) == 500
    assert sampled(1) == first
    assert sampled(2) != first


def test_a_smaller_sample_is_part_of_a_larger_one(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    small_warehouse.add_predictions(DAY, 3000)
    number = [Column(name="distance", role="feature", kind="numerical")]

    small, large = (
        read_sample(connection, PREDICTIONS, number, limit=limit)
        .frame["distance"]
        .tolist()
        for limit in (100, 1000)
    )

    assert large[:100] == small


def test_every_row_has_the_same_chance(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    small_warehouse.add_predictions(DAY, 4000)
    small_warehouse.execute(
        "update staging.predictions set distance = "
        "extract(epoch from predicted_at - %s)",
        DAY,
    )
    drawn = np.zeros(40)

    for seed in range(40):
        seconds = read_sample(
            connection,
            PREDICTIONS,
            [Column(name="distance", role="feature", kind="numerical")],
            limit=200,
            seed=seed,
        ).frame["distance"]
        drawn += np.histogram(seconds, bins=40, range=(0, 4000 * 60))[0]

    # 8,000 draws over 40 stretches of the day.
    assert drawn.sum() == 8000
    assert stats.chisquare(drawn).pvalue > 0.001


@pytest.mark.parametrize("name", ['x"; drop table staging.predictions; --', "a.b"])
def test_a_hostile_name_is_only_a_missing_relation(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection, name: str
) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        read_sample(connection, Relation(schema="staging", name=name), COLUMNS)
    assert small_warehouse.execute("select count(*) from staging.predictions") == [(0,)]


def test_an_empty_range_is_a_typed_empty_frame(
    small_warehouse: SmallWarehouse, connection: psycopg.Connection
) -> None:
    sample = read_sample(connection, PREDICTIONS, COLUMNS)

    assert sample.row_count == len(sample.frame) == 0
    assert sample.frame["score"].dtype == np.float64


def test_a_limit_below_one_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(ValueError, match="limit must be at least 1"):
        read_sample(connection, PREDICTIONS, COLUMNS, limit=0)
