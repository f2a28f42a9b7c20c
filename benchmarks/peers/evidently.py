"""Evidently's drift preset, day by day against the baseline."""

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


def drift(frames: Frames) -> None:
    """One report a day over all features."""
    definition = DataDefinition(
        numerical_columns=frames.numerical, categorical_columns=frames.categorical
    )
    reference = Dataset.from_pandas(
        frames.baseline[frames.features], data_definition=definition
    )
    # Its dot products are short: with threads it takes longer.
    with threadpool_limits(limits=1):
        for day in frames.days():
            current = Dataset.from_pandas(
                day[frames.features], data_definition=definition
            )
            Report([DataDriftPreset()]).run(current, reference).dict()


if __name__ == "__main__":
    main("evidently", {"drift": drift})
