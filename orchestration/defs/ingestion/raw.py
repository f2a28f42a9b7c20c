"""The raw tables, under the keys that dbt gives its sources, so that lineage joins.

In a warehouse of your own your services fill them: Dagster only watches. In the
embedded one nobody does, and the simulator can: only there is it an asset, so that no
click can mix simulated flights into real predictions.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
from pydantic import Field

from orchestration import warehouse
from orchestration.defs.transformation.dbt import (
    ALL_OWNERS,
    MANIFEST,
    MONITORS,
    LayerTranslator,
)

IS_SIMULATED = warehouse.settings(os.environ) == warehouse.embedded_settings(
    warehouse.home(os.environ)
)

_TRANSLATOR = LayerTranslator()

# Evidently's results are a source too, but one that this project writes.
_SOURCES: Mapping[dg.AssetKey, Mapping[str, Any]] = {
    _TRANSLATOR.get_asset_key(source): source
    for source in MANIFEST["sources"].values()
    if source["source_name"] != "evidently"
}

# Works of statistics alone: no table is read.
_ACTIVITY = """
    select
        coalesce(sum(n_live_tup), 0)::bigint as row_count,
        coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint as change_count
    from pg_stat_user_tables
    -- A table that has no partitions is not in its own tree.
    where
        relid = to_regclass(%(relation)s)
        or relid in (select relid from pg_partition_tree(to_regclass(%(relation)s)))
"""


def _read_by_monitors() -> list[str]:
    """The sources that the monitored relations are made of, as SQL names them."""
    read = {relation.name for monitor in MONITORS for relation in monitor.relations}
    waiting = [
        unique_id
        for unique_id, node in MANIFEST["nodes"].items()
        if node["resource_type"] == "model" and node["alias"] in read
    ]
    found: set[str] = set()
    while waiting:
        unique_id = waiting.pop()
        if unique_id not in found:
            found.add(unique_id)
            waiting += MANIFEST["parent_map"].get(unique_id, [])
    return sorted(
        _relation(source)
        for unique_id, source in MANIFEST["sources"].items()
        if unique_id in found
    )


def _relation(source: Mapping[str, Any]) -> str:
    return f'"{source["schema"]}"."{source["identifier"]}"'


_READ_BY_MONITORS = _read_by_monitors()


def log_activity(connection: psycopg.Connection) -> str:
    """What differs if any row of the monitored tables was written since.

    A restart of the server can change it, too.
    """
    counts = []
    for relation in _READ_BY_MONITORS:
        row = connection.execute(_ACTIVITY, {"relation": relation}).fetchone()
        counts.append(f"{relation} {row[1] if row else 0}")
    return ", ".join(counts)


class SimulationConfig(dg.Config):
    """What to replay; run again, it adds the days that are missing."""

    weeks: int = Field(default=8, ge=1, description="Weeks served after the training.")
    seed: int = Field(default=13, ge=0, description="The same seed, the same rows.")
    scenario: str = Field(
        default="default",
        description=(
            "What goes wrong: default, catalogue, random (drawn by the seed), none, or "
            "a YAML file."
        ),
    )
    shift: bool = Field(
        default=True, description="Move 2013 so that it ends yesterday, or leave it."
    )


# The simulator fills the tables of the prediction log, and no other source.
_LOG = {key: each for key, each in _SOURCES.items() if each["source_name"] == "raw"}
_OTHERS = {key: each for key, each in _SOURCES.items() if key not in _LOG}


def _specs(sources: Mapping[dg.AssetKey, Mapping[str, Any]]) -> list[dg.AssetSpec]:
    # In a list of the module, Dagster would find them a second time.
    return [
        dg.AssetSpec(
            key,
            description=source["description"],
            group_name=source["source_name"],
            kinds={"postgres"},
            owners=ALL_OWNERS,
        )
        for key, source in sorted(sources.items())
    ]


def _simulated() -> dg.AssetsDefinition:
    @dg.multi_asset(name="simulated_traffic", specs=_specs(_LOG))
    def simulated_traffic(
        context: dg.AssetExecutionContext, config: SimulationConfig
    ) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        """Real flights of 2013, served through three models as if they were today's."""
        # scikit-learn takes seconds to import.
        from simulator.flights import data_directory, read_flights
        from simulator.replay import ReplayOptions, simulate
        from simulator.scenarios import named_scenario

        options = ReplayOptions(
            scenario=named_scenario(config.scenario, seed=config.seed),
            weeks=config.weeks,
            seed=config.seed,
            is_shifted=config.shift,
        )
        settings = warehouse.settings(os.environ)
        with warehouse.connect(settings, autocommit=True) as connection:
            result = simulate(
                connection,
                options,
                read_flights(data_directory()),
                now=datetime.now(UTC),
            )
        context.log.info(f"Served {result.served_from} to {result.served_until}.")
        for key, source in sorted(_LOG.items()):
            counts = result.counts.get(source["identifier"])
            yield dg.MaterializeResult(
                key,
                metadata={
                    "received_count": counts.received,
                    "loaded_count": counts.loaded,
                    "duplicate_count": counts.duplicates,
                    "quarantined_count": counts.quarantined,
                }
                if counts is not None
                else {},
            )

    return simulated_traffic


def _observed(
    sources: Mapping[dg.AssetKey, Mapping[str, Any]],
) -> dg.AssetsDefinition:
    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]
        name="raw_tables", specs=_specs(sources), can_subset=True
    )
    def raw_tables(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.ObserveResult]:
        """How many rows the tables have, by Postgres's own statistics."""
        settings = warehouse.settings(os.environ)
        with warehouse.connect(settings, autocommit=True) as connection:
            for key in sorted(context.selected_asset_keys):
                source = sources[key]
                row = connection.execute(
                    _ACTIVITY, {"relation": _relation(source)}
                ).fetchone()
                row_count, change_count = row or (0, 0)
                yield dg.ObserveResult(
                    key,
                    data_version=dg.DataVersion(str(change_count)),
                    metadata={"estimated_row_count": row_count},
                )

    assets: dg.AssetsDefinition = raw_tables
    return assets


if IS_SIMULATED:
    simulated_assets = _simulated()
if observed := _OTHERS if IS_SIMULATED else _SOURCES:
    observed_assets = _observed(observed)
