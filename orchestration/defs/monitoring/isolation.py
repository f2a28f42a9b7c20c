"""Checks that every monitor's relations could be read.

dbt leaves a monitor that it can't read as it was and goes on with the others, so that
no step fails of it: these checks do.
"""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import get_asset_key_for_model

from orchestration import warehouse
from orchestration.defs.retries import retried
from orchestration.defs.transformation.dbt import MONITORS, dbt_models

_MART = get_asset_key_for_model([dbt_models], "monitors")


def _check_name(monitor: str) -> str:
    return f"relations_{monitor}"


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            _check_name(monitor.name),
            asset=_MART,
            description=f"The last run could read the relations of {monitor.name}.",
        )
        for monitor in MONITORS
    ],
    can_subset=True,
)
def monitors_can_be_read(
    context: dg.AssetCheckExecutionContext,
) -> Iterator[dg.AssetCheckResult]:
    """What of each monitor the last run could not read, and how to mend it."""
    settings = warehouse.settings(os.environ)
    with (
        retried(context),
        warehouse.connect(settings, autocommit=True) as connection,
    ):
        rows = connection.execute(
            "select monitor, unreadable_since, reason from marts.monitors"
        ).fetchall()
    found = {_check_name(monitor): tuple(rest) for monitor, *rest in rows}
    for key in sorted(context.selected_asset_check_keys):
        since, reason = found.get(key.name, (None, "It is not in marts.monitors."))
        is_known = key.name in found
        metadata: dict[str, Any] = {}
        if since is not None:
            metadata["since"] = dg.MetadataValue.timestamp(since)
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=is_known and since is None,
            severity=dg.AssetCheckSeverity.ERROR,
            description=None if is_known and since is None else reason,
            metadata=metadata,
        )
