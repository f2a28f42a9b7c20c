"""What all dashboards have in common, and their JSON."""

import json
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from grafana.panels import SqlQuery, datasource, tidy

TAG = "driftline"


def new_dashboard(uid: str, title: str, description: str) -> builders.Dashboard:
    """A dashboard in UTC, linked with its siblings, that nobody edits in the browser.

    Links between dashboards keep the time range and the variables that both have.
    """
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("utc")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-30d", "now")
        .refresh("5m")
        .link(
            builders.DashboardLink("Driftline")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
            .target_blank(False)
        )
    )


def deployments(condition: str) -> builders.AnnotationQuery:
    """A mark on every chart where a version went live."""
    return (
        builders.AnnotationQuery()
        .name("Deployments")
        .datasource(datasource())
        .enable(True)
        .icon_color("purple")
        .target(
            SqlQuery(
                f"""
                select
                    deployed_at as "time",
                    monitor || ', version ' || model_version
                        || coalesce(': ' || note, '') as text,
                    concat_ws(',', monitor, model_version) as tags
                from marts.deployments
                where {condition}
                    and $__timeFilter(deployed_at)
                order by 1
                """,
                is_series=False,
                ref_id="Deployments",
            )
        )
    )


def query_variable(
    name: str,
    label: str,
    sql: str,
    *,
    description: str,
    with_all: bool = False,
) -> builders.QueryVariable:
    """A variable whose values a query lists, the default first.

    ``with_all`` makes it take several values, all of them by default.
    """
    query = tidy(sql)
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(datasource())
        .query(query)
        .definition(query)
        .refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(models.VariableSort.DISABLED)
        .multi(with_all)
        .include_all(with_all)
        .allow_custom_value(False)
    )
    if with_all:
        variable.current(
            models.VariableOption(selected=True, text=["All"], value=["$__all"])
        )
    return variable


def owner_variable() -> builders.QueryVariable:
    """Whose monitors to show."""
    return query_variable(
        "owner",
        "Owner",
        "select distinct owner from marts.monitors order by owner",
        description="Whose monitors to show.",
        with_all=True,
    )


def grain_variable() -> builders.CustomVariable:
    """The length of the windows of traffic; the other marts have days only."""
    names = ("hour", "day")
    return (
        builders.CustomVariable("grain")
        .label("Traffic per")
        .description("Length of the windows in charts of traffic, errors and latency.")
        .values(",".join(names))
        .multi(False)
        .include_all(False)
        .allow_custom_value(False)
        .current(models.VariableOption(selected=True, text="hour", value="hour"))
        .options(
            [
                models.VariableOption(selected=name == "hour", text=name, value=name)
                for name in names
            ]
        )
    )


def as_json(dashboard: builders.Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana's file provisioning takes it."""
    content: dict[str, Any] = json.loads(
        json.dumps(dashboard.build(), cls=JSONEncoder, sort_keys=True)
    )
    for number, panel in enumerate(content["panels"], start=1):
        panel["id"] = number
        if "repeat" not in panel:
            panel.pop("repeatDirection", None)
    # The SDK's default would hide links and annotations in a menu.
    for shown in (*content["links"], *content["annotations"]["list"]):
        del shown["placement"]
    # These belong to variables of another type.
    for variable in content["templating"]["list"]:
        for name in ("auto", "auto_count", "auto_min"):
            del variable[name]
        # As Grafana writes it itself; without a value it takes the first option.
        variable |= {"hide": 0, "current": {}, "options": []} | variable
    return content
