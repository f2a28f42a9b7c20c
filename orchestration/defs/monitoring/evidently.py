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
from orchestration.days import (
    BASELINE_LIMIT,
    SAMPLE_LIMIT,
    DayOutcome,
    SampleOptions,
)
from orchestration.defs.refresh import Refresh
from orchestration.defs.retries import retried
from orchestration.defs.tags import tag_run
from orchestration.defs.transformation.dbt import ALL_OWNERS, MONITORS, dbt_models
from orchestration.monitors import Monitor
from orchestration.pictures import as_markdown, picture, read_distributions

# Early enough for a replay of 2013, and today's unfinished day is one of them.
DAYS = dg.DailyPartitionsDefinition(
    start_date=os.environ.get("DRIFTLINE_FIRST_DAY", "2013-01-01"),
    timezone="UTC",
    end_offset=1,
)

DRIFT_RESULTS = get_asset_key_for_source([dbt_models], "evidently")


def evaluated_check(monitor: str) -> str:
    """The name of the check that tells whether Evidently could evaluate a monitor."""
    return f"evaluated_{monitor}"


class DriftConfig(dg.Config):
    """The samples that days are evaluated on."""

    window_limit: int = Field(
        default=SAMPLE_LIMIT, ge=1, description="Rows read of one day at most."
    )
    baseline_limit: int = Field(
        default=BASELINE_LIMIT, ge=1, description="Rows read of a baseline at most."
    )
    seed: int = Field(default=0, description="The same seed reads the same rows.")

    @property
    def samples(self) -> SampleOptions:
        """Which rows are read."""
        return SampleOptions(
            window_limit=self.window_limit,
            baseline_limit=self.baseline_limit,
            seed=self.seed,
        )


# What says which days there are, and what is read.
_READ_MODELS = sorted(
    {
        "int_window_ledger",
        *(relation.name for monitor in MONITORS for relation in monitor.relations),
    }
)


