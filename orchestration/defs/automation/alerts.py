"""The sensor that tells people what happened to incidents."""

import os
from datetime import UTC, datetime

import dagster as dg

from orchestration import warehouse
from orchestration.alerting.configuration import read_alerting
from orchestration.alerting.delivery import deliver, describe, fingerprint
from orchestration.alerting.incidents import IncidentError

# Dagster ends an evaluation after a minute. A receiver that takes longer than this is
# sent to all the same, and what became of it is in the ledger.
_PATIENCE_SECONDS = 30


@dg.sensor(
    minimum_interval_seconds=60,
    # Who wrote an alerting.yml wants to be told; without one this only writes its log.
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def deliver_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tell the receivers of alerting.yml each change of an incident, once.

    Looks once a minute whether anything has changed, which costs one query. A receiver
    that is down is tried again later; it makes no other wait, and no evaluation fail.
    """
    settings = warehouse.settings(os.environ)
    alerting = read_alerting(os.environ)
    try:
        seen = fingerprint(settings, alerting, now=datetime.now(UTC))
    except IncidentError as error:
        return dg.SkipReason(str(error))
    if seen.state == context.cursor and not seen.is_anything_due:
        return dg.SkipReason("Nothing has happened since.")
    outcomes = deliver(
        settings,
        alerting,
        environ=os.environ,
        clock=lambda: datetime.now(UTC),
        write=context.log.info,
        patience_seconds=_PATIENCE_SECONDS,
    )
    told = [describe(outcome) for outcome in outcomes]
    for outcome, line in zip(outcomes, told, strict=True):
        if outcome.failure is not None:
            context.log.warning(line)
    if not any(outcome.is_busy or outcome.is_unrecorded for outcome in outcomes):
        context.update_cursor(seen.state)
    return dg.SkipReason(" ".join(told))
