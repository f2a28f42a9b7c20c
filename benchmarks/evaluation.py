"""A job for a worker: Driftline's own Evidently step over the monitored table."""

import time
from collections.abc import Sequence
from datetime import date

from benchmarks.project import BASELINE_MODEL, MONITOR, STAGING_MODEL
from orchestration.drift import evaluate_days
from orchestration.monitors import Relation, parse_monitors
from orchestration.warehouse import ConnectionSettings


def evaluate(settings: ConnectionSettings, days: Sequence[date]) -> float:
    """Evaluate the days of the benchmark's monitor; the seconds it took."""
    relations = {
        name: Relation(schema="staging", name=name)
        for name in (STAGING_MODEL, BASELINE_MODEL)
    }
    monitors = parse_monitors([MONITOR], relations)
    asked = {monitor.name: days for monitor in monitors}
    started = time.perf_counter()
    outcomes = evaluate_days(settings, asked, monitors)
    seconds = time.perf_counter() - started
    for outcome in outcomes:
        if outcome.failure is not None or not outcome.sample_count:
            raise RuntimeError(f"{outcome.day} was not evaluated: {outcome.failure}")
    return seconds
