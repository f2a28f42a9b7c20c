"""The report in a browser: what only shows when somebody looks at it."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.report_content import HOSTILE
from tests.ui.conftest import Seen

_SECONDS = 60


def opened(page: Page, path: Path) -> None:
    page.goto(path.as_uri())


def draw_all(page: Page) -> Locator:
    """Scroll through the page as a reader would, until every chart is drawn."""
    charts = page.locator(".chart")
    for place in range(charts.count()):
        charts.nth(place).scroll_into_view_if_needed()
        expect(charts.nth(place).locator(".main-svg").first).to_be_attached(
            timeout=_SECONDS * 1000
        )
    expect(page.locator(".plot.waiting")).to_have_count(0)
    return charts


@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_every_chart_draws_without_a_complaint_or_a_request(
    page: Page, reports: dict[str, Path], seen: Seen, name: str
) -> None:
    opened(page, reports[name])

    charts = draw_all(page)

    assert charts.count() > 8
    for place in range(charts.count()):
        assert page.evaluate(
            """(place) => document.querySelectorAll(".plot")[place].querySelectorAll(
                ".scatterlayer path, .barlayer path, .heatmaplayer image"
            ).length""",
            place,
        ), charts.nth(place).locator("h4").inner_text()
    assert seen.complaints == []
    assert seen.requests == [reports[name].as_uri()]


def test_the_page_may_not_ask_for_anything(
    page: Page, reports: dict[str, Path], seen: Seen
) -> None:
    opened(page, reports["usual"])

    refused = page.evaluate(
        """() => Promise.allSettled([
            fetch("http://127.0.0.1:9/"),
            new Promise((resolve, reject) => {
                const image = new Image();
                image.onload = resolve;
                image.onerror = () => reject(new Error("refused"));
                image.src = "http://127.0.0.1:9/pixel.png";
            }),
        ]).then((all) => all.map((each) => each.status))"""
    )

    assert refused == ["rejected", "rejected"]
    blocked = [each for each in seen.complaints if "Security Policy" in each]
    assert any("connect-src" in each or "default-src" in each for each in blocked)
    assert any("img-src" in each for each in blocked)


def test_charts_are_drawn_when_they_come_into_view(
    page: Page, reports: dict[str, Path]
) -> None:
    opened(page, reports["usual"])
    last = page.locator(".chart").last
    expect(last.locator(".plot")).to_have_class("plot waiting")

    last.scroll_into_view_if_needed()

    expect(last.locator(".main-svg").first).to_be_attached(timeout=_SECONDS * 1000)
    assert page.locator(".plot.waiting").count() > 0


def test_the_theme_toggles_recolours_the_charts_and_is_kept(
    page: Page, reports: dict[str, Path]
) -> None:
    opened(page, reports["usual"])
    draw_all(page)
    line = page.locator(".chart").first.locator(".scatterlayer .js-line").last
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    light = line.evaluate("(line) => getComputedStyle(line).stroke")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Switch between dark and light").click()

    expect(root).to_have_attribute("data-theme", "dark")
    expect(line).not_to_have_css("stroke", light)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")


def test_the_theme_follows_the_system_until_one_is_chosen(
    page: Page, reports: dict[str, Path]
) -> None:
    page.emulate_media(color_scheme="dark")
    opened(page, reports["usual"])
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.emulate_media(color_scheme="light")

    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_tables_sort_by_numbers_by_words_and_unknowns_last(
    page: Page, reports: dict[str, Path]
) -> None:
    opened(page, reports["usual"])
    table = page.get_by_role("table", name="by segment").first

    def column(place: int) -> list[str]:
        return table.locator(f"tbody tr td:nth-child({place})").all_inner_texts()

    table.get_by_role("button", name="Labels").click()
    assert column(3) == ["40", "80", "120"]
    table.get_by_role("button", name="Labels").click()
    assert column(3) == ["120", "80", "40"]
    expect(table.locator("th", has_text="Labels")).to_have_attribute(
        "aria-sort", "descending"
    )
    table.get_by_role("button", name="Value").click()
    assert column(2) == ["DE", "FR", "JP"]
    assert table.locator("th[aria-sort]").count() == 1


def test_another_figure_of_a_chart_can_be_chosen(
    page: Page, reports: dict[str, Path]
) -> None:
    opened(page, reports["usual"])
    draw_all(page)
    chart = page.locator(".chart").first
    expect(chart.locator(".ytitle")).to_have_text("accuracy")

    chart.get_by_role("button", name="ROC AUC").click()

    expect(chart.locator(".ytitle")).to_have_text("ROC AUC")
    expect(chart.locator("button[aria-pressed=true]")).to_have_text("ROC AUC")


def test_hostile_names_are_shown_as_they_are_and_do_nothing(
    page: Page, reports: dict[str, Path]
) -> None:
    opened(page, reports["hostile"])
    draw_all(page)

    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, .plot b, .plot a").count() == 0
    expect(page.locator(".card h3").first).to_have_text(HOSTILE[0])
    drift = page.locator(".chart", has_text="multiple of the threshold")
    labels = drift.locator(".ytick text").all_text_contents()
    assert len(labels) == len(HOSTILE)
    assert {"__proto__", "1e5", "2026-01-01", "var:critical"} <= set(labels)


def test_nothing_is_wider_than_the_screen(page: Page, reports: dict[str, Path]) -> None:
    for name in ("usual", "hostile"):
        opened(page, reports[name])
        draw_all(page)
        width = page.evaluate("innerWidth")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_paper_gets_every_chart_in_light(page: Page, reports: dict[str, Path]) -> None:
    page.emulate_media(color_scheme="dark")
    opened(page, reports["usual"])
    page.locator(".chart").first.scroll_into_view_if_needed()
    expect(page.locator(".main-svg").first).to_be_attached(timeout=_SECONDS * 1000)

    document = page.pdf(format="A4")

    assert document.startswith(b"%PDF")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator(".plot.waiting")).to_have_count(0)


def test_a_year_of_three_monitors_opens_at_once(
    page: Page, reports: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.perf_counter()
    opened(page, reports["year"])
    page.locator(".chart").first.scroll_into_view_if_needed()
    expect(page.locator(".main-svg").first).to_be_attached(timeout=_SECONDS * 1000)
    seconds = time.perf_counter() - began

    # How long it takes is the machine's; that it is not every chart's time is ours.
    drawn = page.locator(".js-plotly-plot").count()
    assert 0 < drawn < page.locator(".chart").count() / 2
    with capsys.disabled():
        size = reports["year"].stat().st_size / 1e6
        print(f"\n{size:.1f} MB, the first chart after {seconds:.1f} s")
