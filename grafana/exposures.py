"""What dbt should know of the dashboards: which marts each of them reads."""

from collections.abc import Iterable
from typing import Any

import yaml

from grafana.queries import (
    Query,
    alert_queries,
    queries,
    read_dashboards,
    relations,
)

_HEADER = """\
# Made by `python -m grafana.build` out of the dashboards' queries.
"""


def exposures_file() -> str:
    """The exposures of all dashboards that ask for anything, and of the alert rules."""
    exposures = [
        _exposure(
            uid.removeprefix("driftline-"),
            dashboard["title"],
            dashboard["description"],
            "dashboard",
            asked,
        )
        for uid, dashboard in read_dashboards().items()
        if (asked := list(queries(dashboard)))
    ]
    exposures.append(
        _exposure(
            "alerts",
            "Grafana's alerts",
            "Open incidents, stale data, and runs of dbt that failed or are missing.",
            "application",
            alert_queries(),
        )
    )
    return _HEADER + yaml.safe_dump(
        {"version": 2, "exposures": exposures},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def _exposure(
    name: str, label: str, description: str, kind: str, asked: Iterable[Query]
) -> dict[str, Any]:
    marts = {mart for query in asked for mart in relations(query.sql)}
    return {
        "name": f"grafana_{name.replace('-', '_')}",
        "label": label,
        "type": kind,
        "description": description,
        "owner": {"name": "Driftline"},
        "depends_on": [
            f"ref('{mart.removeprefix('marts.')}')" for mart in sorted(marts)
        ],
    }
