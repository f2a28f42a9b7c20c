"""Tags of runs, by which they are found in Dagster's list of them."""

from collections.abc import Collection

import dagster as dg


def tag_run(
    context: dg.AssetExecutionContext, monitors: Collection[str], what: str
) -> None:
    """Say of a run what it did to these monitors: the tag ``monitor/<name>``."""
    if monitors:
        context.instance.add_run_tags(
            context.run.run_id, {f"monitor/{name}": what for name in sorted(monitors)}
        )
