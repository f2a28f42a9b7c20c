"""Evidently's drift preset, day by day against the baseline."""

import pandas as pd
from evidently import (
    DataDefinition,
    Dataset,
    Report,
)
from evidently.presets import (
    DataDriftPreset,
)
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.peers.frames import Frames, main

# A text feature with more values than this takes Evidently longer than all others.
MANY_VALUES = 1_000


def drift(frames: Frames) -> None:
    """One report a day over all features."""
    _drift_of(frames, frames.categorical)


def drift_of_few_values(frames: Frames) -> None:
    """The same without the text features that have thousands of values."""
    few = [
        name
        for name in frames.categorical
        if frames.baseline[name].nunique() <= MANY_VALUES
    ]
    _drift_of(frames, few)


def _drift_of(frames: Frames, categorical: list[str]) -> None:
    features = frames.numerical + categorical
    definition = DataDefinition(
        numerical_columns=frames.numerical, categorical_columns=categorical
    )
    reference = Dataset.from_pandas(
        frames.baseline[features], data_definition=definition
    )
    # Its dot products are short: with threads it takes longer.
    with threadpool_limits(limits=1):
        for day in frames.days():
            current = Dataset.from_pandas(day[features], data_definition=definition)
            Report([DataDriftPreset()]).run(current, reference).dict()


if __name__ == "__main__":
    # pandas 3 keeps texts in Arrow arrays, and looking up a value copies the array:
    # Evidently then takes minutes for a day of 20,000 categories.
    pd.set_option("future.infer_string", False)
    main("evidently", {"drift": drift, "drift_of_few_values": drift_of_few_values})
