"""The Evidently asset: row-level drift of each day, into ``evidently.drift_results``.

Its partitions are UTC days. A run that names days, as a backfill does, evaluates those,
all in one run. A run that names none, as the job ``monitor`` on its schedule, evaluates
the days that are stale, and records each as a materialised partition: so the asset can
stand in one job between dbt models, which have no partitions.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import dagster as dg
from dagster_dbt import get_asset_key_for_model, get_asset_key_for_source
from pydantic import Field

from orchestration import warehouse
from orchestration.baselines import baseline_directory
from orchestration.defs.transformation.dbt import MONITORS, dagster_owner, dbt_models
from orchestration.drift import (
    BASELINE_LIMIT,
    DayOutcome,
    SampleOptions,
    evaluate_days,
    evaluated_days,
    stale_days,
)
from orchestration.reports import report_options
from orchestration.sampling import SAMPLE_LIMIT

# Early enough for a replay of 2013, and today's unfinished day is one of them.
DAYS = dg.DailyPartitionsDefinition(
    start_date=os.environ.get("DRIFTLINE_FIRST_DAY", "2013-01-01"),
    timezone="UTC",
    end_offset=1,
)

DRIFT_RESULTS = get_asset_key_for_source([dbt_models], "evidently")
EVALUATED_CHECK = "every_monitor_could_be_evaluated"


class DriftConfig(dg.Config):
    """Which monitors to evaluate, and the samples they are evaluated on."""

    only_monitors: list[str] = Field(
        default=[], description="Only these monitors; if empty, all."
    )
    window_limit: int = Field(
        default=SAMPLE_LIMIT, ge=1, description="Rows read of one day at most."
    )
    baseline_limit: int = Field(
        default=BASELINE_LIMIT, ge=1, description="Rows read of a baseline at most."
    )
    seed: int = Field(default=0, description="The same seed reads the same rows.")


# What says which days there are, and what is read.
_READ_MODELS = sorted(
    {
        "int_window_ledger",
        *(monitor.predictions.name for monitor in MONITORS),
        *(monitor.baseline.relation.name for monitor in MONITORS),
    }
)


@dg.asset(
    key=DRIFT_RESULTS,
    deps=[get_asset_key_for_model([dbt_models], name) for name in _READ_MODELS],
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="evidently",
    kinds={"evidently", "postgres"},
    owners=sorted(
        {dagster_owner(monitor.owner) for monitor in MONITORS if monitor.owner}
    ),
    check_specs=[
        dg.AssetCheckSpec(
            EVALUATED_CHECK,
            asset=DRIFT_RESULTS,
            description="No monitor failed as a whole; the others go on if one does.",
        )
    ],
)
def drift_results(
    context: dg.AssetExecutionContext, config: DriftConfig
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Drift of every column, and of all together, by Evidently's tests.

    Each day of each monitor is compared with the monitor's baseline, on samples. The
    newest day of each gets a report in HTML.
    Grain: one row per monitor, UTC day, column and method.
    """
    settings = warehouse.settings(os.environ)
    monitors = [
        monitor
        for monitor in MONITORS
        if not config.only_monitors or monitor.name in config.only_monitors
    ]
    options = SampleOptions(
        window_limit=config.window_limit,
        baseline_limit=config.baseline_limit,
        seed=config.seed,
    )
    if context.has_partition_key:
        asked = _days_between(context.partition_time_window)
        days: Mapping[str, Sequence[date]] = {m.name: asked for m in monitors}
    else:
        days = stale_days(settings, monitors, options=options)
    outcomes = evaluate_days(
        settings,
        days,
        monitors,
        options=options,
        reports=report_options(os.environ),
        baselines=baseline_directory(os.environ),
        progress=lambda outcome: context.log.info(_line(outcome)),
    )
    _describe_days(context, outcomes)
    if not context.has_partition_key:
        _recognise_days(context, evaluated_days(settings))
    return dg.MaterializeResult(
        metadata=_metadata(outcomes), check_results=[_evaluated_check(outcomes)]
    )


