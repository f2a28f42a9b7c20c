"""What people and programs read, whatever the warehouse holds."""

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestration.alerting.changes import Change, Event
from orchestration.alerting.configuration import Links, parse_alerting
from orchestration.alerting.incidents import Incident
from orchestration.alerting.messages import (
    DatedChange,
    Message,
    html_text,
    plain_text,
    slack_payload,
    subject,
    webhook_payload,
)
from tests.orchestration.alerting import (
    DAY,
    HOSTILE,
    INCIDENT,
    NOW,
    incident,
    resolved,
)

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "alerts-webhook.schema.json").read_text()
)
LINKS = Links(
    dashboard="https://grafana.example.org/d/m?var-monitor={monitor}",
    report="https://reports.example.org/{monitor}/{day}.html",
)
NO_LINKS = Links()
EVIL = replace(
    INCIDENT,
    incident_id="e71100000000",
    owner=HOSTILE,
    title=HOSTILE,
    column_names=(HOSTILE,),
    suspect_column_name=HOSTILE,
    suspect_segment="carrier",
    suspect_segment_value=HOSTILE,
    suspect_reason=HOSTILE,
    possible_causes=(HOSTILE,),
)


def change(event: Event, of: Incident, **facts: Any) -> DatedChange:
    return DatedChange(
        event_id=f"{event}-{of.incident_id}",
        decided_at=NOW,
        change=Change(event=event, incident=of, **facts),
    )


def message(*changes: DatedChange) -> Message:
    return Message(message_id="m1", receiver="flights", changes=changes)


OPENED = message(change("opened", INCIDENT))
EVIL_MESSAGE = message(change("opened", EVIL))


def test_one_change_in_plain_text() -> None:
    assert plain_text(OPENED, LINKS) == (
        "WARNING opened: flight_delay: null rate of humidity is 57.7 % (541 of 938 "
        "rows), above 20 %, and more\n"
        "  since 2026-03-10 09:00 UTC\n"
        "  First suspect: data quality column humidity\n"
        "  5 alerts in data quality, drift, of humidity\n"
        "  Possible causes: version 2 was deployed at 2026-03-10 08:30\n"
        "  Owner team-flights, incident 9f2c01ab34cd (driftline ack 9f2c01a)\n"
        "  Dashboard: https://grafana.example.org/d/m?var-monitor=flight_delay\n"
        "  Report: https://reports.example.org/flight_delay/2026-03-10.html\n"
    )


def test_the_documentation_shows_messages_as_they_look() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts-delivery.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    file, *_ = (text for language, text in blocks if language == "yaml")
    alerting = parse_alerting(file, source="docs")
    over = resolved(
        started_at=NOW - 14 * DAY, opened_at=NOW - 13 * DAY, closed_at=NOW - 12 * DAY
    )
    late = message(change("resolved", over, is_late=True))

    shown = [text for _, text in blocks]

    assert plain_text(OPENED, alerting.links) in shown
    assert plain_text(late, alerting.links) in shown
    payloads = [json.loads(text) for language, text in blocks if language == "json"]
    assert slack_payload(OPENED, alerting.links) in payloads
    payload = webhook_payload(OPENED, alerting.links)
    assert json.loads(json.dumps(payload)) in payloads


def test_links_that_are_not_set_are_left_out() -> None:
    assert "http" not in plain_text(OPENED, NO_LINKS)
    assert "http" not in json.dumps(slack_payload(OPENED, NO_LINKS))


def test_several_changes_of_an_incident_are_one_story() -> None:
    both = message(change("opened", INCIDENT), change("resolved", resolved()))

    text = plain_text(both, NO_LINKS)

    assert text.startswith("WARNING opened, then resolved: flight_delay")
    assert "2026-03-10 09:00 to 2026-03-10 11:30 UTC" in text
    assert text.count("First suspect") == 1
    assert subject(both).startswith("Warning, opened, then resolved: null rate")


def test_a_subject_counts_incidents_by_gravity_and_the_gravest_come_first() -> None:
    several = message(
        change("resolved", resolved("aaa", title="over")),
        change("opened", incident("bbb", title="odd", monitor="churn")),
        change("escalated", incident("ccc", title="bad", severity="critical")),
    )

    assert subject(several) == (
        "3 incidents changed in flight_delay, churn: 1 critical, 1 warning, 1 resolved"
    )
    text = plain_text(several, NO_LINKS)
    assert text.index("bad") < text.index("odd") < text.index("over")


def test_late_news_says_how_old_it_is_and_why_it_is_told_now() -> None:
    old = resolved(closed_at=NOW - 12 * DAY)

    text = plain_text(message(change("resolved", old, is_late=True)), NO_LINKS)

    assert "(about 12 days ago: rows or labels that arrived since changed it)" in text


