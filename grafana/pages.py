"""The pages of the reference, and where the reference dashboard shows them."""

# By the name that panels use: the title, and the file in docs/. The order is that of
# the panels of the reference, whose ids are counted from 1.
PAGES = {
    "service_health": ("Service health", "metrics/service_health.md"),
    "data_quality": ("Data quality", "metrics/data_quality.md"),
    "model_performance": ("Model performance", "metrics/model_performance.md"),
    "drift": ("Drift", "metrics/drift.md"),
    "alerts": ("Alerts and incidents", "alerts.md"),
    "runbooks": ("Runbooks", "runbooks.md"),
}
REFERENCE = "driftline-reference"


def page_path(page: str) -> str:
    """Where a page is, from the root of Grafana. Raises ``KeyError`` if unknown."""
    PAGES[page]
    return f"d/{REFERENCE}?viewPanel={list(PAGES).index(page) + 1}"


def page_link(page: str) -> str:
    """A link to a page in Markdown. Relative, as Grafana may live under a path."""
    title, _ = PAGES[page]
    return f"[Reference: {title.lower()}](./{page_path(page)})"