def _days_between(window: dg.TimeWindow) -> list[date]:
    count = (window.end - window.start).days
    return [_utc_day(window.start) + timedelta(days=offset) for offset in range(count)]


def _utc_day(moment: datetime) -> date:
    return date(moment.year, moment.month, moment.day)


def _describe_days(
    context: dg.AssetExecutionContext, outcomes: Iterable[DayOutcome]
) -> None:
    """Say of each evaluated day that it is materialised, and how it drifted."""
    by_day: defaultdict[date, list[DayOutcome]] = defaultdict(list)
    for outcome in outcomes:
        by_day[outcome.day].append(outcome)
    for day, evaluated in sorted(by_day.items()):
        metadata = _metadata(evaluated)
        partition = day.isoformat()
        if context.has_partition_key:
            context.add_asset_metadata(metadata, partition_key=partition)
        elif DAYS.has_partition_key(partition):
            context.log_event(
                dg.AssetMaterialization(
                    DRIFT_RESULTS, partition=partition, metadata=metadata
                )
            )


def _recognise_days(context: dg.AssetExecutionContext, days: Iterable[date]) -> None:
    """Say of days that were evaluated outside of Dagster that they are materialised."""
    known = context.instance.get_materialized_partitions(DRIFT_RESULTS)
    for partition in sorted({day.isoformat() for day in days} - known):
        if DAYS.has_partition_key(partition):
            context.log_event(
                dg.AssetMaterialization(DRIFT_RESULTS, partition=partition)
            )


def _metadata(outcomes: Sequence[DayOutcome]) -> dict[str, dg.MetadataValue]:
    drifted = Counter(
        f"{outcome.monitor}.{column}"
        for outcome in outcomes
        for column in outcome.drifted_columns
    )
    metadata: dict[str, dg.MetadataValue] = {
        "evaluated_day_count": dg.MetadataValue.int(len({o.day for o in outcomes})),
        "sample_count": dg.MetadataValue.int(sum(o.sample_count for o in outcomes)),
        "failed_count": dg.MetadataValue.int(
            sum(1 for o in outcomes if o.failure is not None)
        ),
        "seconds": dg.MetadataValue.float(
            round(sum((o.seconds for o in outcomes), start=0.0), 3)
        ),
        "most_drifted_columns": dg.MetadataValue.json(dict(drifted.most_common(10))),
    }
    for monitor in sorted({outcome.monitor for outcome in outcomes}):
        shares = [
            outcome.drifted_share
            for outcome in outcomes
            if outcome.monitor == monitor and outcome.drifted_share is not None
        ]
        if shares:
            metadata[f"drifted_share/{monitor}"] = dg.MetadataValue.float(
                sum(shares) / len(shares)
            )
        # The newest, as days come in order.
        for outcome in outcomes:
            if outcome.monitor == monitor and outcome.report is not None:
                metadata[f"report/{monitor}"] = dg.MetadataValue.path(outcome.report)
    return metadata


def _evaluated_check(outcomes: Sequence[DayOutcome]) -> dg.AssetCheckResult:
    failures = {o.monitor: o.failure for o in outcomes if o.failure is not None}
    return dg.AssetCheckResult(
        check_name=EVALUATED_CHECK,
        passed=not failures,
        description="; ".join(f"{name}: {why}" for name, why in failures.items()),
        metadata={
            "monitor_count": len({outcome.monitor for outcome in outcomes}),
            "failed_monitors": sorted(failures),
        },
    )


def _line(outcome: DayOutcome) -> str:
    said = (
        f"could not be evaluated: {outcome.failure}"
        if outcome.failure is not None
        else f"{len(outcome.drifted_columns)} columns drifted, "
        f"{len(outcome.uncomputed_columns)} not computable, "
        f"{outcome.sample_count} of {outcome.row_count} rows"
    )
    if outcome.report_failure is not None:
        said += f"; no report: {outcome.report_failure}"
    return (
        f"[{outcome.position}/{outcome.total}] {outcome.monitor} {outcome.day}: {said}"
    )
