"""Grafana's own alerts: for those who would rather be told by it than by Driftline.

What deserves attention is decided in dbt; these only ask the marts for the outcome.
"""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from grafana import emission, style
from grafana.pages import page_path
from grafana.panels import DATASOURCE_TYPE, DATASOURCE_UID, tidy

# A day, and the time that a run may take: for schedules of a day or shorter.
LONGEST_PAUSE_SECONDS = 26 * 3600

_RECEIVER = "Driftline"
_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}
_HEADER = """\
# Made by `python -m grafana.build`: change grafana/alerting.py.
"""


class _Literal(str):
    """Text that YAML shows on lines of its own."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Literal,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", str(text), style="|"
    ),
)


def rules_file(dashboards: Mapping[str, str]) -> str:
    """The rules as Grafana's file provisioning takes them.

    ``dashboards`` are the files of the dashboards, whose panels the rules link to.
    """
    panels = {
        (content["uid"], panel["title"]): panel["id"]
        for content in map(json.loads, dashboards.values())
        for panel in content["panels"]
    }
    content = {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": "Driftline",
                "folder": "Driftline",
                "interval": "5m",
                "rules": [_as_yaml(panels, **rule) for rule in _rules()],
            }
        ],
    }
    return _HEADER + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88
    )


def _rules() -> list[dict[str, Any]]:
    """What each rule asks, from which value on it fires, and what it says.

    Each SQL gives one number now, for each monitor that it names.
    """
    return [
        {
            "uid": "driftline-open-incidents",
            "title": "Incident is open",
            "sql": """
                select
                    now() as "time",
                    monitors.monitor,
                    count(incidents.incident_id) as open_incidents
                from marts.monitors as monitors
                left join marts.incidents as incidents
                    on monitors.monitor = incidents.monitor
                    and incidents.state = 'open'
                    and not incidents.is_muted
                group by monitors.monitor
                order by 1, 2
                """,
            "above": 0,
            "panel": ("overview", "Incidents that go on, newest first"),
            "runbook": "An incident is open",
            "summary": "{{ $$labels.monitor }}: {{ $$values.B.Value }} incidents are"
            " open",
            "severity": "warning",
            # No monitor, no incident.
            "no_data": "OK",
        },
        {
            "uid": "driftline-stale-data",
            "title": "Data is stale",
            "sql": f"""
                select
                    now() as "time",
                    monitor,
                    {style.status_code("freshness_status")} as freshness
                from marts.monitors
                order by 1, 2
                """,
            # 2 is a warning, 3 critical: see style.status_code.
            "above": 1,
            "panel": ("pipeline", "Freshness by monitor, stalest first"),
            "runbook": "Data is stale",
            "summary": "{{ $$labels.monitor }}: no prediction for longer than is"
            " allowed or usual",
            "severity": "critical",
            "no_data": "OK",
        },
        {
            "uid": "driftline-failed-run",
            "title": "Pipeline run failed",
            "sql": f"""
                select
                    now() as "time",
                    {style.status_code("status")} as run
                from marts.pipeline_runs
                order by ended_at desc
                limit 1
                """,
            "above": 2,
            "panel": ("pipeline", "Last run"),
            "runbook": "A pipeline run failed",
            "summary": "A model of the newest dbt run failed or was skipped",
            "severity": "critical",
            # Nothing has run: the next rule's.
            "no_data": "OK",
        },
        {
            "uid": "driftline-no-run",
            "title": "Pipeline does not run",
            "sql": """
                select
                    now() as "time",
                    extract(epoch from (now() - max(ended_at)))::double precision as age
                from marts.pipeline_runs
                """,
            "above": LONGEST_PAUSE_SECONDS,
            "panel": ("pipeline", "Last run"),
            "runbook": "The pipeline does not run",
            "summary": "No dbt run has ended for"
            f" {LONGEST_PAUSE_SECONDS // 3600} hours",
            "severity": "critical",
            "no_data": "Alerting",
        },
    ]


def _as_yaml(
    panels: Mapping[tuple[str, str], int],
    *,
    uid: str,
    title: str,
    sql: str,
    above: float,
    panel: tuple[str, str],
    runbook: str,
    summary: str,
    severity: str,
    no_data: str,
) -> dict[str, Any]:
    dashboard, panel_title = panel
    dashboard_uid = emission.UIDS[dashboard]
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "data": [
            _query(
                "A",
                {"type": DATASOURCE_TYPE, "uid": DATASOURCE_UID},
                editorMode="code",
                # Grafana takes no other from Postgres for alerts.
                format="time_series",
                rawQuery=True,
                rawSql=_Literal(tidy(sql)),
            ),
            _query("B", _EXPRESSION, type="reduce", expression="A", reducer="last"),
            _query(
                "C",
                _EXPRESSION,
                type="threshold",
                expression="B",
                conditions=[{"evaluator": {"type": "gt", "params": [above]}}],
            ),
        ],
        "dashboardUid": dashboard_uid,
        "panelId": panels[dashboard_uid, panel_title],
        "noDataState": no_data,
        "execErrState": "Error",
        "for": "0s",
        "annotations": {
            # Provisioning expands variables of the environment: hence two dollars.
            "summary": summary,
            "description": f"docs/runbooks.md, {runbook}",
            "runbook_url": "{{ externalURL }}" + page_path("runbooks"),
        },
        "labels": {"severity": severity, "source": "driftline"},
        "isPaused": False,
        # Leaves the notification policies as they are.
        "notification_settings": {"receiver": _RECEIVER},
    }


def _query(ref_id: str, datasource: Mapping[str, str], **model: Any) -> dict[str, Any]:
    return {
        "refId": ref_id,
        "datasourceUid": datasource["uid"],
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {"refId": ref_id, "datasource": dict(datasource), **model},
    }
