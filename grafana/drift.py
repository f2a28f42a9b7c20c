"""What changed in the columns of a model, by SQL and by Evidently."""

from grafana_foundation_sdk.builders import (
    bargauge,
    heatmap,
    stat,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.common import ScaleDistribution

from grafana import emission, panels, rules, style
from grafana.emission import COLUMN, COLUMNS, newest_day
from grafana.model import histogram
from grafana.panels import DAILY, Property, figures

_TO_COLUMN = emission.url("drift", ("owner", "monitor", "version"), column="Column")
_CHOSEN = "column_name in (${column:sqlstring})"
_NO_EVIDENTLY = "Evidently judges all versions together: choose version all"
# By default the headline method is PSI, whose bound for a whole week this is.
_SCORE = rules.steps("slow_drift")


def build() -> builders.Dashboard:
    """How much drifts, since when, what most; then each chosen column."""
    dashboard = emission.of_monitors(
        "drift",
        "Driftline drift",
        "How far the columns of one model are from their baseline, and since when.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.column_variable(),
        ],
    )
    for panel in (_headlines(), _share(), *_history(), _worst(), _scores()):
        dashboard.with_panel(panel)
    # One such row for each column that is chosen.
    dashboard.with_row(builders.Row("Column: $column").repeat("column"))
    for chart in (
        *_column(),
        histogram("Newest day", _CHOSEN),
    ):
        dashboard.with_panel(chart)
    return dashboard


def _headlines() -> stat.Panel:
    panel = panels.stats(
        "Columns on the newest day",
        f"""
        select
            count(*) filter (where is_drifted) as "Drifted",
            count(*) filter (where status = 'critical') as "Critical"
        from {newest_day("drift", "is_headline and role != 'actual'")} as newest
        having count(*) > 0
        """,
        description="""Columns whose headline score is above its threshold and its noise
            floor on the newest day in the time range, and those of them that are far
            above both, as the mart judges it. Seasons move many; one that moves alone
            broke or was changed.""",
        reference="drift",
        unit="short",
        steps=style.NO_THRESHOLD,
        no_value="No day in this time range",
        width=8,
        height=8,
        interval=DAILY,
    )
    return panel.override_by_name(
        "Critical", panels.threshold_style(style.NONE_EXPECTED)
    )


def _share() -> timeseries.Panel:
    panel = panels.lines(
        "Share of drifted columns",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.drift
        {
            figures(
                "case engine when 'sql' then score end as by SQL",
                "case engine when 'evidently' then score end as by Evidently",
            )
        }
        where {COLUMNS}
            and role = 'dataset'
            and compared_to = 'baseline'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Part of the features whose distribution differs from the
            baseline's, by day. A step is a change of the pipeline, a slope is the
            season or the world.""",
        reference="drift",
        unit="percentunit",
        no_value="No days in this time range",
        width=16,
        height=8,
        interval=DAILY,
        minimum=0,
        maximum=1,
    )
    panel.override_by_name("by SQL", panels.line_style(style.MEASURED))
    return panel.override_by_name("by Evidently", panels.line_style(style.SECONDARY))


def _history() -> list[statushistory.Panel | heatmap.Panel]:
    def statuses(condition: str) -> str:
        return f"""
            select
                window_start as "time",
                column_name as metric,
                {style.status_code("status")} as code
            from marts.drift
            where {COLUMN}
                and {condition}
                and $__timeFilter(window_start)
            order by 1, 2
            """

    return [
        panels.status_grid(
            "Drift by column and day",
            statuses("is_headline"),
            description="""Each cell is one day of one column: amber where its drift
                score is above threshold and noise floor, red where it is far above.
                A column that turns at once broke or was changed; many that turn
                slowly are the season, or the world.""",
            reference="drift",
            no_value="No days in this time range",
            width=12,
            height=12,
            interval=DAILY,
        ),
        panels.heat(
            "Drift score by column and day",
            f"""
            select
                window_start as "time",
                column_name as metric,
                score
            from marts.drift
            where {COLUMN}
                and is_headline
                and score is not null
                and $__timeFilter(window_start)
            order by 1, 2
            """,
            description="""The headline score itself, by default the PSI: the darker,
                the further from the baseline, up to four times the bound of slow drift.
                Compare a column with itself on other days.""",
            reference="drift",
            no_value="No days in this time range",
            width=12,
            height=12,
            interval=DAILY,
            maximum=4 * float(_SCORE[-1][0] or 0),
        ),
        panels.status_grid(
            "Drift by column and day, by Evidently",
            statuses("engine = 'evidently' and role != 'dataset'"),
            description="""The second opinion, on a sample of each day's rows, by the
                test that suits the column. Where it disagrees with SQL, look at the
                column's own scores below.""",
            reference="drift",
            no_value=_NO_EVIDENTLY,
            width=12,
            height=11,
            interval=DAILY,
        ),
    ]


