"""Every figure of the marts is what other libraries find in the raw rows."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import yaml

from orchestration import warehouse
from orchestration.project import PROJECT_DIR, Dbt
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import Rows, read_mart
from tests.dbt.prediction_log import (
    LOADED_AT,
    MODELS,
    START,
    Prediction,
    draw_predictions,
    insert_baseline,
    insert_labels,
    insert_predictions,
)
from tests.dbt.recomputed import MARTS, differences, recompute
from tests.dbt.recomputed.drift import share_distances

Blocks = list[dict[str, Any]]


def with_ties_and_odd_segments(
    generator: np.random.Generator, predictions: list[Prediction]
) -> list[Prediction]:
    """Columns of few values, constants, heavy tails; segments named like the sums."""
    changed = []
    for row in predictions:
        features = dict(row.features)
        features["scheduled_hour"] = int(generator.integers(5, 24))
        features["visibility"] = 10
        features["distance"] = float(np.round(generator.pareto(1.2) * 100))
        features["pressure"] = 1e9 + float(generator.normal())
        features["destination"] = f"airport {generator.zipf(1.3) % 90}"
        if generator.random() < 0.1:
            features["carrier"] = [None, "(null)", "all", ""][generator.integers(4)]
        actual = row.actual
        if row.model_name == "flight_delay":
            # Minutes are whole, and a punctual flight is 0 late.
            actual = round(float(str(actual)))
        changed.append(replace(row, features=features, actual=actual))
    return changed


def write_big_log(connection: psycopg.Connection) -> None:
    """Two versions, one or both with a baseline, and labels that were restated."""
    generator = np.random.default_rng(7)
    create_raw_schema(connection)
    for model_name in MODELS:
        for version, count, first, days in (("1", 700, 0, 4), ("2", 350, 2, 2)):
            served = with_ties_and_odd_segments(
                generator,
                draw_predictions(
                    generator,
                    model_name=model_name,
                    count=count,
                    start=START + timedelta(days=first),
                    days=days,
                    version=version,
                    shift=0.3 if version == "2" else 0,
                ),
            )
            insert_predictions(connection, served)
            insert_labels(connection, served[: int(0.8 * count)])
            insert_labels(
                connection,
                [replace(row, actual=served[0].actual) for row in served[::20]],
                loaded_at=LOADED_AT + timedelta(days=1),
            )
            if version == "2" and model_name == "flight_delay_band":
                continue
            baseline = with_ties_and_odd_segments(
                generator,
                draw_predictions(
                    generator,
                    model_name=model_name,
                    count=500,
                    version=version,
                    start=START - timedelta(days=9),
                    days=7,
                    prefix="b",
                ),
            )
            insert_baseline(
                connection,
                baseline,
                loaded_at=LOADED_AT + timedelta(hours=int(version)),
            )


@pytest.fixture(scope="module")
def big_blocks() -> Blocks:
    """The monitor blocks with combined segments, and other windows."""
    blocks = project_blocks()
    for block in blocks:
        block["segments"] = ["carrier", "origin x carrier"]
    blocks[1]["column_segments"] = ["carrier"]
    blocks[2]["drift"] = {
        "methods": ["ks", "chi_squared", "mean_shift", "psi"],
        "compared_to": ["previous", "last_week"],
        "alpha": 0.2,
        "thresholds": {"chi_squared": [0.05, 0.15]},
        "columns": {
            "dep_delay": {"methods": ["wasserstein"]},
            "carrier": {"thresholds": {"chi_squared": [0.02, 0.5]}},
        },
    }
    blocks[0]["windows"] = {"traffic": "hour", "columns": "hour"}
    blocks[0]["segments"] = ["carrier"]
    blocks[0]["features"] = {
        "distance": "numerical",
        "scheduled_hour": "numerical",
        "humidity": "numerical",
        "carrier": "categorical",
    }
    for block in blocks:
        block["fairness"] = ["carrier"]
    blocks[2]["windows"] = {"traffic": "day", "columns": "day"}
    return blocks


@pytest.fixture(scope="module")
def big_log(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    target_path: Path,
    big_blocks: Blocks,
) -> Iterator[ConnectionSettings]:
    """A log of some thousand rows with its marts."""
    with fresh_database() as settings:
        with warehouse.connect(settings) as connection:
            write_big_log(connection)
        dbt = Dbt(settings, target_path=target_path)
        dbt.build(MODELS_ONLY, variables={"monitors": big_blocks})
        yield settings


def project_blocks() -> Blocks:
    """The monitor blocks of ``dbt_project.yml``."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    blocks: Blocks = project["vars"]["monitors"]
    return blocks


def assert_parity(settings: ConnectionSettings, blocks: Blocks, mart: str) -> Rows:
    stored = read_mart(settings, mart)
    found = differences(stored, recompute(settings, blocks, mart))
    assert not found, "\n".join([f"{len(found)} differences", *sorted(found)[:20]])
    return stored


@pytest.mark.parametrize("mart", MARTS)
def test_figures_of_the_small_log_are_those_of_the_libraries(
    built_log: ConnectionSettings, mart: str
) -> None:
    assert_parity(built_log, project_blocks(), mart)


@pytest.mark.parametrize("mart", MARTS)
def test_figures_of_versions_segments_and_ties_are_those_of_the_libraries(
    big_log: ConnectionSettings, big_blocks: Blocks, mart: str
) -> None:
    assert_parity(big_log, big_blocks, mart)


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
