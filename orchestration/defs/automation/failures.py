"""The sensor that tells people of runs that failed."""

import os

import dagster as dg

from orchestration.alerting.configuration import read_alerting
from orchestration.alerting.delivery import notify

_LINES = 12
_LINE_LENGTH = 300

# What dagster-dbt writes before what dbt said.
_DBT_SAID = "Errors parsed from dbt logs:"


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def tell_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Tell the receivers of alerting.yml that a run failed, in which step, and why."""
    alerting = read_alerting(os.environ)
    run = context.dagster_run
    failures = notify(
        alerting,
        alerting.failed_runs,
        "\n".join(_lines(context)),
        message_id=f"run-{run.run_id}",
        environ=os.environ,
        write=context.log.info,
    )
    for receiver, why in failures.items():
        if why is not None:
            context.log.warning(f"{receiver}: failed: {why}")


def _lines(context: dg.RunFailureSensorContext) -> list[str]:
    run = context.dagster_run
    failed = context.get_step_failure_events()
    steps = ", ".join(event.step_key or "?" for event in failed)
    where = f" in {steps}" if steps else ""
    lines = [f"the run {run.run_id[:8]} of the job {run.job_name} failed{where}"]
    said = [_reason(event) for event in failed] or [context.failure_event.message or ""]
    lines += [
        line.strip()[:_LINE_LENGTH]
        for text in said
        for line in text.splitlines()
        if line.strip()
    ]
    return lines[:_LINES]


def _reason(event: dg.DagsterEvent) -> str:
    """What the step's first error said: the cause, not what was made of it."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    text = error.message if error is not None else event.message or ""
    return text.rpartition(_DBT_SAID)[2]