def _worst() -> bargauge.Panel:
    return panels.ranking(
        "Furthest from the baseline on the newest day",
        f"""
        select
            column_name as "Column",
            score as "Score"
        from {newest_day("drift", "is_headline and score is not null")} as newest
        order by score desc, column_name
        limit 12
        """,
        description="""The twelve columns with the highest headline scores on the newest
            day in the time range. Amber begins where the alert rule of slow drift
            would find a whole week of it.""",
        reference="drift",
        unit="none",
        no_value="No day in this time range",
        width=12,
        height=11,
        interval=DAILY,
        steps=_SCORE,
        decimals=3,
    )


def _scores() -> table.Panel:
    panel = panels.rows(
        "All scores of the newest day",
        f"""
        select
            column_name as "Column",
            method as "Method",
            compared_to as "Compared to",
            engine as "Engine",
            status as "Status",
            score as "Score",
            threshold as "Threshold",
            noise_floor as "Noise floor",
            p_value_adjusted as "Adjusted p-value",
            sample_count as "Rows",
            reason as "Why"
        from {newest_day("drift", _CHOSEN)} as newest
        order by {style.status_code("status")} desc, column_name, engine, method,
            compared_to
        """,
        description="""Every method and comparison of the chosen columns on the newest
            day in the time range. One that fires against the day before as well is a
            step of that day; against the baseline alone, it has been so for longer.
            Click a column to see only it.""",
        reference="drift",
        no_value="No day in this time range",
        width=24,
        height=10,
        interval=DAILY,
    )
    panel.override_by_name(
        "Column",
        [
            Property("custom.width", 150),
            panels.link("Show ${__data.fields.Column}", _TO_COLUMN),
        ],
    )
    for name, width in (("Method", 140), ("Compared to", 120), ("Engine", 95)):
        panel.override_by_name(name, [Property("custom.width", width)])
    panel.override_by_name("Status", panels.status_cell(width=120))
    for score, width in (
        ("Score", 90),
        ("Threshold", 110),
        ("Noise floor", 115),
        ("Adjusted p-value", 150),
    ):
        panel.override_by_name(
            score, panels.number_cell("none", width=width, decimals=3)
        )
    panel.override_by_name("Rows", panels.number_cell("short", width=80))
    return panel.override_by_name("Why", [Property("custom.inspect", True)])


def _column() -> list[timeseries.Panel]:
    drift = panels.lines(
        "Score and bounds",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.drift
        {figures("score", "threshold", "noise_floor as noise floor")}
        where {COLUMN}
            and is_headline
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        bounds=panels.bounds(COLUMN, "psi_jump"),
        description="""How far the day's distribution is from the baseline's, by
            default the PSI. It counts only above both the threshold (grey dashes) and
            the noise floor (grey dots), which chance alone stays below on 99 of 100
            days and which rises when there are few rows. The red dashes are what the
            alert rule psi_jump learned of the last four weeks.""",
        reference="drift",
        unit="none",
        no_value="No scores in this time range",
        width=6,
        height=9,
        interval=DAILY,
        decimals=3,
        minimum=0,
        logarithmic=ScaleDistribution.SYMLOG,
    )
    drift.override_by_name("score", panels.line_style(style.MEASURED))
    drift.override_by_name("threshold", panels.reference_style())
    drift.override_by_name(
        "noise floor",
        [
            *panels.line_style(style.REFERENCE, dash=[2, 4], width=1),
            Property("custom.showPoints", "never"),
        ],
    )
    evidently = panels.lines(
        "By Evidently",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.drift
        {figures("score", "p_value as p-value", "threshold")}
        where {COLUMN}
            and engine = 'evidently'
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""The test that was chosen for the column, on a sample of each
            day. A distance has drifted above the threshold, a p-value below it.""",
        reference="drift",
        unit="none",
        no_value=_NO_EVIDENTLY,
        width=6,
        height=9,
        interval=DAILY,
        decimals=3,
        minimum=0,
    )
    evidently.override_by_name("score", panels.line_style(style.MEASURED))
    evidently.override_by_name("p-value", panels.line_style(style.SECONDARY))
    evidently.override_by_name("threshold", panels.reference_style())
    return [drift, evidently]
