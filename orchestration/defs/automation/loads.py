"""The sensor that monitors soon after rows have arrived."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from orchestration import warehouse
from orchestration.defs.automation.jobs import is_under_way, monitor
from orchestration.defs.ingestion.raw import log_activity

# A stream of single rows must not become a stream of runs.
_PAUSE = timedelta(minutes=5)


@dg.sensor(job=monitor, minimum_interval_seconds=60)
def new_loads(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Run `monitor` when rows have arrived in the tables that monitors read.

    For figures that are fresher than an hour: it looks once a minute, by Postgres's own
    counters, which costs no scan, and starts a run every five minutes at most. Views
    have no counters: what arrives behind one is left to the schedule.
    """
    settings = warehouse.settings(os.environ)
    with warehouse.connect(settings, autocommit=True) as connection:
        seen = log_activity(connection)
    if seen == context.cursor:
        return dg.SkipReason("Nothing has arrived since.")
    if is_under_way(context.instance):
        return dg.SkipReason("The run before is still under way.")
    newest = context.instance.get_run_records(
        dg.RunsFilter(job_name=monitor.name, created_after=datetime.now(UTC) - _PAUSE),
        limit=1,
    )
    if newest:
        return dg.SkipReason("The run before was less than five minutes ago.")
    context.update_cursor(seen)
    return dg.RunRequest()
