"""Every query of every dashboard runs as the reader and gives what its panel needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.postgres import types

from tests.grafana.dashboards import (
    Dashboard,
    Query,
    interpolated,
    queries,
    read_dashboards,
    variables,
)

DASHBOARDS = read_dashboards()
MONITORS = ("flight_delay", "flight_delayed", "flight_delay_band")
TIMESTAMP = types["timestamptz"].oid
TEXT = types["text"].oid
NUMBERS = {types[name].oid for name in ("int4", "int8", "float8", "numeric")}

Selection = Mapping[str, Sequence[str]]

QUERIES = [
    (f"{name}-{query.place}", dashboard, query)
    for name, dashboard in DASHBOARDS.items()
    for query in queries(dashboard)
]
each_query = pytest.mark.parametrize(
    ("dashboard", "query"),
    [pytest.param(dashboard, query, id=name) for name, dashboard, query in QUERIES],
)
each_panel = pytest.mark.parametrize(
    ("dashboard", "query"),
    [
        pytest.param(dashboard, query, id=name)
        for name, dashboard, query in QUERIES
        if query.panel is not None
    ],
)
each_series = pytest.mark.parametrize(
    ("dashboard", "query"),
    [
        pytest.param(dashboard, query, id=name)
        for name, dashboard, query in QUERIES
        if query.is_series
    ],
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    columns: list[str]
    types: list[int]
    rows: list[tuple[Any, ...]]

    def series(self) -> set[str]:
        """The names of the fields that Grafana makes of the answer."""
        if "metric" in self.columns:
            position = self.columns.index("metric")
            return {row[position] for row in self.rows}
        return set(self.columns) - {"time"}

    def has_values(self) -> bool:
        """Whether there is more than the times and names of nothing."""
        return any(
            value is not None
            for row in self.rows
            for name, value in zip(self.columns, row, strict=True)
            if name not in ("time", "metric")
        )


def ask(reader: psycopg.Connection, sql: str, selection: Selection) -> Answer:
    expanded = interpolated(
        sql,
        selection,
        start=datetime(2026, 3, 1, tzinfo=UTC),
        end=datetime.now(UTC) + timedelta(days=1),
    )
    cursor = reader.execute(expanded.encode())
    assert cursor.description is not None
    return Answer(
        columns=[column.name for column in cursor.description],
        types=[column.type_code for column in cursor.description],
        rows=cursor.fetchall(),
    )


def select_all(
    reader: psycopg.Connection, dashboard: Dashboard, **chosen: str
) -> dict[str, list[str]]:
    """The values of a dashboard that was just opened: All, or the first option.

    ``chosen`` are picked instead, as by a click.
    """
    selection: dict[str, list[str]] = {}
    for variable in variables(dashboard):
        name = variable["name"]
        if variable["type"] == "query":
            answer = ask(reader, variable["query"], selection)
            options = [row[0] for row in answer.rows]
        else:
            options = variable["query"].split(",")
        assert options, f"{name} has no values"
        if name in chosen:
            assert chosen[name] in options
            selection[name] = [chosen[name]]
        else:
            selection[name] = options if variable["includeAll"] else options[:1]
    return selection


@each_query
def test_all_values_give_figures(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    assert ask(reader, query.sql, select_all(reader, dashboard)).has_values()


@each_query
def test_one_value_gives_figures(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    names = {variable["name"] for variable in variables(dashboard)}
    chosen = {
        "owner": "team-flights",
        "monitor": "flight_delayed",
        "version": "all",
        "column": "dep_delay",
        "grain": "day",
    }
    kept = {name: value for name, value in chosen.items() if name in names}
    selection = select_all(reader, dashboard, **kept)
    assert ask(reader, query.sql, selection).has_values()


@each_query
def test_a_value_with_a_quote_is_only_a_value(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    hostile = ["O'Hare", "'); drop schema marts; --", 'quo"te', "\\"]
    names = [variable["name"] for variable in variables(dashboard)]
    answer = ask(reader, query.sql, dict.fromkeys(names, hostile))
    if not re.search(r"\b(max|count|sum)\(", query.sql) and "${" in query.sql:
        assert answer.rows == []


@pytest.mark.parametrize(
    "title", ["Performance against the baseline", "Label coverage", "Requests"]
)
def test_a_segment_value_with_a_quote_is_found(
    reader: psycopg.Connection, title: str
) -> None:
    dashboard = DASHBOARDS["driftline-model"]
    selection = select_all(reader, dashboard, segment="carrier", segment_value="O'Hare")
    found = [query for query in queries(dashboard) if query.place == f"panel {title}"]
    assert found
    for query in found:
        assert ask(reader, query.sql, selection).has_values()


@each_series
def test_time_series_are_sorted_and_name_their_series(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    answer = ask(reader, query.sql, select_all(reader, dashboard, **_one(dashboard)))
    assert answer.columns[0] == "time"
    assert answer.types[0] == TIMESTAMP
    times = [row[0] for row in answer.rows]
    assert times == sorted(times)
    texts = [
        name
        for name, kind in zip(answer.columns, answer.types, strict=True)
        if kind == TEXT
    ]
    if texts:
        # Only so is a series named by its metric and nothing else.
        assert texts == ["metric"]
        assert len(answer.columns) == 3
    numbers = [
        name
        for name, kind in zip(answer.columns, answer.types, strict=True)
        if kind in NUMBERS
    ]
    assert {"time", *texts, *numbers} == set(answer.columns)
    keys = [row[: 1 + len(texts)] for row in answer.rows]
    assert len(set(keys)) == len(keys), "a series has two values at one time"


@each_panel
def test_styles_of_series_and_columns_meet_one_of_that_name(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    series: set[str] = set()
    for monitor in MONITORS:
        chosen = _one(dashboard, monitor=monitor)
        chosen.pop("column", None)
        selection = select_all(reader, dashboard, **chosen)
        series |= ask(reader, query.sql, selection).series()
    assert query.panel is not None
    for override in query.panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        if matcher["id"] == "byName":
            assert matcher["options"] in series
        else:
            assert matcher["id"] == "byRegexp"
            pattern = re.compile(matcher["options"].strip("/"))
            assert any(pattern.search(name) for name in series)


@pytest.mark.parametrize("monitor", MONITORS)
def test_every_query_gives_figures_of_every_model(
    reader: psycopg.Connection, monitor: str
) -> None:
    dashboard = DASHBOARDS["driftline-model"]
    selection = select_all(reader, dashboard, monitor=monitor)
    empty = [
        query.place
        for query in queries(dashboard)
        if not ask(reader, query.sql, selection).has_values()
    ]
    assert empty == []


def test_status_codes_are_those_that_have_a_colour(
    reader: psycopg.Connection,
) -> None:
    shown = 0
    for _, dashboard, query in QUERIES:
        if query.panel and query.panel["type"] in ("state-timeline", "status-history"):
            [mapping] = query.panel["fieldConfig"]["defaults"]["mappings"]
            answer = ask(reader, query.sql, select_all(reader, dashboard))
            codes = {str(code) for _, _, code in answer.rows}
            assert codes <= mapping["options"].keys()
            shown += len(codes)
    assert shown


def test_the_timeline_ends_with_the_statuses_of_the_table(
    reader: psycopg.Connection,
) -> None:
    dashboard = DASHBOARDS["driftline-overview"]
    selection = select_all(reader, dashboard)
    by_title = {query.place: query for query in queries(dashboard)}
    history = by_title["panel Status by monitor and family"]
    table = by_title["panel Monitors, worst first"]
    assert history.panel is not None
    [mapping] = history.panel["fieldConfig"]["defaults"]["mappings"]
    shown: dict[str, str] = {}
    # Sorted by time: the newest state of each band stays.
    for _, band, code in ask(reader, history.sql, selection).rows:
        shown[band] = mapping["options"][str(code)]["text"].replace(" ", "_")
    answer = ask(reader, table.sql, selection)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    families = ("Service health", "Data quality", "Performance", "Drift")
    assert shown == {
        f"{row['Monitor']}, {family.lower()}": row[family]
        for row in rows
        for family in families
    }


def _one(dashboard: Dashboard, **chosen: str) -> dict[str, str]:
    names = {variable["name"] for variable in variables(dashboard)}
    wanted = {"monitor": "flight_delayed", "column": "dep_delay", **chosen}
    return {name: value for name, value in wanted.items() if name in names}
