"""What the programs of all peers share; needs nothing but pandas.

The rows come as Parquet and are in memory before the clock starts.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Frames:
    """A baseline and the predictions, both with ``actual``, and their features."""

    baseline: pd.DataFrame
    predictions: pd.DataFrame
    numerical: list[str]
    categorical: list[str]

    @property
    def features(self) -> list[str]:
        """All features."""
        return self.numerical + self.categorical

    def days(self) -> list[pd.DataFrame]:
        """The predictions of each day."""
        by_day = self.predictions.groupby(self.predictions["predicted_at"].dt.date)
        return [day for _, day in by_day]


def write_frames(directory: Path, frames: Frames) -> None:
    """Write what :func:`main` reads."""
    frames.baseline.to_parquet(directory / "baseline.parquet", index=False)
    frames.predictions.to_parquet(directory / "predictions.parquet", index=False)
    columns = {"numerical": frames.numerical, "categorical": frames.categorical}
    (directory / "columns.json").write_text(json.dumps(columns))


def main(package: str, jobs: Mapping[str, Callable[[Frames], object]]) -> None:
    """Time the jobs on the rows of a directory: PROGRAM DIRECTORY RESULT."""
    directory, result = map(Path, sys.argv[1:])
    columns = json.loads((directory / "columns.json").read_text())
    frames = Frames(
        baseline=_read(directory / "baseline.parquet"),
        predictions=_read(directory / "predictions.parquet"),
        **columns,
    )
    seconds, processor = {}, {}
    for name, job in jobs.items():
        started, used = time.perf_counter(), time.process_time()
        job(frames)
        seconds[name] = time.perf_counter() - started
        processor[name] = time.process_time() - used
    measured = {
        "version": version(package),
        "seconds": seconds,
        "processor": processor,
    }
    result.write_text(json.dumps(measured))


def _read(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    # Not every tool takes times with a zone; these are all in UTC.
    frame["predicted_at"] = frame["predicted_at"].dt.tz_localize(None)
    return frame
