"""What is wrong with the values of a model's columns."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, statushistory, table, timeseries

from grafana import emission, panels, rules, style
from grafana.emission import COLUMN, COLUMNS, newest_day
from grafana.panels import DAILY, Property, figures

_TO_COLUMN = emission.url(
    "data-quality", ("owner", "monitor", "version"), column="Column"
)
# Labels that are not there yet are no missing values.
_CHOSEN = "column_name in (${column:sqlstring}) and role != 'actual'"


def build() -> builders.Dashboard:
    """Since when which column is wrong; the newest day; then each chosen column."""
    dashboard = emission.of_monitors(
        "data-quality",
        "Driftline data quality",
        "Missing, invalid, unseen, implausible and repeated values of one model.",
        [
            emission.owner_variable(),
            emission.monitor_variable(),
            emission.version_variable(),
            emission.column_variable(),
        ],
    )
    for panel in (_headlines(), _duplicates(), _history(), _newest_day()):
        dashboard.with_panel(panel)
    # One such row for each column that is chosen.
    dashboard.with_row(builders.Row("Column: $column").repeat("column"))
    for chart in _column():
        dashboard.with_panel(chart)
    return dashboard


def _headlines() -> stat.Panel:
    panel = panels.stats(
        "Columns by status on the newest day",
        f"""
        select
            count(*) filter (where status = 'critical') as "Critical",
            count(*) filter (where status = 'warning') as "Warning"
        from {newest_day("data_quality", "role != 'actual'")} as newest
        having count(*) > 0
        """,
        description="""Critical columns have far more missing, invalid or unknown values
            than the baseline has: what rests on them is guessed. Those with a warning
            have more than chance explains. The table below says which.""",
        reference="data_quality",
        unit="short",
        steps=style.NONE_EXPECTED,
        no_value="No day in this time range",
        width=8,
        height=8,
        interval=DAILY,
    )
    return panel.override_by_name(
        "Warning", panels.threshold_style([(None, style.GOOD), (1, style.WARNING)])
    )


def _duplicates() -> timeseries.Panel:
    panel = panels.lines(
        "Repeated predictions",
        f"""
        select
            window_start as "time",
            duplicate_rate as "repeated"
        from marts.data_quality
        where {COLUMNS}
            and column_name = 'prediction_id'
            and $__timeFilter(window_start)
        order by 1
        """,
        description="""Share of each day's rows whose prediction_id came before: retries
            of the caller, or a load that ran twice. Labels find only one of them. The
            dashed lines are those of the alert rule.""",
        reference="data_quality",
        unit="percentunit",
        steps=rules.steps("duplicate_predictions"),
        no_value="No days in this time range",
        width=16,
        height=8,
        interval=DAILY,
        decimals=1,
        minimum=0,
        legend=False,
    )
    return panel.override_by_name("repeated", panels.line_style(style.MEASURED))


def _history() -> statushistory.Panel:
    return panels.status_grid(
        "Data quality by column and day",
        f"""
        select
            window_start as "time",
            column_name as metric,
            {style.status_code("status")} as code
        from marts.data_quality
        where {COLUMN}
            and role != 'actual'
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Each cell is one day of one column: amber or red where more
            values than in the baseline are null, invalid, of unknown categories or out
            of range. The table below says which.""",
        reference="data_quality",
        no_value="No days in this time range",
        width=24,
        height=12,
        interval=DAILY,
    )


def _newest_day() -> table.Panel:
    panel = panels.rows(
        "Columns on the newest day, worst first",
        f"""
        select
            column_name as "Column",
            role as "Role",
            status as "Status",
            reason as "Why",
            row_count as "Rows",
            null_rate as "Null",
            missing_rate as "Missing",
            invalid_rate as "Invalid",
            unseen_rate as "Unseen",
            out_of_range_rate as "Out of range",
            implausible_rate as "Implausible",
            duplicate_rate as "Repeated",
            distinct_count as "Distinct",
            minimum as "Minimum",
            median as "Median",
            baseline_median as "Baseline median",
            maximum as "Maximum"
        from {newest_day("data_quality", _CHOSEN)} as newest
        order by {style.status_code("status")} desc, column_name
        """,
        description="""The newest day in the time range, a row for each column. Colours
            are the bounds of the alert rules (of nulls, as if the baseline had none);
            Status also weighs the number of rows. A median that is a constant times the
            baseline's is a change of unit. Click a column to see only it.""",
        reference="data_quality",
        no_value="No day in this time range",
        width=24,
        height=12,
        interval=DAILY,
    )
    panel.override_by_name(
        "Column",
        [
            Property("custom.width", 150),
            panels.link("Show ${__data.fields.Column}", _TO_COLUMN),
        ],
    )
    panel.override_by_name("Role", [Property("custom.width", 90)])
    panel.override_by_name("Status", panels.status_cell(width=120))
    panel.override_by_name("Rows", panels.number_cell("short", width=80))
    for name, rule_id, width in (
        ("Null", "null_rate", 80),
        ("Invalid", "invalid_rate", 90),
        ("Unseen", "unseen_rate", 90),
        ("Implausible", "implausible_values", 115),
        ("Repeated", "duplicate_predictions", 95),
    ):
        panel.override_by_name(
            name,
            panels.rated_cell(
                "percentunit", rules.steps(rule_id), width=width, decimals=1
            ),
        )
    for name, width in (("Missing", 90), ("Out of range", 120)):
        panel.override_by_name(
            name, panels.number_cell("percentunit", width=width, decimals=1)
        )
    panel.override_by_name("Distinct", panels.number_cell("short", width=95))
    for name, width in (
        ("Minimum", 110),
        ("Median", 110),
        ("Baseline median", 145),
        ("Maximum", 110),
    ):
        panel.override_by_name(
            name, panels.number_cell("none", width=width, decimals=2)
        )
    return panel.override_by_name(
        "Why", [Property("custom.width", 300), Property("custom.inspect", True)]
    )


