"""A log of some thousand rows: two versions, odd segments, ties, restated labels."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import yaml

from orchestration.project import PROJECT_DIR
from simulator.loading import create_raw_schema
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


def big_blocks() -> Blocks:
    """The project's blocks with crossed segments and other windows, and one more.

    The one more is about the predictions of another, beside days of the log that all
    versions share.
    """
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
    blocks[1]["windows"] = {"traffic": "15 minutes", "columns": "day"}
    for block in blocks:
        block["fairness"] = ["carrier"]
    blocks[2]["windows"] = {"traffic": "day", "columns": "day"}
    of_days = blocks[1] | {
        "name": "delayed_of_days",
        "segments": ["carrier"],
        "windows": {"traffic": "day", "columns": "day"},
        "baseline": {"from": "2026-03-02", "to": "2026-03-05", "versions": "shared"},
        "minimum_sample": 5,
    }
    return [*blocks, of_days]


def project_blocks() -> Blocks:
    """The monitor blocks of ``dbt_project.yml``."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    blocks: Blocks = project["vars"]["monitors"]
    return blocks
