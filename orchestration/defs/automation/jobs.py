"""The jobs, and when they run.

Each runs in one process: starting one for every step costs three times as much as the
work of a small warehouse.
"""

import dagster as dg

from orchestration.defs.ingestion.raw import IS_SIMULATED
from orchestration.defs.monitoring.evidently import DRIFT_RESULTS

_DRIFT = dg.AssetSelection.assets(DRIFT_RESULTS)
_MONITORING = _DRIFT | dg.AssetSelection.groups("staging", "intermediate", "marts")

monitor = dg.define_asset_job(
    "monitor",
    selection=_MONITORING,
    description=(
        "Bring everything up to date with the log: dbt up to the window ledger, "
        "Evidently on the days that changed, the dbt models after it. The launchpad "
        "and the schedule name no day; days that are named are evaluated in any case."
    ),
    executor_def=dg.in_process_executor,
)

drift = dg.define_asset_job(
    "drift",
    selection=_DRIFT,
    description="Evidently alone, for the days that are named: its backfills.",
    executor_def=dg.in_process_executor,
)

if IS_SIMULATED:
    demo = dg.define_asset_job(
        "demo",
        selection=_MONITORING | dg.AssetSelection.groups("raw"),
        description="Simulated traffic, then what `monitor` does.",
        executor_def=dg.in_process_executor,
    )

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.schedule(job=monitor, cron_schedule="5 * * * *", execution_timezone="UTC")
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Five minutes past every hour, unless the run before is still under way."""
    unfinished = dg.RunsFilter(job_name=monitor.name, statuses=_UNFINISHED)
    if context.instance.get_run_ids(unfinished, limit=1):
        return dg.SkipReason("The run before is still under way.")
    return dg.RunRequest()
