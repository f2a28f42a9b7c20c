"""Builders of panels over the marts, one for each way of showing a query."""

from collections.abc import Sequence
from textwrap import dedent
from typing import TypedDict, TypeVar, Unpack

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    heatmap,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models

from grafana import style
from grafana.pages import page_link

DATASOURCE_TYPE = "grafana-postgresql-datasource"
DATASOURCE_UID = "driftline"

HOURLY = "1h"
DAILY = "1d"
# A line is not drawn over a longer gap. Traffic by the hour has its quiet nights.
_LONGEST_BRIDGED_MS = 36 * 3_600_000

Property = models.DynamicConfigValue

_Panel = TypeVar(
    "_Panel",
    barchart.Panel,
    bargauge.Panel,
    heatmap.Panel,
    stat.Panel,
    table.Panel,
    timeseries.Panel,
    statetimeline.Panel,
    statushistory.Panel,
)


class _Frame(TypedDict):
    """What every panel says and where it stands: ``width`` in 24ths of the page.

    ``reference`` is a page of :mod:`grafana.pages`, ``interval`` the length of the
    windows that it shows.
    """

    description: str
    reference: str
    no_value: str
    width: int
    interval: str


class Frame(_Frame):
    """The same with ``height``, in Grafana's rows, of panels that are not all alike."""

    height: int


class SqlQuery(Dataquery, Builder[Dataquery]):
    """A query of the marts; the SDK has none for Postgres.

    ``is_series`` queries return a sorted column ``time``, numbers, and text that names
    the series. One of exactly the columns ``time``, ``metric`` and a number names its
    series by ``metric`` alone.
    """

    def __init__(self, sql: str, *, is_series: bool, ref_id: str = "A") -> None:
        self._sql = tidy(sql)
        self._is_series = is_series
        self._ref_id = ref_id

    def build(self) -> Dataquery:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self._ref_id,
            "datasource": datasource(),
            "editorMode": "code",
            "format": "time_series" if self._is_series else "table",
            "rawQuery": True,
            "rawSql": self._sql,
        }


def datasource() -> common_models.DataSourceRef:
    """The provisioned datasource."""
    return common_models.DataSourceRef(type_val=DATASOURCE_TYPE, uid=DATASOURCE_UID)


def figures(*names: str) -> str:
    """SQL for figures as rows of (metric, value), of which a model has only its own.

    Each name is a column of the mart and the name of its series, joined by " as ", or
    one word for both.
    """
    pairs = (name.partition(" as ") for name in names)
    values = ", ".join(
        f"('{series or column}', {column})" for column, _, series in pairs
    )
    return f"cross join lateral (values {values}) as figures (metric, value)"


def bounds(
    condition: str,
    *rule_ids: str,
    figure: str = "rule_evaluations.metric",
    value: str = "figures.value",
) -> str:
    """SQL for the bounds of alert rules in each window that they judged.

    Learned bounds move, and a monitor's block may change any: so they are looked up.
    One series for each metric and bound; ``figure`` and ``value`` are SQL for another
    name and unit of them.
    """
    rules = ", ".join(f"'{rule_id}'" for rule_id in rule_ids)
    return f"""
        select
            window_start as "time",
            {figure} || ', ' || figures.metric as metric,
            {value} as value
        from marts.rule_evaluations
        {figures("warning_bound as warning bound", "critical_bound as critical bound")}
        where {condition}
            and rule_id in ({rules})
            and figures.value is not null
            and $__timeFilter(window_start)
        order by 1, 2
        """


def tidy(sql: str) -> str:
    """Without the indentation of the Python around it."""
    return dedent(sql).strip()


def stats(
    title: str,
    sql: str,
    *,
    unit: str,
    steps: style.Steps,
    decimals: int | None = None,
    is_series: bool = False,
    calculation: str = "lastNotNull",
    text: common_models.BigValueTextMode = common_models.BigValueTextMode.AUTO,
    sparkline: bool = False,
    height: int = 4,
    **frame: Unpack[_Frame],
) -> stat.Panel:
    """Big numbers, one for each column or series of the query."""
    modes = common_models.BigValueGraphMode
    panel = (
        stat.Panel()
        .graph_mode(modes.AREA if sparkline else modes.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .color_scheme(_colours("thresholds"))
        .text_mode(text)
        .reduce_options(
            common.ReduceDataOptions()
            .calcs([calculation])
            .values(False)
            # Of a table, text as well: statuses.
            .fields("" if is_series else "/.*/")
        )
    )
    if decimals is not None:
        panel.decimals(decimals)
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=is_series)],
        unit=unit,
        steps=steps,
        height=height,
        **frame,
    )


