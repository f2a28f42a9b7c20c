"""The report's page, from contents that are made up."""

import base64
import gzip
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from orchestration.reporting.charts import Grid
from orchestration.reporting.columns import (
    bin_words,
    drift_chart,
    drift_ratio,
    quality_chart,
)
from orchestration.reporting.content import (
    HistogramBin,
    MonitorReport,
    PerformanceWindow,
)
from orchestration.reporting.page import render
from orchestration.reporting.performance import performance_chart
from tests.report_content import (
    HOSTILE,
    UNTIL,
    hostile_report,
    monitor_report,
    report,
    summary,
    usual_report,
    year_of_three_monitors,
)


class _Elements(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def figures(page: str) -> list[list[dict[str, Any]]]:
    """The variants of each chart, as the page unpacks them."""
    found = re.search('id="figures">([^<]*)<', page)
    assert found is not None
    unpacked = json.loads(gzip.decompress(base64.b64decode(found[1])))
    assert isinstance(unpacked, list)
    return unpacked


def trace(chart: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in chart["data"] if each.get("name") == name]
    assert isinstance(found, dict)
    return found


def windows_of(monitor: MonitorReport) -> list[PerformanceWindow]:
    return [each for each in monitor.performance if each.model_version == "all"]


def test_names_and_values_are_text_and_nothing_else() -> None:
    page = _Elements(render(hostile_report()))

    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert [each.get("id") for each in scripts] == [None, "figures", "plotly", None]
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe")]
    assert not [
        name
        for _, attributes in page.elements
        for name in attributes
        if name[:2] == "on"
    ]
    texts = "".join(page.texts)
    for name in HOSTILE[:-1]:
        assert name in texts


def test_charts_show_hostile_names_without_markup() -> None:
    text = json.dumps(figures(render(hostile_report())), ensure_ascii=False)

    for harmful in ("<script", "<img", "<b>bold"):
        assert harmful not in text
    assert "&lt;script&gt;" in text


def test_the_page_refers_to_nothing_outside_of_it() -> None:
    page = _Elements(render(usual_report()))

    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert addresses
    assert all((each or "").startswith(("#", "data:,")) for each in addresses)
    [policy] = [
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert (policy or "").startswith("default-src 'none'")


def test_a_year_of_three_monitors_is_below_eight_megabytes() -> None:
    assert len(render(year_of_three_monitors()).encode()) < 8_000_000


def test_as_many_charts_are_on_the_page_as_there_are_figures() -> None:
    page = render(usual_report())

    assert page.count('<figure class="chart">') == len(figures(page))


def test_without_monitors_it_says_how_to_get_some() -> None:
    page = render(report([]))

    assert "No monitors" in page
    assert "vars: monitors:" in page
    assert figures(page) == []


def test_a_monitor_without_any_row_is_not_computable_and_never_ok() -> None:
    empty = replace(
        summary("silent"),
        baseline=None,
        baseline_row_count=None,
        first_predicted_at=None,
        last_predicted_at=None,
        prediction_count=0,
        freshness_status="not_computable",
        service_health_status="not_computable",
        data_quality_status="not_computable",
        model_performance_status="not_computable",
        drift_status="not_computable",
        status="not_computable",
    )

    page = render(report([MonitorReport(summary=empty)]))

    assert "1 monitor: 1 not computable" in page
    assert "none yet" in page
    assert 'class="badge ok"' not in page
    assert 'class="word ok"' not in page
    assert figures(page) == []


def test_one_monitor_has_all_sections() -> None:
    page = render(report([monitor_report()]))

    for shown in (
        "1 monitor: 1 critical; 1 open incident",
        "Against the labels",
        "Columns that changed most",
        "Traffic and latency",
        "Error budgets",
        "1 deployment",
        "2 incidents",
    ):
        assert shown in page


def test_where_no_incidents_are_kept_none_are_claimed_to_be_absent() -> None:
    without = replace(monitor_report(), incidents=None, alerts=())
    none_found = replace(monitor_report(), incidents=(), alerts=())

    assert "incident" not in render(report([without])).split("<body>")[1].lower()
    assert "No incidents in these days" in render(report([none_found]))


def test_provisional_and_few_labels_are_apart_from_the_final_line() -> None:
    monitor = monitor_report()
    chart = performance_chart(report([monitor]), monitor)
    assert chart is not None
    [_, figure] = chart.variants[0]

    final = trace(figure, "realised")["y"]
    provisional = trace(figure, "provisional")["y"]
    few = trace(figure, "too few labels")["y"]
    for place, window in enumerate(windows_of(monitor)):
        is_few = window.labelled_count < monitor.summary.minimum_sample
        assert (few[place] is not None) == is_few
        assert (final[place] is not None) == (window.is_final and not is_few)
        if not window.is_final and not is_few:
            assert provisional[place] is not None


def test_a_missing_window_is_a_gap_in_the_line_and_in_the_band() -> None:
    whole = monitor_report()
    missing = UNTIL - timedelta(days=20)
    monitor = replace(
        whole,
        performance=tuple(
            each for each in whole.performance if each.window_start != missing
        ),
    )
    chart = performance_chart(report([monitor]), monitor)
    assert chart is not None
    [_, figure] = chart.variants[0]

    assert trace(figure, "realised")["y"][56 - 20] is None
    band = trace(figure, "95 % interval")
    runs = " ".join(each or "|" for each in band["x"]).split("|")
    assert not any("11-04" in run and "11-06" in run for run in runs)


def test_what_could_not_be_computed_is_grey_in_both_heat_maps() -> None:
    monitor = monitor_report()
    for chart in (
        drift_chart(report([monitor]), monitor),
        quality_chart(report([monitor]), monitor),
    ):
        assert chart is not None
        [known, unknown] = chart.variants[0][1]["data"]
        colours = {colour for _, colour in unknown["colorscale"]}
        assert colours == {"var:not-computable"}
        for shown, grey in zip(known["z"], unknown["z"], strict=True):
            assert [place for place, each in enumerate(grey) if each is not None] == [
                place for place in range(56) if place % 13 == 0
            ]
            assert all(
                (one is None) != (other is None)
                for one, other in zip(shown, grey, strict=True)
            )


def test_a_score_that_is_no_drift_never_has_the_colour_of_one() -> None:
    cell = monitor_report().drift[1]

    noise = replace(cell, score=0.5, threshold=0.1, is_drifted=False)
    drifted = replace(cell, score=0.1, threshold=0.1, is_drifted=True)
    unknown = replace(cell, is_drifted=None)
    p_value = replace(cell, score=0.2, threshold=0.0, is_drifted=True)

    assert drift_ratio(noise) == 1
    assert (drift_ratio(drifted) or 0) > 1
    assert drift_ratio(unknown) is None
    assert drift_ratio(p_value) == 4


def test_a_heat_map_of_many_columns_shows_the_worst_and_says_so() -> None:
    monitor = monitor_report(columns=[f"column_{place}" for place in range(60)])
    chart = quality_chart(report([monitor]), monitor)

    assert chart is not None
    assert "40 of 60" in chart.note
    assert len(chart.variants[0][1]["data"][0]["y"]) == 40


def test_windows_stand_where_their_grain_puts_them() -> None:
    # 25 November 2026 is a Wednesday: weeks begin on Monday.
    grid = Grid(UNTIL - timedelta(days=14), UNTIL, "week")

    assert grid.x["x0"] == "2026-11-09 00:00"
    assert grid.size == 3
    assert grid.values([(UNTIL - timedelta(days=2), float("nan"))]) == [None] * 3
    outside = [(UNTIL + timedelta(weeks=9), 1.0), (UNTIL - timedelta(weeks=9), 1.0)]
    assert grid.values(outside) == [None] * 3


@pytest.mark.parametrize(
    ("lower", "upper", "label", "words"),
    [
        (None, 5.0, "below 5", "< 5"),
        (5.0, 7.25, "5 to 7.25", "5 – 7.25"),
        (7.25, None, "from 7.25", "≥ 7.25"),
        (7.25, None, "above 7.25", "> 7.25"),
        (None, None, "JFK", "JFK"),
    ],
)
def test_a_bin_says_which_values_it_holds(
    lower: float | None, upper: float | None, label: str, words: str
) -> None:
    found = HistogramBin(
        column_name="distance",
        bin=0,
        label=label,
        lower_bound=lower,
        upper_bound=upper,
        bin_count=1,
        share=1.0,
        baseline_share=None,
    )

    assert bin_words(found) == words


def test_rings_are_the_alerts_or_without_rules_the_status() -> None:
    with_rules = monitor_report()
    flagged = tuple(
        replace(each, status="critical", reason="accuracy 0.70, baseline 0.86")
        if each.window_start == UNTIL - timedelta(days=5)
        else each
        for each in with_rules.performance
    )
    without = replace(with_rules, incidents=None, alerts=(), performance=flagged)

    for monitor, day in ((with_rules, "2026-10-28"), (without, "2026-11-20")):
        chart = performance_chart(report([monitor]), monitor)
        assert chart is not None
        rings = trace(chart.variants[0][1], "flagged")
        assert rings["x"] == [f"{day} 00:00"]
        assert rings["marker"]["color"] == ["var:critical"]
        other = [name for _, figure in chart.variants[1:] for name in figure["data"]]
        assert not [each for each in other if each.get("name") == "flagged"]


def test_versions_are_drawn_while_they_share_the_traffic() -> None:
    whole = monitor_report()
    canary_from, canary_to = UNTIL - timedelta(days=20), UNTIL - timedelta(days=10)
    windows = [each for each in whole.performance if each.model_version == "all"]
    for each in windows:
        share = 0.75 if canary_from <= each.window_start < canary_to else 1.0
        windows_of_one = replace(
            each,
            model_version="1",
            prediction_count=int(each.prediction_count * share),
        )
        windows = [*windows, windows_of_one]
    monitor = replace(whole, performance=tuple(windows))
    chart = performance_chart(report([monitor]), monitor)

    assert chart is not None
    line = trace(chart.variants[0][1], "version 1")["y"]
    drawn = [place for place, value in enumerate(line) if value is not None]
    assert drawn[0] >= 56 - 20
    assert drawn[-1] < 56 - 10
