"""Numbers, times and names in words, alike in text and in charts."""

import html
import math
from datetime import datetime, timedelta

STATUS_WORDS = {
    "ok": "ok",
    "warning": "warning",
    "critical": "critical",
    "not_computable": "not computable",
}
"""The statuses of the marts, from best to worst but for the last."""

FAMILY_WORDS = {
    "service_health": "Service health",
    "data_quality": "Data quality",
    "model_performance": "Performance",
    "drift": "Drift",
}

METRIC_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "expected_calibration_error": "calibration error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "mean_error": "mean error",
    "r2": "R²",
}

METRIC_UNITS = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "precision", "recall"), "%"),
    **dict.fromkeys(("mae", "rmse", "mean_error"), "in the unit of what is predicted"),
    "log_loss": "nats",
}
"""Units of the figures of performance; those without one are pure numbers."""

LOWER_IS_BETTER = {"log_loss", "expected_calibration_error", "mae", "rmse"}

_DASH = "–"
# Between a number and its unit, which belong on one line.
_SPACE = "\N{NO-BREAK SPACE}"
_SEVERITIES = {"not_computable": 0, "ok": 1, "warning": 2, "critical": 3}


def severity(status: str) -> int:
    """A status as a number to sort by: 0 for not_computable, 3 for critical."""
    return _SEVERITIES[status]


def percent(rate: float | None, *, digits: int = 1) -> str:
    """A rate of 0 to 1 as percent; small ones never as a plain 0, nor 1 if below."""
    if rate is None or not math.isfinite(rate):
        return _DASH
    shown = f"{rate * 100:.{digits}f}"
    if rate > 0 and float(shown) == 0:
        return f"<{_SPACE}{10**-digits:.{digits}f}{_SPACE}%"
    if rate < 1 and float(shown) == 100:
        return f">{_SPACE}{100 - 10**-digits:.{digits}f}{_SPACE}%"
    return f"{shown}{_SPACE}%"


def number(value: float | None, *, digits: int = 3) -> str:
    """A number with so many significant digits, and thousands apart."""
    if value is None or not math.isfinite(value):
        return _DASH
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def count(value: int | None) -> str:
    """A count with thousands apart."""
    return _DASH if value is None else f"{value:,}"


def metric_value(metric: str, value: float | None) -> str:
    """A figure of performance with its unit, as far as it has one that is known."""
    return percent(value) if METRIC_UNITS.get(metric) == "%" else number(value)


def day(moment: datetime | None) -> str:
    """A day such as 3 Oct 2026."""
    return _DASH if moment is None else f"{moment.day} {moment:%b %Y}"


def minute(moment: datetime | None) -> str:
    """A minute such as 3 Oct 2026, 14:05."""
    return _DASH if moment is None else f"{day(moment)}, {moment:%H:%M}"


def duration(span: timedelta) -> str:
    """A span of time in its two largest units at most."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit != "d" and seconds >= size):
            return f"{seconds // size}{_SPACE}{unit}"
    return f"{seconds}{_SPACE}s"


def plural(amount: int, noun: str) -> str:
    """An amount of something, such as 1 incident, 2 incidents."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def shortened(text: str, length: int) -> str:
    """A text of at most ``length`` characters, an ellipsis for what is left out."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def chart_text(text: str) -> str:
    """A text for Plotly, which would take tags and entities in it for its own."""
    # Line ends would be lost, and control characters are no part of any markup.
    plain = "".join(each if each.isprintable() else " " for each in text)
    return html.escape(plain, quote=False)