def evidently_asset(monitors: Sequence[Monitor]) -> dg.AssetsDefinition:
    """The asset that evaluates these monitors, with a check for each."""

    @dg.asset(
        key=DRIFT_RESULTS,
        deps=[get_asset_key_for_model([dbt_models], name) for name in _READ_MODELS],
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="evidently",
        kinds={"evidently", "postgres"},
        owners=ALL_OWNERS,
        check_specs=[
            dg.AssetCheckSpec(
                evaluated_check(monitor.name),
                asset=DRIFT_RESULTS,
                description=(
                    f"No day of {monitor.name} failed as a whole. The other monitors "
                    "go on if one does."
                ),
            )
            for monitor in monitors
        ],
    )
    def drift_results(
        context: dg.AssetExecutionContext, config: DriftConfig, refresh: Refresh
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Drift of every column, and of all together, by Evidently's tests.

        Each day of each monitor is compared with the monitor's baseline, on samples.
        The newest day of each gets a report in HTML.
        Grain: one row per monitor, UTC day, column and method.
        """
        # They take seconds to import: pandas, and Evidently when it is needed.
        from orchestration.baselines import baseline_directory
        from orchestration.drift import evaluate_days, evaluated_days, stale_days
        from orchestration.reports import report_options

        settings = warehouse.settings(os.environ)
        chosen = [each for each in monitors if refresh.includes(each.name)]
        with retried(context):
            if context.has_partition_key:
                asked = _days_between(context.partition_time_window)
                days: Mapping[str, Sequence[date]] = {m.name: asked for m in chosen}
            else:
                days = stale_days(
                    settings, chosen, options=config.samples, forced=refresh.days
                )
            outcomes = evaluate_days(
                settings,
                days,
                chosen,
                options=config.samples,
                reports=report_options(os.environ),
                baselines=baseline_directory(os.environ),
                progress=lambda outcome: context.log.info(_line(outcome)),
            )
            pictures = _pictures(settings, outcomes)
            evaluated = set() if context.has_partition_key else evaluated_days(settings)
            checks = _evaluated_checks(settings, monitors)
        _describe_days(context, outcomes, pictures)
        if not context.has_partition_key:
            _recognise_days(context, evaluated)
        tag_run(
            context, {o.monitor for o in outcomes if o.failure is None}, "evaluated"
        )
        tag_run(
            context, {o.monitor for o in outcomes if o.failure is not None}, "failed"
        )
        return dg.MaterializeResult(
            metadata=_metadata(outcomes, pictures), check_results=checks
        )

    return drift_results


drift_results = evidently_asset(MONITORS)


def _days_between(window: dg.TimeWindow) -> list[date]:
    count = (window.end - window.start).days
    return [_utc_day(window.start) + timedelta(days=offset) for offset in range(count)]


def _utc_day(moment: datetime) -> date:
    return date(moment.year, moment.month, moment.day)


def _describe_days(
    context: dg.AssetExecutionContext,
    outcomes: Iterable[DayOutcome],
    pictures: Mapping[tuple[str, date], str],
) -> None:
    """Say of each evaluated day that it is materialised, and how it drifted."""
    by_day: defaultdict[date, list[DayOutcome]] = defaultdict(list)
    for outcome in outcomes:
        by_day[outcome.day].append(outcome)
    for day, evaluated in sorted(by_day.items()):
        metadata = _metadata(evaluated, pictures)
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


def _pictures(
    settings: warehouse.ConnectionSettings, outcomes: Sequence[DayOutcome]
) -> dict[tuple[str, date], str]:
    """Markdown with the distributions of each monitor's days, by name and day."""
    found: dict[tuple[str, date], str] = {}
    with warehouse.connect(settings, autocommit=True) as connection:
        for name in sorted({outcome.monitor for outcome in outcomes}):
            drifted = {o.day: o.drifted_columns for o in outcomes if o.monitor == name}
            distributions = read_distributions(connection, name, drifted.keys())
            for day, columns in distributions.items():
                svg = picture(columns, drifted[day])
                if svg is not None:
                    text = f"Distributions of {name} on {day}"
                    found[name, day] = as_markdown(svg, text)
    return found


def _metadata(
    outcomes: Sequence[DayOutcome], pictures: Mapping[tuple[str, date], str]
) -> dict[str, dg.MetadataValue]:
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
        own = [outcome for outcome in outcomes if outcome.monitor == monitor]
        figures = {
            "drifted_share": [outcome.drifted_share for outcome in own],
            "classifier_area": [outcome.classifier_area for outcome in own],
        }
        for figure, values in figures.items():
            known = [value for value in values if value is not None]
            if known:
                metadata[f"{figure}/{monitor}"] = dg.MetadataValue.float(
                    sum(known) / len(known)
                )
        # The newest, as days come in order.
        for outcome in own:
            if (monitor, outcome.day) in pictures:
                metadata[f"distributions/{monitor}"] = dg.MetadataValue.md(
                    pictures[monitor, outcome.day]
                )
            if outcome.report is not None:
                metadata[f"report/{monitor}"] = dg.MetadataValue.path(outcome.report)
    return metadata


def _evaluated_checks(
    settings: warehouse.ConnectionSettings, monitors: Sequence[Monitor]
) -> list[dg.AssetCheckResult]:
    """One for each monitor, by what the tables say: a run may leave some out."""
    from orchestration.drift import evaluation_states

    states = {state.monitor: state for state in evaluation_states(settings)}
    checks = []
    for monitor in monitors:
        state = states.get(monitor.name)
        checks.append(
            dg.AssetCheckResult(
                check_name=evaluated_check(monitor.name),
                passed=state is not None and not state.failed_day_count,
                description=(
                    "No day has been evaluated yet."
                    if state is None
                    else state.failure or f"The newest day is {state.newest_day}."
                ),
                metadata={
                    "value": state.failed_day_count,
                    "threshold": 0,
                    "sample_count": state.sample_count,
                    "day_count": state.day_count,
                }
                if state is not None
                else {},
            )
        )
    return checks


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
