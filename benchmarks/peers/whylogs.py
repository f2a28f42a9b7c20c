"""whylogs' profile of each day."""

import whylogs

from benchmarks.peers.frames import Frames, main


def profiles(frames: Frames) -> None:
    """One profile a day over all features, as a frame of its metrics."""
    for day in frames.days():
        whylogs.log(pandas=day[frames.features]).view().to_pandas()


if __name__ == "__main__":
    main("whylogs", {"profiles": profiles})
