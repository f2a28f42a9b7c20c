"""The reference of metrics and runbooks, readable inside Grafana.

Descriptions of panels and annotations of alerts link to its pages, so that they need
neither this repository nor the network.
"""

import posixpath
import re
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.models.text import TextMode

from grafana import emission
from grafana.pages import PAGES, REFERENCE, page_path

_DOCS = Path(__file__).resolve().parent.parent / "docs"


def build() -> builders.Dashboard:
    """One panel for each page: a link opens it over the whole window."""
    dashboard = emission.new_dashboard(
        REFERENCE,
        "Driftline reference",
        "What the figures of the dashboards mean, and what to do when a rule fires.",
    )
    for title, path in PAGES.values():
        dashboard.with_panel(
            text.Panel()
            .title(title)
            .description(f"docs/{path}, as of when the dashboards were generated.")
            .mode(TextMode.MARKDOWN)
            .content(_page(path))
            .span(24)
            .height(24)
        )
    return dashboard


def _page(path: str) -> str:
    """A page without its heading, its links to other pages leading to their panels."""
    content = (_DOCS / path).read_text(encoding="utf-8")

    def lead(match: re.Match[str]) -> str:
        name, target = match.groups()
        if target.startswith("https://"):
            return match[0]
        file = posixpath.normpath(
            posixpath.join(posixpath.dirname(path), target.partition("#")[0])
        )
        for page, (_, known) in PAGES.items():
            if known == file and known != path:
                return f"[{name}](./{page_path(page)})"
        return name

    without_heading = re.sub(r"\A# .+\n+", "", content)
    return re.sub(r"\[([^\]\n]+)\]\(([^)\s]+)\)", lead, without_heading)