def _column() -> list[timeseries.Panel]:
    rates = panels.lines(
        "Values that can't be used",
        f"""
        select
            window_start as "time",
            null_rate as "null",
            invalid_rate as "invalid",
            unseen_rate as "unseen category",
            out_of_range_rate as "out of range",
            baseline_null_rate as "null in baseline"
        from marts.data_quality
        where {COLUMN}
            and $__timeFilter(window_start)
        order by 1
        """,
        bounds=panels.bounds(COLUMN, "null_rate"),
        description="""Shares of the day's values that are null, no value of the
            column's type, a category that the baseline lacks, or outside the baseline's
            range. Thin dashes are the bounds of the alert rule for nulls, given the
            baseline's own.""",
        reference="data_quality",
        unit="percentunit",
        no_value="No days in this time range",
        width=8,
        height=9,
        interval=DAILY,
        minimum=0,
    )
    rates.override_by_name("null", panels.line_style(style.MEASURED))
    rates.override_by_name("invalid", panels.line_style("red"))
    rates.override_by_name("unseen category", panels.line_style(style.SECONDARY))
    rates.override_by_name("out of range", panels.line_style("yellow"))
    rates.override_by_name("null in baseline", panels.reference_style())
    spread = panels.lines(
        "Median and middle 90 %",
        f"""
        select
            window_start as "time",
            figures.metric,
            figures.value
        from marts.data_quality
        {
            figures(
                "median",
                "p05 as 5th percentile",
                "p95 as 95th percentile",
                "baseline_median as baseline median",
            )
        }
        where {COLUMN}
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """,
        description="""Where the numbers of each day lie: nine of ten in the band, half
            below the line, against the baseline's median. A jump is often a change of
            unit; a band that closes is a stuck sensor.""",
        reference="data_quality",
        unit="none",
        no_value="A category has no median",
        width=8,
        height=9,
        interval=DAILY,
    )
    panels.band(spread, upper="95th percentile", lower="5th percentile")
    spread.override_by_name("median", panels.line_style(style.MEASURED))
    spread.override_by_name("baseline median", panels.reference_style())
    distinct = panels.lines(
        "Different values",
        f"""
        select
            window_start as "time",
            distinct_count as "different values",
            baseline_distinct_count as "in the baseline"
        from marts.data_quality
        where {COLUMN}
            and $__timeFilter(window_start)
        order by 1
        """,
        bounds=panels.bounds(COLUMN, "stuck_column"),
        description="""How many different values the column takes each day. A number
            that repeats itself is a stuck sensor or a cache; the baseline's count is of
            more rows than a day has. Thin dashes are what the alert rule learned.""",
        reference="data_quality",
        unit="short",
        no_value="No days in this time range",
        width=8,
        height=9,
        interval=DAILY,
        minimum=0,
    )
    distinct.override_by_name("different values", panels.line_style(style.MEASURED))
    distinct.override_by_name("in the baseline", panels.reference_style())
    return [rates, spread, distinct]
