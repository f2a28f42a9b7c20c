"""Dagster in a browser: the graph, a run of the job ``monitor``, and what it leaves."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from orchestration.warehouse import ConnectionSettings
from tests.dbt.prediction_log import write_small_log

CHECKOUT = Path(__file__).parents[2]
# Ignored by git: for people to look at.
SCREENSHOTS = CHECKOUT / "build" / "screenshots"
LAYERS = ("raw", "staging", "intermediate", "evidently", "marts")

# How long a slow machine may take, in milliseconds.
_SHOWN = 120_000
_FINISHED = 480_000


@dataclass(frozen=True)
class Running:
    """Dagster over a small log, at ``address``; reports are below ``home``."""

    address: str
    home: Path


@pytest.fixture(scope="module")
def dagster(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    log = home / "dagster.log"
    with fresh_database() as settings, log.open("w") as output:
        write_small_log(settings)
        port = _free_port()
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("driftline")), "ui"),
                *("--port", str(port)),
            ],
            cwd=CHECKOUT,
            env=os.environ | settings.environ() | {"DRIFTLINE_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            # So that all that Dagster starts can be stopped together.
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process, log)
            yield Running(address, home)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SHOWN / 1000
    while True:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)


expect.set_options(timeout=_SHOWN)


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(_SHOWN)
    yield context.new_page()
    context.close()


def keep(tab: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SCREENSHOTS / f"{name}.png")


def _is_of_a_mutation(response: Response) -> bool:
    """Whether something was asked to be done, such as a run to be launched."""
    return "mutation " in (response.request.post_data or "")


@pytest.mark.timeout(900)
def test_the_job_monitor_is_run_from_the_browser(dagster: Running, tab: Page) -> None:
    tab.goto(dagster.address)
    tab.get_by_role("link", name="Lineage").click()
    for layer in LAYERS:
        # In the list, and in the graph.
        shown = tab.get_by_text(layer, exact=True).filter(visible=True)
        expect(shown.nth(1)).to_be_visible()
    keep(tab, "lineage")

    tab.goto(f"{dagster.address}/locations/driftline/jobs/monitor")
    materialize = tab.get_by_role("button", name="Materialize all")
    expect(materialize).to_be_enabled()
    # The menu beside it: the launchpad names no day, so that the stale ones are taken.
    materialize.locator("xpath=following::button[1]").click()
    tab.get_by_role("menuitem", name="Open launchpad").click()
    tab.get_by_text("Materialize", exact=True).filter(visible=True).last.click()
    with tab.expect_response(_is_of_a_mutation):
        tab.get_by_role("button", name="Confirm").click()
    tab.goto(f"{dagster.address}/locations/driftline/jobs/monitor/runs")
    tab.locator("a[href*='/runs/']").first.click()
    expect(tab.get_by_text("Success", exact=True).first).to_be_visible(
        timeout=_FINISHED
    )
    keep(tab, "run")

    tab.goto(f"{dagster.address}/assets/marts/monitors?view=checks")
    expect(tab.get_by_text("relations_flight_delay", exact=True).first).to_be_visible()
    keep(tab, "checks")
    tab.goto(f"{dagster.address}/assets/evidently/drift_results?view=overview")
    expect(tab.get_by_text("evaluated_day_count").first).to_be_visible()
    keep(tab, "metadata")


@pytest.mark.timeout(300)
def test_a_report_shows_its_plots(dagster: Running, tab: Page) -> None:
    pages = sorted((dagster.home / "reports").glob("*/*.html"))
    assert {page.parent.name for page in pages} == {
        "flight_delay",
        "flight_delay_band",
        "flight_delayed",
    }
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))

    tab.goto((dagster.home / "reports" / "index.html").as_uri())
    keep(tab, "reports")
    tab.get_by_role("link", name=re.compile(pages[0].stem)).first.click()
    # Evidently's table has two histograms a column, ten columns at first.
    rows = tab.get_by_role("row").filter(has_text=re.compile("Detected"))
    expect(rows).to_have_count(10)
    rows.last.scroll_into_view_if_needed()
    histograms = rows.locator("canvas")
    expect(histograms).to_have_count(20)
    for place in range(20):
        # Drawn, not only framed.
        assert histograms.nth(place).evaluate(
            """(canvas) => canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height)
                .data.some((value) => value > 0)"""
        )
    keep(tab, "report")
    assert complaints == []
