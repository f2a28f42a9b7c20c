"""Spans of time as scenario files write them, such as ``12d 6h 30m``."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?")


def duration_of(value: object) -> timedelta | None:
    """The span that a text names; None if it names none, or more than 366 days."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes = (int(number or 0) for number in match.groups())
    if days > 366:
        return None
    return timedelta(days=days, hours=hours, minutes=minutes)


def text_of(duration: timedelta) -> str:
    """The text that names a span of whole minutes."""
    minutes = duration // timedelta(minutes=1)
    amounts = (minutes // 1440, minutes // 60 % 24, minutes % 60)
    units = zip(amounts, "dhm", strict=True)
    return " ".join(f"{amount}{unit}" for amount, unit in units if amount) or "0m"
