"""What the Dagster job ``monitor`` does, as one function, for the demo and for scripts.

Dagster takes seconds to start, and says what it does to its own log only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.days import DEFAULT_OPTIONS, DayOutcome, SampleOptions
from orchestration.drift import evaluate_days, stale_days
from orchestration.project import Dbt, DbtRun, NodeOutcome, read_monitors
from orchestration.reports import ReportOptions
from orchestration.warehouse import ConnectionSettings

_AFTER_EVIDENTLY = "source:evidently.drift_results+"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands: ``done`` of ``total`` nodes or days of a ``step``.

    ``step`` is "parse", "dbt", "evidently" or "dbt after evidently". ``node`` or
    ``day`` is what was finished just now, if anything was.
    """

    step: str
    done: int
    total: int
    node: NodeOutcome | None = None
    day: DayOutcome | None = None


@dataclass(frozen=True, kw_only=True)
class MonitorRun:
    """What each step of a run did."""

    before: DbtRun
    days: tuple[DayOutcome, ...]
    after: DbtRun


def run_monitor(
    settings: ConnectionSettings,
    *,
    variables: Mapping[str, object] | None = None,
    options: SampleOptions = DEFAULT_OPTIONS,
    reports: ReportOptions | None = None,
    baselines: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    target_path: Path | None = None,
) -> MonitorRun:
    """dbt up to the window ledger, Evidently on the stale days, dbt after it.

    ``variables`` are dbt's, as on its command line. Without ``reports`` there are none,
    and without a directory for ``baselines`` they are read anew. ``progress`` is called
    at the start of each step, and from several threads as its nodes and days are
    finished.

    Raises ``DbtError`` if a model or a test fails, ``WarehouseError`` if the warehouse
    can't be reached. A monitor that Evidently can't read is no error: see its outcomes.
    """
    progress(Progress(step="parse", done=0, total=1))
    dbt = Dbt(settings, target_path=target_path)
    monitors = read_monitors()

    def build(step: str, selection: list[str]) -> DbtRun:
        done = 0
        total = dbt.count(selection)
        progress(Progress(step=step, done=0, total=total))

        def count(node: NodeOutcome) -> None:
            nonlocal done
            done += 1
            progress(Progress(step=step, done=done, total=total, node=node))

        return dbt.build(selection, variables=variables, on_node=count)

    before = build("dbt", ["--exclude", _AFTER_EVIDENTLY])
    days = stale_days(settings, monitors, options=options)
    total = sum(map(len, days.values()))
    progress(Progress(step="evidently", done=0, total=total))
    outcomes = evaluate_days(
        settings,
        days,
        monitors,
        options=options,
        reports=reports,
        baselines=baselines,
        progress=lambda day: progress(
            Progress(step="evidently", done=day.position, total=total, day=day)
        ),
    )
    after = build("dbt after evidently", ["--select", _AFTER_EVIDENTLY])
    return MonitorRun(before=before, days=tuple(outcomes), after=after)
