"""What the dashboards' files hold beside their queries."""

from collections.abc import Iterator
from typing import Any

from grafana.queries import Dashboard, panels


def links(dashboard: Dashboard) -> Iterator[tuple[dict[str, Any], str]]:
    """Every link of a table column, with its panel."""
    for panel in panels(dashboard):
        for override in overrides(panel):
            for item in override["properties"]:
                if item["id"] == "links":
                    yield from ((panel, link["url"]) for link in item["value"])


def overrides(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """What a panel changes of single series or columns."""
    found: list[dict[str, Any]] = panel.get("fieldConfig", {}).get("overrides", [])
    return found
