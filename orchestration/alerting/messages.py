"""Changes as people and programs read them. Pure.

Whatever comes out of the warehouse may hold anything that a client once sent: each
format escapes it, and none lets it break a line or a header.
"""

import html
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.alerting.changes import Change, Event
from orchestration.alerting.configuration import Links
from orchestration.alerting.incidents import Incident

# Of one message, in full; a longer one says how many more there are.
SHOWN_CHANGES = 15

# What Slack takes: https://docs.slack.dev/reference/block-kit/blocks
_SLACK_HEADER_LENGTH = 150
_SLACK_TEXT_LENGTH = 3000

_GRAVITY = ("critical", "warning", "resolved")
_COLOURS = {"critical": "#c4162a", "warning": "#b58900", "resolved": "#2c7a2c"}
_SIGNS = {"critical": "🔴", "warning": "🟡", "resolved": "🟢"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """Changes for one receiver, in order of time; or a test, or a ``notice``, without.

    A notice is lines about Driftline itself, the first of them in short. The same
    ``message_id``, the same content, however often it is tried.
    """

    message_id: str
    receiver: str
    changes: tuple["DatedChange", ...] = ()
    is_test: bool = False
    notice: str | None = None


@dataclass(frozen=True, kw_only=True)
class DatedChange:
    """A change as the ledger holds it."""

    event_id: str
    decided_at: datetime
    change: Change


@dataclass(frozen=True, kw_only=True)
class _Story:
    """What happened to one incident within a message."""

    events: tuple[Event, ...]
    last: DatedChange

    @property
    def incident(self) -> Incident:
        return self.last.change.incident

    @property
    def colour(self) -> str:
        if self.last.change.event == "resolved":
            return "resolved"
        return "warning" if self.incident.severity == "warning" else "critical"

    @property
    def verb(self) -> str:
        """Such as "opened", or "opened, then resolved"."""
        if self.last.change.is_withdrawn:
            words = [*self.events[:-1], "withdrawn"]
        elif self.last.change.is_whole:
            words = ["opened", "resolved"]
        else:
            words = [*self.events]
        return ", then ".join(dict.fromkeys(words))


def subject(message: Message) -> str:
    """One line, such as "Critical, opened: null rate of humidity …"."""
    if message.is_test:
        return "Driftline: a test message"
    if message.notice is not None:
        return f"Driftline: {_notice_lines(message)[0]}"
    stories = _stories(message)
    if len(stories) == 1:
        (story,) = stories
        return f"{_headline(story)} ({clean(story.incident.monitor)})"
    counts = Counter(story.colour for story in stories)
    parts = [f"{counts[each]} {each}" for each in _GRAVITY if counts[each]]
    monitors = dict.fromkeys(clean(story.incident.monitor) for story in stories)
    where = ", ".join(monitors) if len(monitors) <= 3 else f"{len(monitors)} monitors"
    return f"{len(stories)} incidents changed in {where}: {', '.join(parts)}"


def plain_text(message: Message, links: Links) -> str:
    """All of it as lines of text."""
    if lines := _notice_lines(message):
        return "Driftline: " + "\n  ".join(lines) + "\n"
    stories = _stories(message)
    shown = _most_grave(stories)[:SHOWN_CHANGES]
    blocks = ["\n".join(_lines(story, links)) for story in shown]
    if more := _more(stories):
        blocks.append(more)
    return "\n\n".join(blocks) + "\n"


def html_text(message: Message, links: Links) -> str:
    """All of it as simple HTML, without anything that would have to be fetched."""
    if lines := _notice_lines(message):
        body = f"<p>{'<br>'.join(map(html.escape, lines))}</p>"
    else:
        stories = _stories(message)
        shown = _most_grave(stories)[:SHOWN_CHANGES]
        body = "\n".join(_html_story(story, links) for story in shown)
        if more := _more(stories):
            body += f"\n<p>{html.escape(more)}</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(subject(message))}</title></head>\n"
        '<body style="font-family: sans-serif; line-height: 1.4">\n'
        f"{body}\n</body></html>\n"
    )


