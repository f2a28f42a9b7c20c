"""How the commands show what comes out of the warehouse."""

import json
from datetime import UTC, datetime

from rich import markup
from rich.console import Console

from orchestration.alerting.messages import clean

COLOURS = {"critical": "red", "warning": "yellow"}


def console() -> Console:
    """Standard output; a file or a pipe, with no width of its own, gets a wide one."""
    own = Console(highlight=False)
    return own if own.is_terminal else Console(highlight=False, width=160)


def shown(text: str) -> str:
    """As it is, but for what rich or the terminal would take for an order."""
    return markup.escape(clean(text))


def moment(when: datetime) -> str:
    """To the minute, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def print_json(content: object) -> None:
    """For programs; times in ISO 8601."""
    print(json.dumps(content, ensure_ascii=False, indent=2, default=_as_json))


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")
