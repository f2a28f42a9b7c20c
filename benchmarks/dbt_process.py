"""Jobs for a worker that keeps dbt, and its parsed project, from build to build.

Imports little, so that the worker's memory is that of dbt.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings

MODELS = ("--exclude-resource-type", "test")
TESTS = ("--resource-type", "test")

_opened: dict[Path, Dbt] = {}


@dataclass(frozen=True, kw_only=True)
class BuildTimes:
    """Seconds of one `dbt build` in a process that has parsed the project.

    ``executing`` is the time in which at least one node was executing: the rest is
    dbt's. ``nodes`` holds each node's own time; several execute at once.
    """

    seconds: float
    executing: float
    nodes: Mapping[str, float]


def open_project(settings: ConnectionSettings, project: Path) -> float:
    """Import dbt and parse the project; how long that took."""
    started = time.perf_counter()
    dbt = Dbt(settings, project_dir=project)
    dbt.parse()
    _opened[project] = dbt
    return time.perf_counter() - started


def build(project: Path, selection: Sequence[str]) -> BuildTimes:
    """Build the selected nodes of a project that is open."""
    run = _opened[project].build(selection)
    results = json.loads((project / "target/run_results.json").read_bytes())["results"]
    spans = [
        (_instant(step["started_at"]), _instant(step["completed_at"]))
        for result in results
        for step in result["timing"]
        if step["name"] == "execute"
    ]
    return BuildTimes(
        seconds=run.seconds,
        executing=covered(spans),
        nodes={outcome.name: round(outcome.seconds, 3) for outcome in run.outcomes},
    )


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """How long the union of some spans of time is."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
