"""What all dashboards have in common, and their JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from grafana.panels import SqlQuery, datasource, tidy

TAG = "driftline"

# The dashboards by what they show, which is how they link to each other.
UIDS = {
    name: f"driftline-{name}"
    for name in (
        "overview",
        "model",
        "drift",
        "data-quality",
        "segments",
        "service",
        "labels",
        "incident",
        "pipeline",
        "reference",
    )
}

# What the variables select, for SQL on one line: it is set into SQL that is indented.
OWNED = "monitor in (${owned:sqlstring})"
WHOLE = "model_version = 'all' and segment = 'all'"
MODEL = "monitor in (${monitor:sqlstring})"
VERSION = f"{MODEL} and model_version in (${{version:sqlstring}})"
SEGMENT = (
    f"{VERSION} and segment in (${{segment:sqlstring}}) "
    "and segment_value in (${segment_value:sqlstring})"
)
# Columns are shown for all segments together.
COLUMNS = f"{VERSION} and segment = 'all' and grain = 'day'"
COLUMN = f"{COLUMNS} and column_name in (${{column:sqlstring}})"

Variable = builders.QueryVariable


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


def newest_day(mart: str, condition: str) -> str:
    """SQL for the columns' rows of the newest day in the time range."""
    return f"""(
            select * from marts.{mart}
            where {COLUMNS}
                and {condition}
                and $__timeFilter(window_start)
            order by window_start desc
            fetch first 1 row with ties
        )"""


def of_monitors(
    name: str,
    title: str,
    description: str,
    variables: Sequence[Variable],
    *,
    condition: str = MODEL,
) -> builders.Dashboard:
    """A dashboard with variables and, for the monitors of a condition, annotations."""
    dashboard = new_dashboard(UIDS[name], title, description)
    for variable in variables:
        dashboard.with_variable(variable)
    return dashboard.annotation(_deployments(condition)).annotation(
        _incidents(condition)
    )


def url(
    name: str,
    kept: Sequence[str],
    *,
    renamed: Mapping[str, str] | None = None,
    **given: str,
) -> str:
    """Where a dashboard is, with the time range and the variables ``kept`` as they are.

    ``renamed`` variables get the value of another one of this dashboard, ``given`` ones
    that of a column of the row that is clicked.
    """
    parts = [
        "${__url_time_range}",
        *(f"${{{variable}:queryparam}}" for variable in kept),
        *(
            f"var-{variable}=${{{other}:percentencode}}"
            for variable, other in (renamed or {}).items()
        ),
        *(
            f"var-{variable}=${{__data.fields.{column}:percentencode}}"
            for variable, column in given.items()
        ),
    ]
    return f"/d/{UIDS[name]}?{'&'.join(parts)}"


def _deployments(condition: str) -> builders.AnnotationQuery:
    """A mark on every chart where a version went live."""
    return _annotation(
        "Deployments",
        "purple",
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
    )


def _incidents(condition: str) -> builders.AnnotationQuery:
    """A region on every chart while an incident lasted, until its last alert so far.

    Warnings would hide them: what drifts with the season does so for months.
    """
    return _annotation(
        "Critical incidents",
        "semi-dark-red",
        f"""
        select
            started_at as "time",
            coalesce(closed_at, last_alert_at) as timeend,
            title as text,
            concat_ws(',', monitor, severity, state) as tags
        from marts.incidents
        where {condition}
            and severity = 'critical'
            and started_at <= $__timeTo()
            and coalesce(closed_at, last_alert_at) >= $__timeFrom()
        order by 1
        """,
    )


def _annotation(name: str, colour: str, sql: str) -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name(name)
        .datasource(datasource())
        .enable(True)
        .icon_color(colour)
        .target(SqlQuery(sql, is_series=False, ref_id=name))
    )


