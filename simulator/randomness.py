"""Random numbers that depend on the seed, a name and the day, and on nothing else."""

import zlib

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


class DailyRandom:
    """Draws one number a row, each day from a generator of its own.

    So a day's rows come out the same whether it is replayed alone, within a week or
    within a year, which is what lets a later run continue an earlier one. ``days`` is
    the day of each row, as any ascending integer.
    """

    def __init__(self, seed: int, days: Days) -> None:
        self._seed = seed
        values, starts = np.unique(days, return_index=True)
        self._days = list(
            zip(values.tolist(), np.diff([*starts, len(days)]).tolist(), strict=True)
        )

    def uniform(self, name: str) -> Floats:
        """One number a row from [0, 1)."""
        return self._concatenated(
            [rng.random(count) for rng, count in self._generators(name)]
        )

    def normal(self, name: str) -> Floats:
        """One number a row from the standard normal distribution."""
        return self._concatenated(
            [rng.standard_normal(count) for rng, count in self._generators(name)]
        )

    def _generators(self, name: str) -> list[tuple[np.random.Generator, int]]:
        stream = zlib.crc32(name.encode())
        return [
            (np.random.default_rng([self._seed, stream, day]), count)
            for day, count in self._days
        ]

    @staticmethod
    def _concatenated(parts: list[Floats]) -> Floats:
        return np.concatenate(parts) if parts else np.empty(0)
