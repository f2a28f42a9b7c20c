"""Checks of each monitor, by its name, from the alert rules and the newest prediction.

They judge, and warn: what they find is in the data, and no reason to stop a run that
shows it. What stops runs are dbt's own tests. One query a mart.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any

import dagster as dg
from dagster_dbt import get_asset_key_for_model

from orchestration import warehouse
from orchestration.defs.retries import retried
from orchestration.defs.transformation.dbt import MONITORS, dbt_models
from orchestration.judgements import (
    EXPECTED_REQUEST_LIMIT,
    Freshness,
    Judgement,
    read_freshness,
    read_judgements,
)

_ABOUT: Mapping[str, str] = {
    "volume": "No alert rule on the number of requests of {} is in an open incident.",
    "service": "No alert rule on errors or latency of {} is in an open incident.",
    "data_quality": "No alert rule on data quality of {} is in an open incident.",
    "drift": "No alert rule on drift of {} is in an open incident.",
    "labels": "No alert rule on the labels of {} is in an open incident.",
    "performance": "No alert rule on performance of {} is in an open incident.",
}


def _spec(subject: str, monitor: str, mart: str, about: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        f"{subject}_{monitor}",
        asset=get_asset_key_for_model([dbt_models], mart),
        description=about,
    )


def _rule_checks(mart: str, subjects: Sequence[str]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=f"{mart}_by_rules",
        specs=[
            _spec(subject, monitor.name, mart, _ABOUT[subject].format(monitor.name))
            for monitor in MONITORS
            for subject in subjects
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        settings = warehouse.settings(os.environ)
        with (
            retried(context),
            warehouse.connect(settings, autocommit=True) as connection,
        ):
            judged = {
                f"{each.subject}_{each.monitor}": each
                for each in read_judgements(connection, subjects)
            }
        for key in sorted(context.selected_asset_check_keys):
            yield _result(key, judged.get(key.name))

    return checks


def _result(key: dg.AssetCheckKey, found: Judgement | None) -> dg.AssetCheckResult:
    """Nothing that could be judged is no pass."""
    if found is None or not (found.open_count or found.judged_count):
        return _check_result(key, False, "Nothing could be judged.", {})
    metadata = {
        "value": found.value,
        "threshold": found.threshold,
        "sample_count": found.sample_count,
        "expected": found.expected,
        "rule": found.rule_id,
        "metric": found.metric,
        "column": found.column_name,
        "version": found.model_version,
        "segment": found.segment,
        "segment_value": found.segment_value,
        "window": found.window_start and f"{found.window_start.astimezone(UTC):%F %R}",
        "judged_count": found.judged_count,
        "open_count": found.open_count,
        "incident": found.incident_id,
    }
    if found.open_count:
        more = f", and {found.open_count - 1} more" if found.open_count > 1 else ""
        return _check_result(key, False, f"{found.reason}{more}", metadata)
    pending = ", too few windows in a row to be an incident" if found.severity else ""
    return _check_result(
        key,
        True,
        f"Of {found.judged_count} figures judged, nearest to its bound is "
        f"{found.metric} of the rule {found.rule_id}{pending}.",
        metadata,
    )


def _check_result(
    key: dg.AssetCheckKey,
    passed: bool,
    description: str,
    metadata: Mapping[str, Any],
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            name: value
            for name, value in metadata.items()
            if value is not None and value != "all"
        },
    )


service_health_checks = _rule_checks("service_health", ["volume", "service"])
data_quality_checks = _rule_checks("data_quality", ["data_quality"])
model_performance_checks = _rule_checks("model_performance", ["labels", "performance"])
drift_checks = _rule_checks("drift", ["drift"])


@dg.multi_asset_check(
    specs=[
        _spec(
            "freshness",
            monitor.name,
            "monitors",
            f"The newest prediction of {monitor.name} is no older than it may be, by "
            "predicted_at: when it was loaded does not count.",
        )
        for monitor in MONITORS
    ],
    can_subset=True,
)
def monitors_by_age(
    context: dg.AssetCheckExecutionContext,
) -> Iterator[dg.AssetCheckResult]:
    """The age of each monitor's newest prediction."""
    settings = warehouse.settings(os.environ)
    with (
        retried(context),
        warehouse.connect(settings, autocommit=True) as connection,
    ):
        ages = {
            f"freshness_{each.monitor}": each for each in read_freshness(connection)
        }
    for key in sorted(context.selected_asset_check_keys):
        yield _freshness_result(key, ages.get(key.name))


def _freshness_result(
    key: dg.AssetCheckKey, found: Freshness | None
) -> dg.AssetCheckResult:
    if found is None:
        return _check_result(key, False, "The monitor is not in marts.monitors.", {})
    has_limit = found.limit_seconds is not None
    newest, loaded = found.last_predicted_at, found.last_loaded_at
    return _check_result(
        key,
        found.status == "ok",
        found.reason or f"The newest prediction is of {newest:%F %R} UTC.",
        {
            "value": found.seconds_since_last_prediction
            if has_limit
            else found.expected_request_count,
            "threshold": found.limit_seconds if has_limit else EXPECTED_REQUEST_LIMIT,
            "measured_in": "seconds without a prediction"
            if has_limit
            else "requests expected since",
            "sample_count": found.prediction_count,
            "last_predicted_at": newest and dg.MetadataValue.timestamp(newest),
            "last_loaded_at": loaded and dg.MetadataValue.timestamp(loaded),
        },
    )
