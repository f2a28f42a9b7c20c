"""A headless Chromium, and the reports as files that it opens."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from orchestration.reporting.page import render
from tests.report_content import (
    hostile_report,
    usual_report,
    year_of_three_monitors,
)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# It may run as root, without a graphics card, and nothing in it may call home.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Seen:
    """What a page asked for, and what it complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail(
            "No Chromium is on the PATH: install it, for example by "
            "`apt-get install chromium` (Debian, Ubuntu) or `brew install chromium`, "
            "then run `make test-ui` again.",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=found, args=list(_ARGUMENTS)
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files: ``usual``, ``hostile`` and ``year``."""
    folder = tmp_path_factory.mktemp("reports")
    contents = {
        "usual": usual_report(),
        "hostile": hostile_report(),
        "year": year_of_three_monitors(),
    }
    paths = {name: folder / f"{name}.html" for name in contents}
    for name, content in contents.items():
        paths[name].write_text(render(content), encoding="utf-8")
    return paths


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture(params=[1440, 390], ids=lambda width: f"{width}px")
def page(
    browser: Browser, request: pytest.FixtureRequest, seen: Seen
) -> Iterator[Page]:
    """A tab as wide as a desk's screen, and as a phone's."""
    is_phone = request.param < 500
    context = browser.new_context(
        viewport={"width": request.param, "height": 900},
        color_scheme="light",
        has_touch=is_phone,
        is_mobile=is_phone,
    )
    opened = context.new_page()
    opened.on("request", lambda each: seen.requests.append(each.url))
    opened.on("pageerror", lambda each: seen.complaints.append(str(each)))
    opened.on(
        "console",
        lambda each: (
            seen.complaints.append(each.text)
            if each.type in ("error", "warning")
            else None
        ),
    )
    yield opened
    context.close()
