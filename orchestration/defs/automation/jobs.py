"""The jobs, and when they run.

Each runs in one process: starting one for every step costs three times as much as the
work of a small warehouse.
"""

import dagster as dg

from orchestration.defs.ingestion.raw import IS_SIMULATED
from orchestration.defs.monitoring.evidently import DRIFT_RESULTS
from orchestration.defs.refresh import Refresh

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


backfill = dg.define_asset_job(
    "backfill",
    selection=_MONITORING,
    description=(
        "Refresh the days from refresh_from until before refresh_to once more, in dbt "
        "and in Evidently, whether they are stale or not; and what is stale besides. "
        "The range, monitors and full_refresh are the configuration of `refresh`."
    ),
    config=dg.RunConfig(resources={"refresh": Refresh()}),
    executor_def=dg.in_process_executor,
)

_JOBS = [monitor, backfill]

if IS_SIMULATED:
    demo = dg.define_asset_job(
        "demo",
        selection=_MONITORING | dg.AssetSelection.groups("raw"),
        description="Simulated traffic, then what `monitor` does.",
        executor_def=dg.in_process_executor,
    )
    _JOBS.append(demo)

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def is_under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a run that brings everything up to date waits or runs."""
    return any(
        instance.get_run_ids(
            dg.RunsFilter(job_name=job.name, statuses=_UNFINISHED), limit=1
        )
        for job in _JOBS
    )


# In a warehouse of one's own, monitoring is what Dagster is started for.
_IN_SERVICE = (
    dg.DefaultScheduleStatus.STOPPED
    if IS_SIMULATED
    else dg.DefaultScheduleStatus.RUNNING
)


@dg.schedule(
    job=monitor,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=_IN_SERVICE,
)
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Five minutes past every hour, unless the run before is still under way."""
    if is_under_way(context.instance):
        return dg.SkipReason("The run before is still under way.")
    return dg.RunRequest()


@dg.schedule(
    job=monitor,
    cron_schedule="35 3 * * *",
    execution_timezone="UTC",
    default_status=_IN_SERVICE,
)
def daily() -> dg.RunRequest:
    """Compare every window with the log, once a day, which finds retracted rows.

    The hourly run looks at what arrived since the run before, and rows that were
    deleted do not arrive.
    """
    return dg.RunRequest(
        run_config=dg.RunConfig(resources={"refresh": Refresh(reconcile=True)}),
        tags={"driftline/reconcile": "true"},
    )