def test_an_end_for_lack_of_data_is_no_recovery() -> None:
    silent = resolved(closed_at=NOW, last_alert_at=NOW)

    text = plain_text(message(change("resolved", silent)), NO_LINKS)

    assert "UTC, and nothing to judge it by has come since" in text
    recovered = plain_text(message(change("resolved", resolved())), NO_LINKS)
    assert "nothing to judge" not in recovered


def test_an_incident_that_never_was_is_withdrawn() -> None:
    gone = message(change("resolved", INCIDENT, is_withdrawn=True))

    text = plain_text(gone, NO_LINKS)

    assert text.startswith("WARNING withdrawn: flight_delay")
    assert "rows or labels that arrived since show that it was none" in text


def test_an_incident_that_was_told_of_at_its_end_is_told_as_a_whole() -> None:
    whole = message(change("resolved", resolved(), is_whole=True))

    assert subject(whole).startswith("Warning, opened, then resolved")


@pytest.mark.parametrize("count", [1, 3, 200])
def test_slack_takes_any_number_of_changes(count: int) -> None:
    many = message(*(change("opened", incident(f"{n:012x}")) for n in range(count)))

    payload = slack_payload(many, LINKS)

    assert len(payload["blocks"]) <= 50
    assert ("and 185 more" in json.dumps(payload)) == (count == 200)
    for block in payload["blocks"]:
        for text in texts_of(block):
            limit = 150 if block["type"] == "header" else 3000
            assert 0 < len(text["text"]) <= limit
    assert len(plain_text(many, LINKS).splitlines()) < 200


def texts_of(block: dict[str, Any]) -> list[dict[str, Any]]:
    texts = [block["text"]] if "text" in block else []
    return [*texts, *block.get("elements", [])]


def test_hostile_text_can_neither_format_nor_link_nor_mention_in_slack() -> None:
    payload = slack_payload(EVIL_MESSAGE, LINKS)

    for block in payload["blocks"]:
        for text in texts_of(block):
            if text["type"] == "plain_text":
                assert text["emoji"] is False
                continue
            # Only our own links are left of what Slack would read as markup.
            markup = re.findall(r"<[^>]*>", text["text"])
            assert [each.rpartition("|")[2] for each in markup] == [
                "Dashboard>",
                "Report>",
            ]
            assert "evil" not in text["text"]
    assert not re.search("[<>]", payload["text"])
    assert "&lt;!channel&gt;" in payload["text"]


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.add(tag)


def test_hostile_text_is_only_text_in_html() -> None:
    tags = _Tags()
    tags.feed(html_text(EVIL_MESSAGE, LINKS))

    assert tags.found == {
        "html", "head", "meta", "title", "body", "h3", "p", "b", "br", "a",
    }  # fmt: skip
    assert "🔥" in html_text(EVIL_MESSAGE, LINKS)


@pytest.mark.parametrize("render", [plain_text, html_text])
def test_hostile_text_steers_no_terminal_and_breaks_no_line(render: Any) -> None:
    text = render(EVIL_MESSAGE, LINKS)

    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert not any(line.startswith("Bcc") for line in text.splitlines())


def test_a_subject_is_one_line() -> None:
    assert "Bcc" in subject(EVIL_MESSAGE)
    assert not re.search(r"[\r\n\x1b]", subject(EVIL_MESSAGE))


def test_the_json_is_as_its_schema_says() -> None:
    various = message(
        change("opened", EVIL),
        change("resolved", resolved(), is_late=True),
        change("escalated", incident(owner=None, possible_causes=())),
        change("reopened", incident(state="acknowledged", acknowledged_at=NOW)),
    )  # fmt: skip
    test = replace(message(), is_test=True)
    notice = Message(message_id="n1", receiver="r1", notice="a run failed\nwhy")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    for each in (various, test, notice):
        for links in (LINKS, NO_LINKS):
            payload = json.loads(json.dumps(webhook_payload(each, links)))
            jsonschema.validate(payload, SCHEMA, cls=jsonschema.Draft202012Validator)
    # Programs get what is there, as it is.
    payload = webhook_payload(various, LINKS)
    assert payload["changes"][0]["incident"]["title"] == HOSTILE


def test_a_change_survives_being_stored() -> None:
    acknowledged = incident(
        state="acknowledged", acknowledged_at=NOW, acknowledged_by=HOSTILE
    )

    stored = json.loads(json.dumps(acknowledged.as_json()))

    assert Incident.from_json(stored) == acknowledged
