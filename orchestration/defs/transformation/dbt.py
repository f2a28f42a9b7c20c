"""The dbt project as assets: one for each model, and its tests as asset checks."""

import os
import re
import shutil
import signal
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from dagster_dbt import (
    DagsterDbtTranslator,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from orchestration import project, warehouse
from orchestration.defs.refresh import Refresh
from orchestration.defs.retries import retried, retry
from orchestration.defs.tags import tag_run
from orchestration.lineage import Tables, kept_lineage
from orchestration.relations import describe_relation, exists, headline_figures
from orchestration.transient import are_transient

MANIFEST = project.read_manifest()
MONITORS = project.read_monitors()

# Of runs that build the models: more than one at a time would wait for each other's
# locks. The limit is in dagster.yaml.
POOL = "dbt"


def dagster_owner(owner: str) -> str:
    """A monitor's owner as Dagster writes it: an address, or a team."""
    return owner if "@" in owner else f"team:{owner}"


def _compiled_directory() -> Path:
    """Where the SQL of the newest build is kept, as it differs between warehouses."""
    return warehouse.home(os.environ) / "compiled"


# Of what all monitors share.
ALL_OWNERS = sorted(
    {dagster_owner(monitor.owner) for monitor in MONITORS if monitor.owner}
)


# The tables that runs write about themselves.
_OF_RUNS = "source.driftline.operations."
# The windows that a run refreshes.
_TIME = re.compile(r"timestamptz '[^']*'")


class LayerTranslator(DagsterDbtTranslator):
    """The layers are groups, and staging models belong to their monitor's owner.

    Keys stay dagster-dbt's own: ``schema/model`` and ``source/table``. Models are
    described with the SQL that the newest build ran, or before the first with the
    template that it comes from.
    """

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The folder below ``models/``; of a source its name, of a seed its schema."""
        if dbt_resource_props["resource_type"] == "source":
            return str(dbt_resource_props["source_name"])
        if dbt_resource_props["resource_type"] == "seed":
            return str(dbt_resource_props["schema"])
        _, *folders, _ = dbt_resource_props["fqn"]
        return str(folders[0]) if folders else None

    def get_asset_spec(
        self,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetSpec:
        """A seed, or a view of what runs left, stands after what arrives, as all do.

        Nothing else orders it, so that Dagster would run dbt once for it alone, before
        the log is loaded.
        """
        spec = super().get_asset_spec(manifest, unique_id, project)
        parents = manifest["parent_map"][unique_id]
        if any(not parent.startswith(_OF_RUNS) for parent in parents):
            return spec
        arriving = [
            self.get_asset_key(source)
            for source in manifest["sources"].values()
            if source["source_name"] == "raw"
        ]
        return spec.merge_attributes(deps=arriving)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The YAML's description, and the compiled SQL if there is any."""
        compiled = _compiled_directory() / dbt_resource_props["original_file_path"]
        try:
            text = compiled.read_text()
        except OSError:
            return super().get_description(dbt_resource_props)
        code = textwrap.indent(text.strip(), "    ")
        description = dbt_resource_props["description"]
        return f"{description}\n\n#### Compiled SQL:\n```sql\n{code}\n```"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Whoever owns the monitors that read the model, or what its YAML says."""
        name = dbt_resource_props["name"]
        owners = {
            dagster_owner(monitor.owner)
            for monitor in MONITORS
            if monitor.owner
            and name in {relation.name for relation in monitor.relations}
        }
        return sorted(owners) or super().get_owners(dbt_resource_props) or ALL_OWNERS


_TRANSLATOR = LayerTranslator()


@dbt_assets(
    manifest=MANIFEST,
    dagster_dbt_translator=_TRANSLATOR,
    name="dbt_models",
    pool=POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, refresh: Refresh
) -> Iterator[Any]:
    """Bring the models up to date; a second run on the same log refreshes nothing."""
    arguments = ["build", *project.BUILT, *refresh.dbt_arguments()]
    settings = warehouse.settings(os.environ)
    with (
        retried(context),
        warehouse.connect(settings, autocommit=True) as connection,
    ):
        # dbt starts in here, and takes its connection along.
        with project.warehouse_environment(settings):
            invocation = dbt.cli(arguments, context=context)
        invocation_id = None
        try:
            for event in invocation.stream():
                if isinstance(event, dg.Output):
                    invocation_id = event.metadata["invocation_id"].value
                    event = _described(event, connection, invocation)
                yield event
        except DagsterDbtCliRuntimeError as error:
            if are_transient(_failures(invocation, error)):
                raise retry(context) from error
            raise
        finally:
            if invocation.process.poll() is None:
                # It is this side that failed; a second try must not meet the first.
                invocation.process.send_signal(signal.SIGINT)
                invocation.process.wait(invocation.termination_timeout_seconds)
            _keep_compiled(invocation)
        tag_run(context, _refreshed_monitors(connection, invocation_id), "refreshed")
    # Each run's artefacts are megabytes, and only those of a failed one are ever read.
    shutil.rmtree(invocation.target_path, ignore_errors=True)


def _described(
    event: dg.Output[Any],
    connection: psycopg.Connection,
    invocation: DbtCliInvocation,
) -> dg.Output[Any]:
    """With what the warehouse knows of the model that was just built."""
    node = MANIFEST["nodes"][event.metadata["unique_id"].value]
    relation = describe_relation(connection, node["schema"], node["alias"])
    if relation is None:
        return event
    metadata: dict[str, Any] = dict(event.metadata)
    metadata["dagster/column_schema"] = dg.TableSchema(
        [dg.TableColumn(name, type_) for name, type_ in relation.column_types.items()]
    )
    lineage = _lineage(node, connection, invocation, metadata["invocation_id"].value)
    if lineage is not None:
        metadata["dagster/column_lineage"] = lineage
    if relation.row_count is not None:
        metadata["dagster/row_count"] = relation.row_count
        metadata["size_bytes"] = relation.size_bytes
    if node["schema"] == "marts":
        for figure, values in headline_figures(connection, node["alias"]).items():
            for monitor, value in values.items():
                metadata[f"{figure}/{monitor}"] = value
    return event.with_metadata(metadata)


def _lineage(
    node: Mapping[str, Any],
    connection: psycopg.Connection,
    invocation: DbtCliInvocation,
    invocation_id: str,
) -> dg.TableColumnLineage | None:
    """The columns that each column of a model is made of; None of a seed."""
    try:
        compiled = _compiled_by(invocation) / node["original_file_path"]
        sql = compiled.read_text()
    except OSError:
        return None
    parents = {
        (parent["schema"], parent.get("identifier") or parent["alias"]): parent
        for unique_id in MANIFEST["parent_map"][node["unique_id"]]
        if (
            parent := MANIFEST["nodes"].get(unique_id)
            or MANIFEST["sources"].get(unique_id)
        )
    }

    def read_tables() -> Tables:
        facts = {key: describe_relation(connection, *key) for key in parents}
        return {key: each.column_types for key, each in facts.items() if each}

    found = kept_lineage(
        warehouse.home(os.environ) / "lineage",
        # Without what differs between runs of the same SQL.
        _TIME.sub("timestamptz '2000-01-01'", sql.replace(invocation_id, "")),
        read_tables,
    )
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(_TRANSLATOR.get_asset_key(parents[schema, table]), of)
                for schema, table, of in origins
                if (schema, table) in parents
            ]
            for column, origins in found.items()
        }
    )


def _failures(
    invocation: DbtCliInvocation, error: DagsterDbtCliRuntimeError
) -> list[str]:
    """What each node that failed said; if dbt got to none, what dbt did."""
    try:
        results = invocation.get_artifact("run_results.json")["results"]
    except FileNotFoundError:
        results = []
    failed = [
        str(result["message"])
        for result in results
        if result["status"] in ("error", "fail", "runtime error")
    ]
    return failed or [str(error.description)]


def _keep_compiled(invocation: DbtCliInvocation) -> None:
    """Put the SQL that was run where the assets' descriptions are read from."""
    # Descriptions are no reason to fail.
    with suppress(OSError):
        shutil.copytree(
            _compiled_by(invocation), _compiled_directory(), dirs_exist_ok=True
        )


def _compiled_by(invocation: DbtCliInvocation) -> Path:
    name = str(MANIFEST["metadata"]["project_name"])
    return Path(invocation.target_path) / "compiled" / name


def _refreshed_monitors(
    connection: psycopg.Connection, invocation_id: object
) -> list[str]:
    """The monitors that had stale windows in an invocation of dbt."""
    if not exists(connection, "intermediate.int_stale_windows"):
        return []
    rows = connection.execute(
        "select distinct monitor from intermediate.int_stale_windows "
        "where invocation_id = %s",
        [invocation_id],
    ).fetchall()
    return [str(monitor) for (monitor,) in rows]
