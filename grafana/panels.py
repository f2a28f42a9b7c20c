"""Builders of panels over the marts, one for each way of showing a query."""

from collections.abc import Sequence
from textwrap import dedent
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    common,
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

from grafana import style

DATASOURCE_TYPE = "grafana-postgresql-datasource"
DATASOURCE_UID = "driftline"

HOURLY = "1h"
DAILY = "1d"
# A line is not drawn over a longer gap. Traffic by the hour has its quiet nights.
_LONGEST_BRIDGED_MS = 36 * 3_600_000

Property = models.DynamicConfigValue

_Panel = TypeVar(
    "_Panel",
    stat.Panel,
    table.Panel,
    timeseries.Panel,
    statetimeline.Panel,
    statushistory.Panel,
)


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


def tidy(sql: str) -> str:
    """Without the indentation of the Python around it."""
    return dedent(sql).strip()


def stats(
    title: str,
    sql: str,
    *,
    description: str,
    unit: str,
    steps: style.Steps,
    no_value: str,
    width: int,
    interval: str,
    decimals: int | None = None,
    is_series: bool = False,
    calculation: str = "lastNotNull",
    text: common_models.BigValueTextMode = common_models.BigValueTextMode.VALUE,
    sparkline: bool = False,
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
        title=title,
        description=description,
        query=SqlQuery(sql, is_series=is_series),
        unit=unit,
        steps=steps,
        no_value=no_value,
        width=width,
        height=4,
        interval=interval,
    )


def lines(
    title: str,
    sql: str,
    *,
    description: str,
    unit: str,
    no_value: str,
    width: int,
    height: int,
    interval: str,
    steps: style.Steps = style.NO_THRESHOLD,
    decimals: int | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    bars: bool = False,
    legend: bool = True,
) -> timeseries.Panel:
    """A chart over time, which leaves a gap where more than a day has no value."""
    panel = (
        timeseries.Panel()
        .draw_style(
            common_models.GraphDrawStyle.BARS
            if bars
            else common_models.GraphDrawStyle.LINE
        )
        .line_width(0 if bars else 2)
        .fill_opacity(60 if bars else 0)
        .show_points(common_models.VisibilityMode.AUTO)
        .point_size(5)
        .span_nulls(False)
        .insert_nulls(_LONGEST_BRIDGED_MS)
        .color_scheme(_colours("palette-classic-by-name"))
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
    if bars:
        panel.stacking(
            common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
        )
    if len(steps) > 1:
        panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                common_models.GraphThresholdsStyleMode.DASHED
            )
        )
    if decimals is not None:
        panel.decimals(decimals)
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    return _common(
        panel,
        title=title,
        description=description,
        query=SqlQuery(sql, is_series=True),
        unit=unit,
        steps=steps,
        no_value=no_value,
        width=width,
        height=height,
        interval=interval,
    )


def status_timeline(
    title: str,
    sql: str,
    *,
    description: str,
    no_value: str,
    width: int,
    height: int,
    interval: str,
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
        title=title,
        description=description,
        query=SqlQuery(sql, is_series=True),
        unit="short",
        steps=style.STATUS_CODES,
        no_value=no_value,
        width=width,
        height=height,
        interval=interval,
    )


def status_grid(
    title: str,
    sql: str,
    *,
    description: str,
    no_value: str,
    width: int,
    height: int,
    interval: str,
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
        title=title,
        description=description,
        query=SqlQuery(sql, is_series=True),
        unit="short",
        steps=style.STATUS_CODES,
        no_value=no_value,
        width=width,
        height=height,
        interval=interval,
    )


def rows(
    title: str,
    sql: str,
    *,
    description: str,
    no_value: str,
    width: int,
    height: int,
    interval: str,
    unit: str = "none",
) -> table.Panel:
    """A table, in the order of the query."""
    panel = (
        table.Panel()
        .cell_height(common_models.TableCellHeight.SM)
        .filterable(True)
        .footer(common.TableFooterOptions().show(False).reducer([]))
        # The panel's own is for no rows at all, and would stand in each empty cell.
        .override_by_regexp("/.*/", [Property("noValue", "-")])
    )
    return _common(
        panel,
        title=title,
        description=description,
        query=SqlQuery(sql, is_series=False),
        unit=unit,
        steps=style.NO_THRESHOLD,
        no_value=no_value,
        width=width,
        height=height,
        interval=interval,
    )


def status_cell(*, width: int) -> list[Property]:
    """Properties of a table column that holds a status: text on its colour."""
    return [
        Property(
            "custom.cellOptions",
            {"type": "color-background", "mode": "basic", "applyToRow": False},
        ),
        Property("mappings", style.status_mappings()),
        Property("custom.width", width),
        Property("custom.align", "center"),
    ]


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


def band(panel: timeseries.Panel, *, upper: str, lower: str) -> timeseries.Panel:
    """Shade between two series, which get neither line nor legend entry."""
    edge = [
        *line_style(style.MEASURED, width=0),
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
    *,
    title: str,
    description: str,
    query: SqlQuery,
    unit: str,
    steps: style.Steps,
    no_value: str,
    width: int,
    height: int,
    interval: str,
) -> _Panel:
    return (
        panel.title(title)
        .description(" ".join(description.split()))
        .datasource(datasource())
        .with_target(query)
        .unit(unit)
        .thresholds(style.thresholds(steps))
        .no_value(no_value)
        .interval(interval)
        .span(width)
        .height(height)
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
