"""One incident: what was found, in what order, and what may have caused it."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries

from grafana import emission, panels, style
from grafana.pages import page_path
from grafana.panels import HOURLY, Property, figures

_INCIDENT = "incident_id in (${incident:sqlstring})"
_KEPT = ("owner", "monitor")
_RUNBOOKS = f"/{page_path('alerts')}&${{__url_time_range}}"


def build() -> builders.Dashboard:
    """What is known in words, then the first suspect over time, then all alerts."""
    dashboard = emission.of_monitors(
        "incident",
        "Driftline incident",
        "The facts behind one incident: its alerts, first suspect, possible causes.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.incident_variable(),
        ],
    )
    for panel in (
        *_headlines(),
        _facts(),
        _suspect(),
        _course(),
        _alerts(),
        _tests(),
    ):
        dashboard.with_panel(panel)
    return dashboard


def _headlines() -> list[stat.Panel]:
    state = panels.stats(
        "State",
        f"""
        select
            severity as "Severity",
            state as "State",
            alert_count as "Alerts",
            cardinality(rule_ids) as "Rules",
            cardinality(column_names) as "Columns"
        from marts.incidents
        where {_INCIDENT}
        """,
        description="""How bad the worst of its alerts was, whether it goes on, and how
            much belongs to it: windows that fired, over rules and columns.
            Acknowledged means that somebody looks after it.""",
        reference="alerts",
        unit="short",
        steps=style.NO_THRESHOLD,
        no_value="No such incident",
        width=24,
        interval=HOURLY,
    )
    state.override_by_name("Severity", [Property("mappings", style.status_mappings())])
    state.override_by_name("State", [Property("mappings", style.state_mappings())])
    return [state]


def _facts() -> table.Panel:
    panel = panels.rows(
        "What is known",
        f"""
        select
            facts.name as "Fact",
            facts.value as "Value"
        from marts.incidents
        cross join lateral (
            values
            (1, 'Monitor', monitor),
            (2, 'Owner', owner),
            (3, 'Began', to_char(started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
            (4, 'Noticed', to_char(opened_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
            (5, 'Last alert',
                to_char(last_alert_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
            (6, 'Over', coalesce(
                to_char(closed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                'not yet')),
            (7, 'First suspect', suspect_reason),
            (8, 'Rule', suspect_rule_id),
            (9, 'Possible causes', coalesce(
                nullif(array_to_string(possible_causes, '; '), ''), 'none is known')),
            (10, 'Families', array_to_string(families, ', ')),
            (11, 'Columns', array_to_string(column_names, ', ')),
            (12, 'Versions', array_to_string(model_versions, ', ')),
            (13, 'Acknowledged', coalesce(
                acknowledged_by || coalesce(': ' || acknowledged_note, ''),
                'by nobody'))
        ) as facts (place, name, value)
        where {_INCIDENT}
        order by facts.place
        """,
        description="""The incident in words; times are those of the data, in UTC. The
            first suspect is what went wrong furthest upstream of all that began
            together; possible causes are deployments and failed tests from a day before
            it began. Click the rule for what to do.""",
        reference="alerts",
        no_value="No such incident",
        width=10,
        height=15,
        interval=HOURLY,
    )
    panel.show_header(False)
    panel.override_by_name("Fact", [Property("custom.width", 130)])
    return panel.override_by_name(
        "Value",
        [*panels.wrapped_cell(), panels.link("What to do", _RUNBOOKS)],
    )


def _suspect() -> timeseries.Panel:
    panel = panels.lines(
        "The first suspect and its bounds",
        f"""
        select
            evaluations.window_start as "time",
            figures.metric,
            figures.value
        from marts.incidents as incidents
        inner join marts.rule_evaluations as evaluations
            on incidents.monitor = evaluations.monitor
            and incidents.suspect_rule_id = evaluations.rule_id
            and incidents.suspect_model_version = evaluations.model_version
            and incidents.suspect_segment = evaluations.segment
            and incidents.suspect_segment_value = evaluations.segment_value
            and incidents.suspect_column_name = evaluations.column_name
        {
            figures(
                "evaluations.value as found",
                "evaluations.expected as expected",
                "evaluations.warning_bound as warning bound",
                "evaluations.critical_bound as critical bound",
            )
        }
        where {_INCIDENT}
            and figures.value is not null
            and $__timeFilter(evaluations.window_start)
        order by 1, 2
        """,
        description="""The figure that was found first, in its own unit, with what was
            expected of each window and where the rule draws its lines. It shows when
            it began, whether it is over, and by how much it was beyond.""",
        reference="alerts",
        unit="none",
        no_value="The incident is outside of this time range",
        width=14,
        height=15,
        interval=HOURLY,
    )
    panel.override_by_name("found", panels.line_style(style.MEASURED))
    panel.override_by_name("expected", panels.reference_style())
    panel.override_by_name("warning bound", panels.limit_style(style.WARNING))
    return panel.override_by_name("critical bound", panels.limit_style(style.CRITICAL))


def _course() -> statetimeline.Panel:
    return panels.status_timeline(
        "Which rules fired when",
        f"""
        select
            window_start as "time",
            rule_id || case column_name when 'all' then '' else ', ' || column_name end
                || case model_version when 'all' then '' else ', ' || model_version end
                as metric,
            max({style.status_code("severity")}) as code
        from marts.alerts
        where {_INCIDENT}
            and $__timeFilter(window_start)
        group by 1, 2
        order by 1, 2
        """,
        description="""One band for each rule and column of the incident, in the windows
            in which it fired. The first ones are nearest to the cause; what follows is
            often its consequence.""",
        reference="alerts",
        no_value="The incident is outside of this time range",
        width=24,
        height=8,
        interval=HOURLY,
    )


def _alerts() -> table.Panel:
    panel = panels.rows(
        "All alerts, oldest first",
        f"""
        select
            window_start as "Window",
            grain as "Grain",
            severity as "Severity",
            rule_id as "Rule",
            column_name as "Column",
            model_version as "Version",
            value as "Found",
            expected as "Expected",
            threshold as "Bound",
            sample_count as "Rows",
            reason as "Sentence"
        from marts.alerts
        where {_INCIDENT}
        order by window_start, rule_id, column_name, model_version
        limit 500
        """,
        description="""Every window that fired, whatever time range is chosen, up to
            500: the figure, what was expected, the bound that was crossed, and the rows
            that it rests on. Click a rule for what to do.""",
        reference="alerts",
        no_value="No such incident",
        width=24,
        height=10,
        interval=HOURLY,
    )
    panel.override_by_name("Window", panels.time_cell())
    panel.override_by_name("Grain", [Property("custom.width", 80)])
    panel.override_by_name("Severity", panels.status_cell(width=100))
    panel.override_by_name(
        "Rule",
        [Property("custom.width", 170), panels.link("What to do", _RUNBOOKS)],
    )
    panel.override_by_name("Column", [Property("custom.width", 170)])
    panel.override_by_name("Version", [Property("custom.width", 90)])
    for value in ("Found", "Expected", "Bound"):
        panel.override_by_name(value, panels.number_cell("none", width=100, decimals=3))
    panel.override_by_name("Rows", panels.number_cell("short", width=80))
    return panel.override_by_name("Sentence", [Property("custom.inspect", True)])


def _tests() -> table.Panel:
    panel = panels.rows(
        "Failed tests around its beginning",
        f"""
        select
            failed_tests.failed_at as "Failed",
            failed_tests.test_name as "Test",
            failed_tests.message as "Message"
        from marts.incidents as incidents
        inner join marts.failed_tests as failed_tests
            on failed_tests.failed_at >= incidents.started_at - interval '24 hours'
            and failed_tests.failed_at <= incidents.opened_at + interval '24 hours'
            and coalesce(failed_tests.monitor, incidents.monitor) = incidents.monitor
        where {_INCIDENT}
        order by failed_tests.failed_at, failed_tests.test_name
        limit 100
        """,
        description="""Data tests of dbt that failed, and predictions that stayed away,
            from a day before it began until a day after it was noticed. Often the
            same fault, seen from the warehouse.""",
        reference="alerts",
        no_value="No test failed around that time",
        width=24,
        height=7,
        interval=HOURLY,
    )
    panel.override_by_name("Failed", panels.time_cell())
    panel.override_by_name("Test", [Property("custom.width", 220)])
    return panel.override_by_name("Message", [Property("custom.inspect", True)])
