"""The SQL that dashboards and alert rules send, as Grafana would send it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

GRAFANA_DIR = Path(__file__).resolve().parent
DASHBOARD_FILES = sorted((GRAFANA_DIR / "dashboards").glob("*.json"))
ALERTING_DIR = GRAFANA_DIR / "provisioning" / "alerting"

Dashboard = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query of a panel, an annotation, a variable or an alert rule."""

    place: str
    sql: str
    is_series: bool
    panel: dict[str, Any] | None = None


def read_dashboards() -> dict[str, Dashboard]:
    """All dashboards by the name of their file, without its suffix."""
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARD_FILES}


def panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    """All panels but the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard.get("templating", {}).get("list", [])
    return found


def annotations(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard.get("annotations", {}).get("list", [])
    return found


def alert_rules() -> list[dict[str, Any]]:
    """The rules that Grafana is provisioned with."""
    content = yaml.safe_load((ALERTING_DIR / "rules.yaml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


def alert_queries() -> Iterator[Query]:
    """The SQL of each alert rule."""
    for rule in alert_rules():
        yield Query(
            place=f"alert {rule['title']}",
            sql=rule["data"][0]["model"]["rawSql"],
            is_series=True,
        )


def queries(dashboard: Dashboard) -> Iterator[Query]:
    """Every query that the dashboard sends."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            # A second query of a panel gives the bounds of alert rules.
            part = "" if target["refId"] == "A" else ", bounds"
            yield Query(
                place=f"panel {panel['title']}{part}",
                sql=target["rawSql"],
                is_series=target["format"] == "time_series",
                panel=panel,
            )
    for annotation in annotations(dashboard):
        yield Query(
            place=f"annotation {annotation['name']}",
            sql=annotation["target"]["rawSql"],
            is_series=False,
        )
    for variable in variables(dashboard):
        if variable["type"] == "query":
            yield Query(
                place=f"variable {variable['name']}",
                sql=variable["query"],
                is_series=False,
            )


def relations(sql: str) -> set[str]:
    """The names after ``from`` and ``join``."""
    return set(re.findall(r"\b(?:from|join)\s+(?!lateral\b)([a-z_][\w.]*)", sql))


def interpolated(
    sql: str,
    values: Mapping[str, Sequence[str]],
    *,
    start: datetime,
    end: datetime,
) -> str:
    """The SQL with variables and macros as Grafana expands them for Postgres.

    Raises ``ValueError`` if something is left that Grafana would expand.
    """
    first, last = (
        f"'{moment.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z'"
        for moment in (start, end)
    )

    def quoted(match: re.Match[str]) -> str:
        return ",".join(
            "'" + value.replace("'", "''") + "'" for value in values[match[1]]
        )

    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def grouped(match: re.Match[str]) -> str:
        width = int(match[3]) * seconds[match[4]]
        column = f"floor(extract(epoch from {match[2]})/{width})*{width}"
        return f'{column} AS "time"' if match[1] == "Alias" else column

    expanded = re.sub(r"\$\{(\w+):sqlstring\}", quoted, sql)
    for pattern, replacement in (
        (r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {first} AND {last}"),
        (r"\$__timeFrom\(\)", first),
        (r"\$__timeTo\(\)", last),
        (
            r"\$__unixEpochFilter\(([^()]+)\)",
            rf"\1 >= {int(start.timestamp())} AND \1 <= {int(end.timestamp())}",
        ),
        (r"\$__interval_ms\b", "3600000"),
        (r"\$__interval\b", "1h"),
    ):
        expanded = re.sub(pattern, replacement, expanded)
    expanded = re.sub(
        r"\$__timeGroup(Alias)?\(([^(),]+),\s*'(\d+)([smhd])'\)", grouped, expanded
    )
    if "$" in expanded:
        raise ValueError(f"Grafana would expand more of this: {expanded}")
    return expanded


def opened(
    dashboard: Dashboard,
    options_of: Callable[[str, Mapping[str, Sequence[str]]], list[str]],
    **chosen: str,
) -> dict[str, list[str]]:
    """The values of a dashboard that was just opened: All, or the first option.

    ``options_of`` runs the SQL of a variable with the values of those before it;
    ``chosen`` are picked instead, as by a click. Raises ``ValueError`` if a variable
    has no value, or not the chosen one.
    """
    values: dict[str, list[str]] = {}
    for variable in variables(dashboard):
        name = variable["name"]
        options = options_of(variable["query"], values)
        if not options:
            raise ValueError(f"{name} has no value")
        if name in chosen:
            if chosen[name] not in options:
                raise ValueError(f"{name} has no value {chosen[name]}, but {options}")
            values[name] = [chosen[name]]
        else:
            values[name] = options if variable["includeAll"] else options[:1]
    return values