def _query_variable(
    name: str,
    label: str,
    sql: str,
    *,
    description: str,
    with_all: bool = False,
) -> Variable:
    """A variable whose values a query lists, the default first.

    ``with_all`` makes it take several values, all of them by default.
    """
    query = tidy(sql)
    variable = (
        builders.QueryVariable(name)
        .label(label)
        .description(" ".join(description.split()))
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


def owner_variable() -> Variable:
    """Whose monitors to show."""
    return _query_variable(
        "owner",
        "Owner",
        "select distinct owner from marts.monitors order by owner",
        description="Whose monitors to show.",
        with_all=True,
    )


def owned_variable() -> Variable:
    """The monitors of the owners, so that no panel has to look them up."""
    return _query_variable(
        "owned",
        "Monitors",
        """
        select monitor
        from marts.monitors
        where owner in (${owner:sqlstring})
        order by monitor
        """,
        description="The monitors of the chosen owners; not shown.",
        with_all=True,
    ).hide(models.VariableHide.HIDE_VARIABLE)


def monitor_variable() -> Variable:
    """One monitored model."""
    return _query_variable(
        "monitor",
        "Monitor",
        """
        select monitor
        from marts.monitors
        where owner in (${owner:sqlstring})
        order by monitor
        """,
        description="The monitored model.",
    )


def version_variable() -> Variable:
    """A version, all together first. Weeks hold them all, and are few."""
    return _query_variable(
        "version",
        "Version",
        f"""
        select model_version
        from marts.status_codes
        where {MODEL}
            and segment = 'all'
            and grain = 'week'
        group by model_version
        order by model_version != 'all', model_version
        """,
        description="A version of the model, or all of them together.",
    )


def segment_variable() -> Variable:
    """By what to divide, not at all first."""
    return _query_variable(
        "segment",
        "Segment",
        f"""
        select segment
        from marts.status_codes
        where {VERSION}
            and grain = 'week'
        group by segment
        order by segment != 'all', segment
        """,
        description="By what to divide the predictions, or all for no division.",
    )


def division_variable() -> Variable:
    """The same where parts are compared: those that fairness is asked of first.

    Of another name than the segment of other dashboards, which is all by default: links
    would carry the one to the other.
    """
    return _query_variable(
        "division",
        "Segment",
        f"""
        select segment
        from (
            select
                segment,
                count(*) over () as segment_count
            from marts.status_codes
            where {VERSION}
                and grain = 'week'
            group by segment
        ) as segments
        where segment != 'all'
            or segment_count = 1
        order by not exists (
            select 1
            from marts.fairness
            where {VERSION}
                and fairness.segment = segments.segment
                and grain = 'week'
        ), segment
        """,
        description="By what to divide the predictions.",
    )


def segment_value_variable() -> Variable:
    """One part of what is divided."""
    return _query_variable(
        "segment_value",
        "Segment value",
        f"""
        select segment_value
        from marts.status_codes
        where {VERSION}
            and segment in (${{segment:sqlstring}})
            and grain = 'week'
        group by segment_value
        order by segment_value
        """,
        description="The part of the predictions to show.",
    )


def grain_variable(condition: str) -> Variable:
    """The length of the windows of traffic, of those that the monitors have."""
    return _query_variable(
        "grain",
        "Traffic per",
        f"""
        select grain
        from (
            values
            ('hour', 1), ('day', 2), ('week', 3), ('15 minutes', 4), ('5 minutes', 5)
        ) as grains (grain, place)
        where exists (
            select 1
            from marts.status_codes
            where {condition}
                and status_codes.grain = grains.grain
        )
        order by place
        """,
        description="Length of the windows in charts of traffic, errors and latency.",
    )


def column_variable() -> Variable:
    """Columns to show in detail. Weeks hold them all, and are few."""
    return _query_variable(
        "column",
        "Column",
        f"""
        select column_name
        from marts.data_quality
        where {VERSION}
            and segment = 'all'
            and grain = 'week'
        group by column_name
        order by column_name
        """,
        description="The columns to show in detail.",
        with_all=True,
    )


def incident_variable() -> Variable:
    """An incident of the monitor, the newest first."""
    return _query_variable(
        "incident",
        "Incident",
        f"""
        select
            incident_id as __value,
            to_char(started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' ' || title
                as __text
        from marts.incidents
        where {MODEL}
        order by started_at desc, incident_id
        """,
        description="What goes on, or went on, of the monitor: the newest first.",
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
        if panel["type"] == "table":
            # Of tables before Grafana 12.
            del panel["options"]["footer"]
            panel["fieldConfig"]["defaults"]["custom"]["cellOptions"] = {"type": "auto"}
    # The SDK's default would hide links and annotations in a menu.
    for shown in (*content["links"], *content.get("annotations", {}).get("list", [])):
        del shown["placement"]
    # These belong to variables of another type.
    for variable in content.get("templating", {}).get("list", []):
        for name in ("auto", "auto_count", "auto_min"):
            del variable[name]
        # As Grafana writes it itself; without a value it takes the first option.
        variable |= {"hide": 0, "current": {}, "options": []} | variable
    return content
