"""Sketches of distinct values hold what their documentation says."""

import math

import numpy as np
import psycopg
import pytest

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings

DENSITY = 144
BITS = 384 + 2048


def estimates(connection: psycopg.Connection) -> np.ndarray:
    """Estimated numbers of values by number of set bits, from 1 on."""
    rows = connection.execute(
        "select bit_count, distinct_count from intermediate.int_distinct_estimates "
        "order by bit_count"
    ).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    return np.array([row[1] for row in rows])


def test_an_estimate_is_the_number_of_values_expected_to_set_those_bits(
    built_log: ConnectionSettings,
) -> None:
    with warehouse.connect(built_log) as connection:
        found = estimates(connection)
    assert len(found) >= BITS

    chances = np.exp(-np.arange(BITS) / DENSITY) * -math.expm1(-1 / DENSITY)
    # At a hundred million values, the bits that are missing begin to tell.
    for bits in (1, 2, 5, 20, 100, 384, 1000, 1700):
        expected = -np.expm1(-found[bits - 1] * chances).sum()
        assert expected == pytest.approx(bits, rel=1e-3), bits


@pytest.mark.parametrize("count", [1, 10, 100, 1000, 30_000])
def test_the_standard_error_is_at_most_seven_percent(
    built_log: ConnectionSettings, count: int
) -> None:
    generator = np.random.default_rng(count)
    with warehouse.connect(built_log) as connection:
        found = estimates(connection)
    errors = []
    for _ in range(400):
        # Where even hashes put that many values.
        positions = np.floor(-DENSITY * np.log(generator.random(count)))
        bits = len(np.unique(positions[positions < BITS]))
        errors.append(math.log(found[bits - 1] / count))
    deviation = float(np.std(errors))

    # A standard deviation out of 400 draws is itself off by 3.5 %.
    assert deviation <= 0.0694 * 1.11
    assert abs(float(np.mean(errors))) <= 4 * deviation / 20 + 2e-3