def slack_payload(message: Message, links: Links) -> dict[str, Any]:
    """The JSON of an incoming webhook: blocks, and a text for notifications.

    What comes out of the warehouse is plain text wherever Slack has it, and escaped
    elsewhere: it can neither format nor link nor mention anybody.
    """
    fallback = {"text": _slack_escaped(_cut(subject(message), _SLACK_TEXT_LENGTH))}
    if lines := _notice_lines(message):
        text = _cut("Driftline: " + "\n".join(lines), _SLACK_TEXT_LENGTH)
        return {**fallback, "blocks": [{"type": "section", "text": _slack_plain(text)}]}
    stories = _stories(message)
    shown = _most_grave(stories)[:SHOWN_CHANGES]
    blocks: list[dict[str, Any]] = []
    for story in shown:
        if len(shown) == 1:
            # Bold by itself.
            title = _cut(_headline(story, sign=True), _SLACK_HEADER_LENGTH)
            blocks.append({"type": "header", "text": _slack_plain(title)})
        else:
            title = _cut(_headline(story, sign=True), _SLACK_TEXT_LENGTH)
            blocks.append({"type": "section", "text": _slack_plain(title)})
        facts = " · ".join(
            [
                f"*{_slack_escaped(clean(story.incident.monitor))}*",
                _slack_escaped(_when(story)),
                *(
                    f"<{_slack_escaped(url)}|{name}>"
                    for name, url in _links(story, links).items()
                ),
            ]
        )
        details = _cut("\n".join(_details(story)), _SLACK_TEXT_LENGTH)
        links_and_time = {
            "type": "mrkdwn",
            "text": _cut(facts, _SLACK_TEXT_LENGTH),
            "verbatim": True,
        }
        blocks += [
            {"type": "section", "text": _slack_plain(details)},
            {"type": "context", "elements": [links_and_time]},
        ]
    if len(shown) > 1:
        heading = _cut(subject(message), _SLACK_HEADER_LENGTH)
        blocks.insert(0, {"type": "header", "text": _slack_plain(heading)})
    if more := _more(stories):
        blocks.append({"type": "context", "elements": [_slack_plain(more)]})
    return {**fallback, "blocks": blocks}


def webhook_payload(message: Message, links: Links) -> dict[str, Any]:
    """The JSON of the generic webhook: ``docs/alerts-webhook.schema.json``."""
    return {
        "version": 1,
        "message_id": message.message_id,
        "receiver": message.receiver,
        "is_test": message.is_test,
        "notice": message.notice,
        "summary": subject(message),
        "changes": [
            {
                "event_id": each.event_id,
                "event": each.change.event,
                "decided_at": each.decided_at.isoformat(),
                "is_late": each.change.is_late,
                "is_withdrawn": each.change.is_withdrawn,
                "text": "\n".join(
                    _lines(_Story(events=(each.change.event,), last=each), links)
                ),
                "links": {
                    "dashboard": links.dashboard_url(each.change.incident),
                    "report": links.report_url(each.change.incident),
                },
                "incident": each.change.incident.as_json(),
            }
            for each in message.changes
        ],
    }


def clean(text: str) -> str:
    """On one line, and without what could steer a terminal or turn the text around."""
    kept = (character for character in text if not _is_unwanted(character))
    return " ".join("".join(kept).split())


