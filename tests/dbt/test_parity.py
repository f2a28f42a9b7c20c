"""Every figure of the marts is what other libraries find in the raw rows."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from orchestration.warehouse import ConnectionSettings
from tests.dbt.big_log import Blocks, big_blocks, project_blocks
from tests.dbt.marts import read_mart
from tests.dbt.recomputed import MARTS, differences, recompute
from tests.dbt.recomputed.drift import share_distances


def assert_parity(settings: ConnectionSettings, blocks: Blocks, mart: str) -> None:
    stored = read_mart(settings, mart)
    found = differences(stored, recompute(settings, blocks, mart))
    assert not found, "\n".join([f"{len(found)} differences", *sorted(found)[:20]])


@pytest.mark.parametrize("mart", MARTS)
def test_figures_of_the_small_log_are_those_of_the_libraries(
    built_log: ConnectionSettings, mart: str
) -> None:
    assert_parity(built_log, project_blocks(), mart)


@pytest.mark.parametrize("mart", MARTS)
def test_figures_of_versions_segments_and_ties_are_those_of_the_libraries(
    big_log: ConnectionSettings, mart: str
) -> None:
    assert_parity(big_log, big_blocks(), mart)


@pytest.mark.parametrize(
    ("category_count", "row_count"), [(10, 60), (50, 100), (20, 300)]
)
def test_windows_without_drift_stay_below_the_noise_floor(
    category_count: int, row_count: int
) -> None:
    """By the formulas that the marts were just found equal to."""
    generator = np.random.default_rng(7)
    weights = 1 / np.arange(1, category_count + 1)
    weights /= weights.sum()
    above: Counter[str] = Counter()
    for _ in range(400):
        window = generator.choice(category_count, row_count, p=weights).tolist()
        baseline = generator.choice(category_count, 3000, p=weights).tolist()
        for method, figures in share_distances(window, baseline, str).items():
            score, noise = figures.score, figures.noise_floor
            if isinstance(score, float) and isinstance(noise, float):
                above[method] += score > noise

    # One in a hundred of 400, give or take.
    assert max(above.values()) <= 11


@pytest.mark.parametrize(("row_count", "known_count"), [(1000, 1000), (6000, 3000)])
@pytest.mark.parametrize(
    ("method", "test", "unit"),
    [
        ("psi", "psi", 1),
        ("hellinger", "hellinger", 1),
        # To base e.
        ("jensen_shannon", "jensenshannon", math.sqrt(math.log(2))),
    ],
)
def test_distances_of_categories_are_those_of_evidently_but_for_the_smoothing(
    method: str, test: str, unit: float, row_count: int, known_count: int
) -> None:
    """By the formulas that the marts were just found equal to."""
    from evidently.legacy.calculations.stattests import (
        get_stattest,
    )
    from evidently.legacy.core import ColumnType

    generator = np.random.default_rng(7)
    known_weights = 1 / np.arange(1, 9)
    weights = known_weights * np.exp(0.5 * generator.normal(size=8))
    values, known = (
        [f"c{place}" for place in generator.choice(8, count, p=shares / shares.sum())]
        for shares, count in ((weights, row_count), (known_weights, known_count))
    )
    series = pd.Series(known), pd.Series(values)
    theirs = get_stattest(*series, ColumnType.Categorical, test)(
        *series, ColumnType.Categorical, None
    )

    score = share_distances(values, known, str)[method].score
    of_order = 8 / row_count + 8 / known_count
    assert score == pytest.approx(float(theirs.drift_score) / unit, rel=of_order)
