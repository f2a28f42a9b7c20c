"""Every query of every dashboard runs as the reader and gives what its panel needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.postgres import types

from grafana.queries import (
    Dashboard,
    Query,
    alert_queries,
    interpolated,
    opened,
    queries,
    read_dashboards,
    variables,
)
from tests.grafana.dashboards import overrides

DASHBOARDS = read_dashboards()
SHOWING = {name: each for name, each in DASHBOARDS.items() if variables(each)}
MONITORS = ("flight_delay", "flight_delayed", "flight_delay_band")
TIMESTAMP = types["timestamptz"].oid
TEXT = types["text"].oid
NUMBERS = {types[name].oid for name in ("int4", "int8", "float8", "numeric")}

Selection = Mapping[str, Sequence[str]]

# What may be empty, and why.
EMPTY = {
    # Only of numbers, or only of categories; here the prediction of a classifier.
    "panel Median and middle 90 %",
    # Learned bounds need more history than the log has.
    "panel Different values, bounds",
    "panel Label coverage by day, bounds",
    "panel Label delay, bounds",
    "panel Latency, bounds",
    "panel Score and bounds, bounds",
    # Two versions on one day.
    "panel Champion and challengers, newest first",
}
EMPTY_OF = {
    # No score, no class, and errors instead of rates.
    "flight_delay": {
        "panel Calibration of the newest labelled week",
        "panel Calibration error",
        "panel Calibration error, bounds",
        "panel Classes on the newest day",
        "panel Realised less estimated, bounds",
    },
    "flight_delayed": set(),
    "flight_delay_band": set(),
}

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
        if query.panel is not None and not query.place.endswith(", bounds")
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


each_dashboard = pytest.mark.parametrize(
    "dashboard", SHOWING.values(), ids=SHOWING.keys()
)
# A segment whose values include a quote, and which fairness is asked of.
DIVIDED = {"segment": "carrier", "segment_value": "O'Hare", "division": "carrier"}


def of_panel(dashboard: Dashboard, query: Query) -> list[Query]:
    """All queries of the panel that a query is of."""
    return [other for other in queries(dashboard) if other.panel is query.panel]


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
    """The values of a dashboard that was just opened, or ``chosen`` ones it has."""
    names = {variable["name"] for variable in variables(dashboard)}
    return opened(
        dashboard,
        lambda sql, values: [row[0] for row in ask(reader, sql, values).rows],
        **{name: value for name, value in chosen.items() if name in names},
    )


def may_be_empty(query: Query, monitor: str) -> bool:
    return query.place in EMPTY | EMPTY_OF[monitor]


@pytest.mark.parametrize("monitor", MONITORS)
@each_dashboard
def test_all_values_give_figures(
    reader: psycopg.Connection, dashboard: Dashboard, monitor: str
) -> None:
    # Some ask for a segment, others for rules, which watch everything together.
    selections = [
        select_all(reader, dashboard, monitor=monitor, **segment)
        for segment in (DIVIDED, {})
    ]
    empty = {
        query.place
        for query in queries(dashboard)
        if not any(ask(reader, query.sql, chosen).has_values() for chosen in selections)
        and not may_be_empty(query, monitor)
    }
    assert empty == set()


@each_dashboard
def test_one_value_gives_figures(
    reader: psycopg.Connection, dashboard: Dashboard
) -> None:
    selection = select_all(
        reader,
        dashboard,
        owner="team-flights",
        monitor="flight_delayed",
        version="1",
        column="dep_delay",
        grain="day",
        **DIVIDED,
    )
    empty = {
        query.place
        for query in queries(dashboard)
        if not ask(reader, query.sql, selection).has_values()
        and not may_be_empty(query, "flight_delayed")
        # It judges all versions together.
        and "Evidently" not in query.place
        # Rules on nulls, drift and coverage do, too.
        and "bounds" not in query.place
    }
    assert empty == set()


def test_each_alert_rule_asks_for_one_number_of_each_monitor(
    reader: psycopg.Connection,
) -> None:
    for query in alert_queries():
        answer = ask(reader, query.sql, {})
        assert answer.columns[0] == "time"
        assert answer.types[0] == TIMESTAMP
        assert answer.types[-1] in NUMBERS
        assert all(row[-1] is not None for row in answer.rows)
        if "monitor" in answer.columns:
            assert answer.columns == ["time", "monitor", answer.columns[-1]]
            assert {row[1] for row in answer.rows} == set(MONITORS)
            assert len(answer.rows) == len(MONITORS)
        else:
            assert len(answer.rows) == 1


@each_query
def test_a_value_with_a_quote_is_only_a_value(
    reader: psycopg.Connection, dashboard: Dashboard, query: Query
) -> None:
    hostile = ["O'Hare", "'); drop schema marts; --", 'quo"te', "\\"]
    names = [variable["name"] for variable in variables(dashboard)]
    answer = ask(reader, query.sql, dict.fromkeys(names, hostile))
    is_single = re.search(r"^select\s+(count|sum|max)\(", query.sql)
    if not is_single and "${" in query.sql:
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
    selection = select_all(
        reader, dashboard, monitor="flight_delayed", column="dep_delay", **DIVIDED
    )
    answer = ask(reader, query.sql, selection)
    assert answer.columns[0] == "time"
    assert answer.types[0] == TIMESTAMP
    times = [row[0] for row in answer.rows]
    assert times == sorted(times)
    texts = [
        name
        for name, kind in zip(answer.columns, answer.types, strict=True)
        if kind == TEXT
    ]
    assert query.panel is not None
    name = query.panel["fieldConfig"]["defaults"].get("displayName")
    if name is not None:
        # Grafana sorts series by their texts, the first of them first.
        assert name == f"${{__field.labels.{texts[-1]}}}"
        shown = {row[1 : 1 + len(texts)] for row in answer.rows}
        assert len({row[0] for row in shown}) == len(shown)
    elif texts:
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
        selection = select_all(reader, dashboard, monitor=monitor, **DIVIDED)
        for panel_query in of_panel(dashboard, query):
            series |= ask(reader, panel_query.sql, selection).series()
    assert query.panel is not None
    for override in overrides(query.panel):
        matcher = override["matcher"]
        # Of what can't be learned from so short a log.
        if matcher["options"] in ("/warning bound$/", "/critical bound$/", "expected"):
            continue
        if matcher["id"] == "byName":
            assert matcher["options"] in series
        else:
            assert matcher["id"] == "byRegexp"
            pattern = re.compile(matcher["options"].strip("/"))
            assert any(pattern.search(name) for name in series)


def test_parts_that_fairness_is_asked_of_are_compared_first(
    reader: psycopg.Connection,
) -> None:
    asked = reader.execute("select distinct segment from marts.fairness").fetchall()
    others = reader.execute(
        "select distinct segment from marts.status_codes"
    ).fetchall()
    opened_with = select_all(reader, DASHBOARDS["driftline-segments"])["division"]
    assert {"all"} | {segment for (segment,) in asked} < {name for (name,) in others}
    assert [(segment,) for segment in opened_with] == asked


def test_layers_of_predictions_lie_in_the_order_of_the_histogram(
    reader: psycopg.Connection,
) -> None:
    dashboard = DASHBOARDS["driftline-model"]
    by_title = {query.place: query for query in queries(dashboard)}
    for monitor in MONITORS:
        selection = select_all(reader, dashboard, monitor=monitor)
        layers = ask(reader, by_title["panel Predictions by day"].sql, selection)
        newest = ask(
            reader, by_title["panel Predictions on the newest day"].sql, selection
        )
        last_day = layers.rows[-1][0]
        in_place = sorted(row[1:3] for row in layers.rows if row[0] == last_day)
        assert [label for _, label in in_place] == [row[0] for row in newest.rows]


def test_status_codes_are_those_that_have_a_colour(
    reader: psycopg.Connection,
) -> None:
    shown = 0
    for _, dashboard, query in QUERIES:
        if query.panel and query.panel["type"] in ("state-timeline", "status-history"):
            [mapping] = query.panel["fieldConfig"]["defaults"]["mappings"]
            answer = ask(reader, query.sql, select_all(reader, dashboard))
            codes = {str(row[-1]) for row in answer.rows}
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
    # Sorted by time: the newest state of each band stays, but for a day that has just
    # begun, of which nothing can be said yet.
    for _, band, code in ask(reader, history.sql, selection).rows:
        state = mapping["options"][str(code)]["text"].replace(" ", "_")
        if state != "not_computable" or band not in shown:
            shown[band] = state
    answer = ask(reader, table.sql, selection)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    families = ("Service health", "Data quality", "Performance", "Drift")
    assert shown == {
        f"{row['Monitor']}, {family.lower()}": row[family]
        for row in rows
        for family in families
    }
