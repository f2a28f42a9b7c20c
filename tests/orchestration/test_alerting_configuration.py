"""``alerting.yml``: who is told what, and what is said of a wrong one."""

from pathlib import Path

import pytest

from orchestration.alerting.configuration import (
    STANDARD_OUTPUT_ONLY,
    Alerting,
    AlertingError,
    EmailReceiver,
    parse_alerting,
    read_alerting,
)
from tests.orchestration.alerting import incident

FILE = """
receivers:
  - {name: flights, type: slack, url_env: SLACK_WEBHOOK_URL}
  - {name: pager, type: webhook, url: "https://pager.example.org/in", secret_env: KEY}
  - name: mail
    type: email
    host: smtp.example.org
    from: driftline@example.org
    to: [ml@example.org]
routes:
  - {receivers: flights, owners: team-flights}
  - {receivers: [pager], severities: [critical], families: [service_health]}
  - {receivers: [mail], monitors: ["churn*"]}
otherwise: [mail]
links:
  dashboard: https://grafana.example.org/
  report: https://reports.example.org/report.html
"""


def parse(text: str) -> Alerting:
    return parse_alerting(text, source="alerting.yml")


def test_all_routes_that_suit_an_incident_count() -> None:
    alerting = parse(FILE)
    critical = incident(severity="critical", families=("drift", "service_health"))

    assert alerting.receivers_of(incident()) == ["flights"]
    assert alerting.receivers_of(critical) == ["flights", "pager"]
    assert alerting.receivers_of(incident(owner="x", monitor="churn_2")) == ["mail"]


def test_what_no_route_suits_goes_to_otherwise() -> None:
    assert parse(FILE).receivers_of(incident(owner=None)) == ["mail"]


def test_without_routes_everybody_is_told_everything() -> None:
    alerting = parse("receivers: [{name: a, type: stdout}, {name: b, type: stdout}]")

    assert alerting.receivers_of(incident()) == ["a", "b"]


def test_a_port_follows_from_how_the_line_is_secured() -> None:
    (mail,) = (each for each in parse(FILE).receivers if each.name == "mail")

    assert isinstance(mail, EmailReceiver)
    assert (mail.security, mail.port) == ("starttls", 587)


def test_links_are_made_from_a_base_or_from_a_template_and_escaped() -> None:
    base = parse(FILE).links
    template = parse(
        "receivers: [{name: a, type: stdout}]\n"
        "links: {dashboard: 'https://bi.example.org/?m={monitor}&i={incident_id}', "
        "report: 'https://reports.example.org/{monitor}/{day}.html'}"
    ).links
    hostile = incident(monitor="a&b=c")

    assert base.dashboard_url(hostile) == (
        "https://grafana.example.org/d/driftline-model?var-monitor=a%26b%3Dc"
        "&from=1773046800000&to=now"
    )
    assert template.dashboard_url(hostile) == (
        "https://bi.example.org/?m=a%26b%3Dc&i=9f2c01ab34cd"
    )
    assert template.report_url(hostile) == (
        "https://reports.example.org/a%26b%3Dc/2026-03-10.html"
    )
    assert base.report_url(hostile) == "https://reports.example.org/report.html"


def test_without_a_file_everything_goes_to_standard_output(tmp_path: Path) -> None:
    alerting = read_alerting({}, directory=tmp_path)

    assert alerting == STANDARD_OUTPUT_ONLY
    assert alerting.receivers_of(incident()) == ["stdout"]