def counted(count: int, what: str) -> str:
    """Such as "1 change" or "2 changes"."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def _stories(message: Message) -> list[_Story]:
    """One for each incident, in the order in which they last changed."""
    events: dict[str, list[Event]] = {}
    last: dict[str, DatedChange] = {}
    for each in message.changes:
        incident_id = each.change.incident.incident_id
        events.setdefault(incident_id, []).append(each.change.event)
        last.pop(incident_id, None)
        last[incident_id] = each
    return [
        _Story(events=tuple(events[incident_id]), last=each)
        for incident_id, each in last.items()
    ]


def _most_grave(stories: Sequence[_Story]) -> list[_Story]:
    return sorted(stories, key=lambda story: _GRAVITY.index(story.colour))


def _more(stories: Sequence[_Story]) -> str:
    count = len(stories) - SHOWN_CHANGES
    if count <= 0:
        return ""
    return f"and {count} more: `driftline incidents --all` lists them"


def _headline(story: _Story, *, sign: bool = False) -> str:
    incident = story.incident
    start = f"{_SIGNS[story.colour]} " if sign else ""
    severity = clean(incident.severity).capitalize()
    return f"{start}{severity}, {story.verb}: {clean(incident.what)}"


def _lines(story: _Story, links: Links) -> list[str]:
    incident = story.incident
    return [
        f"{clean(incident.severity).upper()} {story.verb}: "
        f"{clean(incident.monitor)}: {clean(incident.what)}",
        *(
            f"  {line}"
            for line in (
                _when(story),
                *_details(story),
                *(f"{name}: {url}" for name, url in _links(story, links).items()),
            )
        ),
    ]


def _details(story: _Story) -> list[str]:
    """What is known of an incident, a line for each sort of facts."""
    incident = story.incident
    suspect = " ".join(
        filter(
            None,
            (
                clean(incident.suspect_family or "").replace("_", " "),
                _of("column", incident.suspect_column_name),
                _of("version", incident.suspect_model_version),
                f"{clean(incident.suspect_segment or '')} "
                f"{clean(incident.suspect_segment_value or '')}"
                if incident.suspect_segment not in (None, "all")
                else "",
            ),
        )
    )
    reason = clean(incident.suspect_reason or "")
    if reason in clean(incident.title):
        reason = ""
    lines = []
    if suspect or reason:
        lines.append(f"First suspect: {': '.join(filter(None, (suspect, reason)))}")
    families = _listed(family.replace("_", " ") for family in incident.families)
    columns = _listed(name for name in incident.column_names if name != "all")
    alerts = counted(incident.alert_count, "alert")
    lines.append(f"{alerts} in {families}" + (f", of {columns}" if columns else ""))
    if incident.possible_causes:
        causes = "; ".join(map(clean, incident.possible_causes[:5]))
        lines.append(f"Possible causes: {causes}")
    owner = clean(incident.owner or "unowned")
    about = f"Owner {owner}, incident {clean(incident.incident_id)}"
    if incident.state == "acknowledged":
        about += f", acknowledged by {clean(incident.acknowledged_by or 'someone')}"
    elif incident.is_open:
        about += f" (driftline ack {clean(incident.incident_id)[:7]})"
    lines.append(about)
    return lines


def _of(word: str, value: str | None) -> str:
    return "" if value in (None, "all") else f"{word} {clean(value or '')}"


def _listed(names: Iterable[str]) -> str:
    found = list(map(clean, names))
    shown = ", ".join(found[:6])
    return f"{shown} and {len(found) - 6} more" if len(found) > 6 else shown


def _when(story: _Story) -> str:
    """From when until when, and, of late news, why only now."""
    incident, change = story.incident, story.last.change
    if change.event == "resolved" and incident.closed_at is not None:
        span = f"{_moment(incident.started_at)} to {_moment(incident.closed_at)} UTC"
        about = incident.closed_at
    else:
        span = f"since {_moment(incident.started_at)} UTC"
        about = incident.last_alert_at
        if change.event == "opened":
            about = incident.opened_at
    if story.colour == "resolved" and about <= incident.last_alert_at:
        # Its last window was as bad as those before.
        span += ", and nothing to judge it by has come since"
    if change.is_withdrawn:
        return f"{span}; rows or labels that arrived since show that it was none"
    if change.is_late:
        age = _age(story.last.decided_at - about)
        return f"{span} (about {age} ago: rows or labels that arrived since changed it)"
    return span


def _age(span: timedelta) -> str:
    days = round(span / timedelta(days=1))
    return f"{days} days" if days < 60 else f"{round(days / 30.44)} months"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _links(story: _Story, links: Links) -> Mapping[str, str]:
    found = {
        "Dashboard": links.dashboard_url(story.incident),
        "Report": links.report_url(story.incident),
    }
    return {name: url for name, url in found.items() if url is not None}


def _html_story(story: _Story, links: Links) -> str:
    incident = story.incident
    colour = _COLOURS[story.colour]
    lines = [html.escape(line) for line in (_when(story), *_details(story))]
    lines += [
        f'<a href="{html.escape(url)}">{name}</a>'
        for name, url in _links(story, links).items()
    ]
    return (
        f'<h3 style="margin: 1.2em 0 0.2em; color: {colour}">'
        f"{html.escape(_headline(story))}</h3>\n"
        f"<p style=\"margin: 0\"><b>{html.escape(clean(incident.monitor))}</b><br>"
        + "<br>\n".join(lines)
        + "</p>"
    )  # fmt: skip


def _notice_lines(message: Message) -> list[str]:
    """The text of a message that holds no changes; nothing of others."""
    if message.is_test:
        return [f"this is a test: the receiver {message.receiver} can be reached."]
    return [clean(line) for line in (message.notice or "").splitlines()]


def _slack_plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _is_unwanted(character: str) -> bool:
    if character.isspace():
        return False
    is_control = unicodedata.category(character) in ("Cc", "Cs")
    return is_control or character in _BIDIRECTIONAL


# Marks that make text show in another order than it is: "exe.txt" for "txt.exe".
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
