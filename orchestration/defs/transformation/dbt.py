"""The dbt project as assets: one for each model, and its tests as asset checks."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets
from pydantic import Field

from orchestration import project, warehouse

MANIFEST = project.read_manifest()
MONITORS = project.read_monitors()


def dagster_owner(owner: str) -> str:
    """A monitor's owner as Dagster writes it: an address, or a team."""
    return owner if "@" in owner else f"team:{owner}"


class LayerTranslator(DagsterDbtTranslator):
    """The layers are groups, and staging models belong to their monitor's owner.

    Keys stay dagster-dbt's own: ``schema/model`` and ``source/table``.
    """

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder below ``models/``; of a source its name, of a seed its schema."""
        if dbt_resource_props["resource_type"] == "source":
            return str(dbt_resource_props["source_name"])
        if dbt_resource_props["resource_type"] == "seed":
            return str(dbt_resource_props["schema"])
        _, *folders, _ = dbt_resource_props["fqn"]
        return str(folders[0]) if folders else None

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Whoever owns the monitors that read the model, or what its YAML says."""
        name = dbt_resource_props["name"]
        owners = {
            dagster_owner(monitor.owner)
            for monitor in MONITORS
            if monitor.owner
            and name in (monitor.predictions.name, monitor.baseline.relation.name)
        }
        return sorted(owners) or super().get_owners(dbt_resource_props)


class RefreshConfig(dg.Config):
    """Which windows to refresh, beyond those that are stale by themselves."""

    refresh_from: str | None = Field(
        default=None, description="Windows from this UTC day on, such as 2026-01-31."
    )
    refresh_to: str | None = Field(
        default=None, description="Windows before this UTC day."
    )
    only_monitors: list[str] = Field(
        default=[], description="Only these monitors; if empty, all."
    )
    reconcile: bool = Field(
        default=False,
        description="Compare every window with the log, which finds retracted rows.",
    )
    full_refresh: bool = Field(
        default=False, description="Build everything anew from the whole log."
    )

    def arguments(self) -> list[str]:
        """What `dbt build` is told."""
        variables = {
            name: value
            for name, value in self.model_dump().items()
            if value and name != "full_refresh"
        }
        return [
            *(["--vars", json.dumps(variables)] if variables else []),
            *(["--full-refresh"] if self.full_refresh else []),
        ]


@dbt_assets(
    manifest=MANIFEST, dagster_dbt_translator=LayerTranslator(), name="dbt_models"
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, config: RefreshConfig
) -> Iterator[Any]:
    """Bring the models up to date; a second run on the same log refreshes nothing."""
    arguments = ["build", *project.BUILT, *config.arguments()]
    # dbt starts in here, and takes its connection along.
    with project.warehouse_environment(warehouse.settings(os.environ)):
        invocation = dbt.cli(arguments, context=context)
    yield from invocation.stream()
    # Each run's artefacts are megabytes, and only those of a failed one are ever read.
    shutil.rmtree(invocation.target_path, ignore_errors=True)