def test_a_variable_names_the_file_and_must_be_right(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.yml"
    path.write_text(FILE)
    environ = {"DRIFTLINE_ALERTING": str(path)}

    assert len(read_alerting(environ, directory=tmp_path).receivers) == 3
    path.unlink()
    with pytest.raises(AlertingError, match=r"DRIFTLINE_ALERTING names .*elsewhere"):
        read_alerting(environ, directory=tmp_path)


def test_any_change_of_the_file_changes_its_fingerprint() -> None:
    assert parse(FILE).fingerprint != parse(FILE + "\n").fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("receivers: [", "alerting.yml, line 1: this is no YAML"),
        ("- a", "alerting.yml: expected keys and values, not"),
        ("receivers: []", "key receivers: list at least one"),
        ("receivers: {a: 1}", "key receivers: expected a list"),
        ("receivers: [{name: A b, type: stdout}]", "'A b': use lowercase"),
        ("receivers: [{name: a}]", "[a].type: it is missing; use"),
        ("receivers: [{name: a, type: pigeon}]", "[a].type: 'pigeon' is unknown; use"),
        ("receivers: [{type: stdout}]", "key receivers[1].name: it is missing; give"),
        (
            "receivers: [{name: a, type: stdout}, {name: a, type: stdout}]",
            "'a' is there twice",
        ),
        ("receivers: [{name: a, type: stdout}]\nroute: []", "key route: there is no"),
        (
            "receivers: [{name: a, type: stdout, url: x}]",
            "key receivers[a].url: there is no such key; known here: name, type",
        ),
        ("receivers: [{name: a, type: slack}]", "[a].url_env: name the variable"),
        (
            "receivers: [{name: a, type: webhook, url: x, url_env: X}]",
            "[a].url: give either",
        ),
        ("receivers: [{name: a, type: webhook, url: 'ftp://x'}]", "an address such as"),
        (
            "receivers: [{name: a, type: webhook, url: 'https://u:p@x.org'}]",
            "it holds a password",
        ),
        (
            "receivers: [{name: a, type: stdout, messages_per_hour: 0}]",
            "[a].messages_per_hour: 0 is no whole number from 1 to 3600",
        ),
        (
            "receivers: [{name: a, type: stdout, messages_per_hour: 1.5}]",
            "1.5 is no whole number",
        ),
        (
            "receivers: [{name: a, type: email, host: h, from: f@x.org, to: []}]",
            "[a].to: list at least one address",
        ),
        (
            "receivers: [{name: a, type: email, host: h, from: 'F <f@x>', to: [a@x]}]",
            "[a].from: 'F <f@x>' is no plain address",
        ),
        (
            "receivers: [{name: a, type: email, host: h, from: f@x, to: [a@x],"
            " user_env: U}]",
            "give both of user_env and password_env",
        ),
        (
            "receivers: [{name: a, type: email, host: h, from: f@x, to: [a@x],"
            " user_env: U, password_env: P, security: none}]",
            "must not go over an open line",
        ),
        (
            "receivers: [{name: a, type: stdout}]\nroutes: [{receivers: [b]}]",
            "key routes[1].receivers: 'b' is unknown; the receivers are a",
        ),
        (
            "receivers: [{name: a, type: stdout}]\n"
            "routes: [{receivers: [a], severities: [high]}]",
            "'high' is unknown; the severities are critical, warning",
        ),
        (
            "receivers: [{name: a, type: stdout}, {name: b, type: stdout}]\n"
            "routes: [{receivers: [a]}]",
            "no route leads to 'b'",
        ),
        (
            "receivers: [{name: a, type: stdout}]\nlinks: {dashboard: 'x.org'}",
            "key links.dashboard: expected an address",
        ),
        (
            "receivers: [{name: a, type: stdout}]\nlinks: {report: 'https://x/{model}'}",
            "{model} is unknown; use {monitor}",
        ),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(AlertingError) as raised:
        parse(text)
    assert message in str(raised.value)
    assert str(raised.value).startswith("alerting.yml")


def test_a_secret_in_the_place_of_a_variable_is_not_repeated() -> None:
    secret = "https://hooks.slack.com/services/T0/B0/XXXX"

    with pytest.raises(AlertingError, match="not the secret itself") as raised:
        parse(f"receivers: [{{name: a, type: slack, url_env: '{secret}'}}]")
    assert "XXXX" not in str(raised.value)
