"""How much is measured, and where."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path

from psycopg import sql

from benchmarks.generate import (
    Log,
    baseline_log,
    concatenated,
    day_of_log,
    days_before,
)
from benchmarks.measure import Figure
from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema

# A Monday, and the same on every machine, so that the rows are.
END = date(2025, 12, 1)
VALIDATED = date(2024, 11, 1)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much there is to measure; ``histories`` in days, by name.

    ``copies_in_a_day`` of the ``rows`` fill one day, for Driftline's Evidently step.
    """

    rows: int
    days: int
    baseline_rows: int
    rows_of_history_day: int
    histories: Mapping[str, int]
    added_days: int
    label_windows: tuple[int, ...]
    repetitions: int
    copies_in_a_day: int


@contextmanager
def temporary_server() -> Iterator[tuple[Path, ConnectionSettings]]:
    """A Postgres with the settings of `driftline up`, gone at the end."""
    # A server is no child of ours: it would outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    home = Path(tempfile.mkdtemp(prefix="driftline-bench-"))
    try:
        yield home, warehouse.start(home)
    finally:
        warehouse.stop(home)
        shutil.rmtree(home)


FULL = Sizes(
    rows=1_000_000,
    days=30,
    baseline_rows=50_000,
    rows_of_history_day=3_000,
    histories={"week": 7, "year": 364},
    added_days=3,
    label_windows=(1, 10, 100),
    repetitions=3,
    copies_in_a_day=10,
)
QUICK = Sizes(
    rows=2_000,
    days=1,
    baseline_rows=1_000,
    rows_of_history_day=300,
    histories={"week": 2},
    added_days=1,
    label_windows=(1,),
    repetitions=1,
    copies_in_a_day=30,
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where to measure; ``report`` is given every figure as it is known."""

    server: ConnectionSettings
    postmaster: int
    directory: Path
    sizes: Sizes
    seed: int
    report: Callable[[str, Figure], None]
    skip: Callable[[str, str], None]
    progress: Callable[[str], None]

    @contextmanager
    def database(self, name: str) -> Iterator[ConnectionSettings]:
        """An empty database, dropped at the end."""
        settings = replace(self.server, dbname=f"bench_{name}")
        identifier = sql.Identifier(settings.dbname)
        with warehouse.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(identifier))
        try:
            with warehouse.connect(settings, autocommit=True) as connection:
                create_raw_schema(connection)
            yield settings
        finally:
            drop = sql.SQL("drop database {} with (force)").format(identifier)
            with warehouse.connect(self.server, autocommit=True) as connection:
                connection.execute(drop)

    def days(self, count: int, rows_of_day: Sequence[int]) -> list[Log]:
        """The logs of the days before ``END``; the first version ends half-way."""
        days = days_before(END, count)
        return [
            day_of_log(
                self.seed,
                day,
                rows,
                first_version_until=days[count // 2],
                shift=number / count,
            )
            for number, (day, rows) in enumerate(zip(days, rows_of_day, strict=True))
        ]

    def month(self) -> Log:
        """The big log: ``sizes.rows`` over ``sizes.days``."""
        count = self.sizes.days
        self.progress(f"generating {self.sizes.rows:,} predictions")
        bounds = [self.sizes.rows * number // count for number in range(count + 1)]
        rows = [end - start for start, end in pairwise(bounds)]
        return concatenated(self.days(count, rows))

    def baseline(self) -> Log:
        """Validation data."""
        return baseline_log(self.seed, self.sizes.baseline_rows, day=VALIDATED)