def lines(
    title: str,
    sql: str,
    *,
    unit: str,
    steps: style.Steps = style.NO_THRESHOLD,
    decimals: int | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    bars: bool = False,
    stacked: bool = False,
    legend: bool = True,
    logarithmic: common_models.ScaleDistribution | None = None,
    bounds: str | None = None,
    **frame: Unpack[Frame],
) -> timeseries.Panel:
    """A chart over time, which leaves a gap where more than a day has no value.

    ``bounds`` is SQL of :func:`bounds`, whose series are drawn as dashed limits. A
    ``logarithmic`` scale that may hold 0 is SYMLOG, which is linear up to 1.
    """
    panel = (
        timeseries.Panel()
        .draw_style(
            common_models.GraphDrawStyle.BARS
            if bars
            else common_models.GraphDrawStyle.LINE
        )
        .line_width(0 if bars else 2)
        .fill_opacity(60 if bars or stacked else 0)
        .show_points(common_models.VisibilityMode.AUTO)
        .point_size(5)
        .span_nulls(False)
        .insert_nulls(_LONGEST_BRIDGED_MS)
        .color_scheme(_colours("palette-classic"))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(legend)
            .calcs([])
        )
    )
    if bars or stacked:
        panel.stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        )
    if len(steps) > 1:
        panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                common_models.GraphThresholdsStyleMode.DASHED
            )
        )
    if unit == "percentunit" and maximum is None:
        # Without it, a share that is always 0 would be drawn on an axis up to 10000 %.
        panel.axis_soft_max(steps[-1][0] or 0.05)
    if logarithmic is not None:
        scale = common.ScaleDistributionConfig().type(logarithmic).log(10)
        if logarithmic is common_models.ScaleDistribution.SYMLOG:
            scale.linear_threshold(1)
            # The scale has a tick at -1 even where it begins at 0.
            panel.mappings([_unnamed_below_zero()])
        panel.scale_distribution(scale)
    if decimals is not None:
        panel.decimals(decimals)
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    queries = [SqlQuery(sql, is_series=True)]
    if bounds is not None:
        queries.append(SqlQuery(bounds, is_series=True, ref_id="B"))
        for name, colour in (("warning", style.WARNING), ("critical", style.CRITICAL)):
            panel.override_by_regexp(f"/{name} bound$/", limit_style(colour))
    return _common(
        panel,
        title,
        queries=queries,
        unit=unit,
        steps=steps,
        **frame,
    )


def status_timeline(
    title: str,
    sql: str,
    **frame: Unpack[Frame],
) -> statetimeline.Panel:
    """A band for each series of status codes; equal neighbours are one state."""
    panel = (
        statetimeline.Panel()
        .mappings(style.status_mappings())
        .merge_values(True)
        .per_page(40)
        .insert_nulls(_LONGEST_BRIDGED_MS)
        .color_scheme(_colours("thresholds"))
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(85)
        .legend(_no_legend())
        .tooltip(_single_tooltip())
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=True)],
        unit="short",
        steps=style.STATUS_CODES,
        **frame,
    )


def status_grid(
    title: str,
    sql: str,
    **frame: Unpack[Frame],
) -> statushistory.Panel:
    """A cell for each series and window of status codes."""
    panel = (
        statushistory.Panel()
        .mappings(style.status_mappings())
        .color_scheme(_colours("thresholds"))
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.9)
        .col_width(0.9)
        .line_width(0)
        .fill_opacity(85)
        .legend(_no_legend())
        .tooltip(_single_tooltip())
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=True)],
        unit="short",
        steps=style.STATUS_CODES,
        **frame,
    )


def rows(
    title: str,
    sql: str,
    *,
    unit: str = "none",
    **frame: Unpack[Frame],
) -> table.Panel:
    """A table, in the order of the query."""
    panel = (
        table.Panel()
        .cell_height(common_models.TableCellHeight.SM)
        .filterable(True)
        # The panel's own is for no rows at all, and would stand in each empty cell.
        .override_by_regexp("/.*/", [Property("noValue", "-")])
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=False)],
        unit=unit,
        steps=style.NO_THRESHOLD,
        **frame,
    )


def ranking(
    title: str,
    sql: str,
    *,
    unit: str,
    steps: style.Steps,
    decimals: int,
    **frame: Unpack[Frame],
) -> bargauge.Panel:
    """A bar for each row of (name, number), in the order of the query."""
    panel = (
        bargauge.Panel()
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .value_mode(common_models.BarGaugeValueMode.COLOR)
        .name_placement(common_models.BarGaugeNamePlacement.LEFT)
        .show_unfilled(True)
        .sizing(common_models.BarGaugeSizing.AUTO)
        .reduce_options(
            common.ReduceDataOptions().values(True).calcs(["lastNotNull"]).fields("")
        )
        .color_scheme(_colours("thresholds"))
        .min(0)
        .decimals(decimals)
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=False)],
        unit=unit,
        steps=steps,
        **frame,
    )


def bars(
    title: str,
    sql: str,
    *,
    unit: str,
    decimals: int,
    **frame: Unpack[Frame],
) -> barchart.Panel:
    """Groups of bars by category: the query's text column, beside numbers."""
    panel = (
        barchart.Panel()
        .orientation(common_models.VizOrientation.VERTICAL)
        .show_value(common_models.VisibilityMode.NEVER)
        .stacking(common_models.StackingMode.NONE)
        .group_width(0.8)
        .bar_width(0.95)
        .line_width(0)
        .fill_opacity(80)
        .x_tick_label_rotation(-45)
        .x_tick_label_max_length(16)
        .x_tick_label_spacing(100)
        .color_scheme(_colours("palette-classic-by-name"))
        .decimals(decimals)
        .min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(
            common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
        )
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=False)],
        unit=unit,
        steps=style.NO_THRESHOLD,
        **frame,
    )


def heat(
    title: str,
    sql: str,
    *,
    maximum: float,
    **frame: Unpack[Frame],
) -> heatmap.Panel:
    """A cell for each series and window, the stronger the higher its number.

    From ``maximum`` on, all are of the strongest colour.
    """
    panel = (
        heatmap.Panel()
        .calculate(False)
        .cell_gap(1)
        .show_value(common_models.VisibilityMode.NEVER)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .fill("dark-orange")
            .scale(heatmap_models.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
            .reverse(False)
            .min(0)
            .max(maximum)
        )
        .rows_frame(
            heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.AUTO)
        )
        .filter_values(heatmap.FilterValueRange())
        .cell_values(heatmap.CellValues().decimals(3))
        .y_axis(
            heatmap.YAxisConfig()
            .axis_placement(common_models.AxisPlacement.LEFT)
            .axis_width(130)
        )
        .tooltip(
            heatmap.HeatmapTooltip()
            .mode(common_models.TooltipDisplayMode.SINGLE)
            .show_color_scale(True)
        )
        .show_legend()
    )
    return _common(
        panel,
        title,
        queries=[SqlQuery(sql, is_series=True)],
        unit="none",
        steps=style.NO_THRESHOLD,
        **frame,
    )


def status_cell(*, width: int) -> list[Property]:
    """Properties of a table column that holds a status: text on its colour."""
    return _coloured_cell(style.status_mappings(), width=width)


def number_cell(
    unit: str, *, width: int, decimals: int | None = None
) -> list[Property]:
    """Properties of a table column of numbers."""
    properties = [Property("unit", unit), Property("custom.width", width)]
    if decimals is not None:
        properties.append(Property("decimals", decimals))
    return properties


def rated_cell(
    unit: str, steps: style.Steps, *, width: int, decimals: int
) -> list[Property]:
    """Properties of a table column of numbers, coloured by thresholds."""
    return [
        *number_cell(unit, width=width, decimals=decimals),
        Property("color", {"mode": "thresholds"}),
        *threshold_style(steps),
        Property("custom.cellOptions", {"type": "color-text"}),
    ]


def threshold_style(steps: style.Steps) -> list[Property]:
    """Properties of a number that has thresholds of its own."""
    return [Property("thresholds", style.thresholds(steps).build())]


def day_cell() -> list[Property]:
    """Properties of a table column that holds a day."""
    return [Property("unit", "time:YYYY-MM-DD"), Property("custom.width", 95)]


def time_cell(*, width: int = 150) -> list[Property]:
    """Properties of a table column that holds a time."""
    return [
        Property("unit", "time:YYYY-MM-DD HH:mm"),
        Property("custom.width", width),
    ]


def result_cell(*, width: int) -> list[Property]:
    """Properties of a table column that holds the result of a test, on its colour."""
    return _coloured_cell(style.result_mappings(), width=width)


def state_cell(*, width: int) -> list[Property]:
    """Properties of a table column that holds a state: text on its colour."""
    return _coloured_cell(style.state_mappings(), width=width)


def wrapped_cell() -> list[Property]:
    """Properties of a table column whose text takes as many lines as it needs."""
    return [Property("custom.wrapText", True)]


def as_percentage(panel: stat.Panel | timeseries.Panel, series: str) -> None:
    """Show the series that a regular expression matches as shares of 1 in per cent."""
    panel.override_by_regexp(
        series, [Property("unit", "percentunit"), Property("decimals", 1)]
    )


def link(title: str, url: str) -> Property:
    """A property of a table column: where its cells lead."""
    return Property("links", [{"title": title, "url": url, "targetBlank": False}])


def line_style(
    colour: str, *, dash: Sequence[int] | None = None, width: int = 2
) -> list[Property]:
    """Properties of a series. ``dash`` alternates pixels drawn and left out."""
    properties = [
        Property("color", {"mode": "fixed", "fixedColor": colour}),
        Property("custom.lineWidth", width),
    ]
    if dash is not None:
        properties.append(
            Property("custom.lineStyle", {"fill": "dash", "dash": list(dash)})
        )
    return properties


def reference_style(colour: str = style.REFERENCE) -> list[Property]:
    """Properties of a series to compare with: dashes without points."""
    return [
        *line_style(colour, dash=[10, 6]),
        Property("custom.showPoints", "never"),
    ]


def limit_style(colour: str) -> list[Property]:
    """Properties of a series that is a bound: thin dashes without points."""
    return [
        *line_style(colour, dash=[4, 4], width=1),
        Property("custom.showPoints", "never"),
    ]


def provisional_style() -> list[Property]:
    """Properties of a series whose values still change."""
    return [
        *line_style(style.PROVISIONAL, dash=[4, 4]),
        Property("custom.showPoints", "always"),
    ]


def band(
    panel: timeseries.Panel, *, upper: str, lower: str, colour: str = style.MEASURED
) -> timeseries.Panel:
    """Shade between two series, which get neither line nor legend entry."""
    edge = [
        *line_style(colour, width=0),
        Property("custom.showPoints", "never"),
        Property("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
    ]
    panel.override_by_name(lower, edge)
    return panel.override_by_name(
        upper,
        [
            *edge,
            Property("custom.fillBelowTo", lower),
            Property("custom.fillOpacity", 20),
        ],
    )


def _common(
    panel: _Panel,
    title: str,
    *,
    queries: Sequence[SqlQuery],
    unit: str,
    steps: style.Steps,
    **frame: Unpack[Frame],
) -> _Panel:
    return (
        panel.title(title)
        .description(
            f"{' '.join(frame['description'].split())} {page_link(frame['reference'])}."
        )
        .datasource(datasource())
        .targets(list(queries))
        .unit(unit)
        .thresholds(style.thresholds(steps))
        .no_value(frame["no_value"])
        .interval(frame["interval"])
        .span(frame["width"])
        .height(frame["height"])
    )


def _coloured_cell(
    mappings: list[models.ValueMapping], *, width: int
) -> list[Property]:
    return [
        Property(
            "custom.cellOptions",
            {"type": "color-background", "mode": "basic", "applyToRow": False},
        ),
        Property("mappings", mappings),
        Property("custom.width", width),
        Property("custom.align", "center"),
    ]


def _unnamed_below_zero() -> models.RangeMap:
    return models.RangeMap(
        options=models.DashboardRangeMapOptions(
            from_val=-1,
            to=-1e-9,
            result=models.ValueMappingResult(text=" ", index=0),
        )
    )


def _colours(mode: str) -> builders.FieldColor:
    return builders.FieldColor().mode(models.FieldColorModeId(mode))


def _no_legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(False)
        .calcs([])
    )


def _single_tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.SINGLE)
