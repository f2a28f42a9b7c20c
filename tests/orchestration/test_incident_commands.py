"""``driftline incidents``, ``ack``, ``mute`` and ``deliver``, as a person uses them."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration.cli import app, incidents
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.alerting import (
    DAY,
    HOSTILE,
    NOW,
    AlertWarehouse,
    HttpReceiver,
    http_receiver,
    incident,
    resolved,
)

Command = Callable[..., Result]


@pytest.fixture
def command(
    database: ConnectionSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs the command on the test's database, without an alerting.yml of anybody."""
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DRIFTLINE_ALERTING", str(tmp_path / "alerting.yml"))
    (tmp_path / "alerting.yml").write_text("receivers: [{name: out, type: stdout}]")
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def alerts(database: ConnectionSettings) -> AlertWarehouse:
    """Two open incidents and one that is over."""
    alerts = AlertWarehouse(database)
    alerts.hold(
        incident("9f2c01ab34cd"),
        incident("9f77aa000000", monitor="churn", severity="critical", title="slow"),
        resolved("0badc0ffee00", title="was null", closed_at=NOW - DAY),
    )
    alerts.execute(
        """
        insert into marts.alerts values (
            'null_rate', 'data_quality', 'null_rate', 'flight_delay', 'all', 'all',
            'all', 'humidity', 'day', %s, %s, 0.577, null, 0.2, 0.2, 0.5, 938,
            'warning', 'open', 'null rate of humidity is 57.7 %%', '9f2c01ab34cd'
        )
        """,
        NOW - DAY,
        NOW,
    )
    return alerts


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def error_of(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return " ".join(result.stderr.split())


@pytest.mark.usefixtures("alerts")
def test_the_list_has_what_goes_on(command: Command) -> None:
    shown = command("incidents").stdout

    assert "9f2c01ab34cd" in shown and "9f77aa000000" in shown
    assert "null rate of humidity" in shown
    assert "critical, open" in shown
    assert "0badc0ffee00" not in shown


def test_the_list_is_readable_in_a_narrow_terminal(
    alerts: AlertWarehouse, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = "null rate of humidity is 57.7 % (541 of 938), above 50 %; " * 3
    alerts.hold(
        incident("9f2c01ab34cd", title=f"flight_delay: {what}"),
        resolved(
            "0badc0ffee00",
            title="flight_delay: was null",
            severity="critical",
            started_at=NOW - 2 * DAY,
        ),
    )
    monkeypatch.setattr(incidents, "_out", Console(width=80, highlight=False))

    first, *others = command("incidents", "--all").stdout.splitlines()

    assert first == "9f2c01ab34cd  warning, open       since 2026-03-10 09:00"
    assert others[-2].startswith("0badc0ffee00  critical, resolved  2026-03-08 12:00")
    assert max(map(len, others)) <= 80
    assert " ".join(" ".join(others[:-2]).split()) == f"flight_delay: {what}".strip()


@pytest.mark.usefixtures("alerts")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--all"], ["9f2c01ab34cd", "9f77aa000000", "0badc0ffee00"]),
        (["--state", "resolved"], ["0badc0ffee00"]),
        (["--monitor", "churn"], ["9f77aa000000"]),
        (["--since", "2026-03-10"], ["9f2c01ab34cd", "9f77aa000000"]),
        (["--since", "2026-03-09"], ["9f2c01ab34cd", "9f77aa000000", "0badc0ffee00"]),
        (["--since", "1 day", "--state", "resolved"], []),
    ],
)
def test_options_choose(options: list[str], found: list[str], command: Command) -> None:
    listed = json.loads(command("incidents", "--json", *options).stdout)

    assert {each["incident_id"] for each in listed} == set(found)


def test_nothing_to_list_is_said(alerts: AlertWarehouse, command: Command) -> None:
    alerts.hold(resolved())

    assert command("incidents").stdout == (
        "No incident is open (1 in all: --all lists them).\n"
    )
    assert command("incidents", "--state", "open").stdout == (
        "No incident is like that (1 in all: --all lists them).\n"
    )
    assert "typo has no incident (these have: flight_delay)" in (
        command("incidents", "--monitor", "typo").stdout
    )


@pytest.mark.usefixtures("alerts")
def test_one_incident_is_shown_with_its_alerts_causes_and_suspect(
    command: Command,
) -> None:
    shown = command("incidents", "show", "9F2C").stdout

    assert "data quality, null_rate, column humidity" in shown
    assert "version 2 was deployed at 2026-03-10 08:30" in shown
    assert "1 alerts (marts.alerts)" in shown
    assert "2026-03-09 12:00 day" in shown
    whole = json.loads(command("incidents", "show", "9f2c", "--json").stdout)
    assert whole["alerts"][0]["threshold"] == 0.2
    assert whole["possible_causes"] == ["version 2 was deployed at 2026-03-10 08:30"]


@pytest.mark.usefixtures("alerts")
def test_an_id_that_is_unknown_or_not_enough_is_told_with_those_that_come_near(
    command: Command,
) -> None:
    typo = error_of(command("ack", "9f2c01ba34cd"))
    assert "There is no incident '9f2c01ba34cd'. Did you mean 9f2c01ab34cd" in typo
    short = error_of(command("incidents", "show", "9f"))
    assert "2 incidents begin with '9f': give more of its id" in short
    assert "9f77aa000000 (churn: slow)" in short
    far = error_of(command("ack", "zzz"))
    assert "`driftline incidents --all` lists them" in far


@pytest.mark.parametrize(
    "arguments",
    [
        ["incidents"],
        ["incidents", "show", "9f"],
        ["ack", "9f"],
        ["mute", "churn", "--for", "1h"],
        ["mutes"],
        ["deliver"],
        ["deliver", "--dry-run"],
    ],
)
def test_before_the_first_build_it_is_said_what_to_do(
    arguments: list[str], command: Command
) -> None:
    assert "run `driftline monitor`" in error_of(command(*arguments))


@pytest.mark.usefixtures("alerts")
def test_an_acknowledgement_shows_at_once_and_can_be_taken_back(
    command: Command,
) -> None:
    done = command("ack", "9f2c", "--by", "ada", "--note", "looking [bold]at[/] it")
    assert "9f2c01ab34cd is acknowledged by ada:" in done.stdout
    assert "warning, acknowledged" in command("incidents").stdout
    assert "by ada: looking [bold]at[/] it" in (
        command("incidents", "show", "9f2c").stdout
    )
    again = command("ack", "9f2c", "--by", "bob").stdout
    assert "(it was by ada before)" in again

    assert "no longer acknowledged" in command("unack", "9f2c").stdout
    assert "warning, open" in command("incidents").stdout
    assert "there is nothing to take back" in error_of(command("unack", "9f2c"))


def test_a_mute_has_an_end_and_can_be_ended_before(
    alerts: AlertWarehouse, command: Command
) -> None:
    made = command(
        "mute", "churn", "--rule", "latency", "--for", "2 hours", "--note", "[x]"
    ).stdout
    mute_id = re.findall(r"driftline unmute (\d+)", made)[0]
    assert "Muted churn (rule latency) until 20" in made
    listed = command("mutes").stdout
    assert "churn (rule latency)" in listed and "[x]" in listed
    assert "(muted)" not in command("incidents").stdout
    command("mute", "churn", "--until", "2100-01-31")
    assert "(muted)" in command("incidents").stdout

    assert (
        "churn (rule latency) is no longer muted." in command("unmute", mute_id).stdout
    )
    assert f"No mute {mute_id} is in force (in force: 2)" in error_of(
        command("unmute", mute_id)
    )
    # Kept, so that one can see later why nothing was sent.
    assert alerts.execute("select count(*) from operations.mutes") == [(2,)]


@pytest.mark.usefixtures("alerts")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chum", "--for", "1h"], "There is no monitor 'chum'. Did you mean churn?"),
        (
            ["churn", "--rule", "latencies", "--for", "1h"],
            "churn has no rule 'latencies'. Did you mean latency?",
        ),
        (["churn"], "give either --until DAY or --for SPAN"),
        (["churn", "--for", "1h", "--until", "2100-01-01"], "give either --until"),
        (["churn", "--for", "a while"], "'a while' is no span of time: write it as"),
        (["churn", "--for", "0h"], "'0h' is no span of time"),
        (["churn", "--for", "999999 weeks"], "reaches beyond the calendar"),
        (["churn", "--until", "tomorrow"], "'tomorrow' is no day or time: write it"),
        (["churn", "--until", "2026-02-30"], "'2026-02-30' is no day or time"),
        (["churn", "--until", "2020-01-01"], "2020-01-01 is over: it is 20"),
    ],
)
def test_a_wrong_mute_is_told_in_a_sentence(
    arguments: list[str], message: str, command: Command
) -> None:
    assert message in error_of(command("mute", *arguments))


def test_hostile_text_is_shown_as_it_is(
    alerts: AlertWarehouse, command: Command
) -> None:
    alerts.hold(incident(title="[red]x[/red] " + HOSTILE, monitor="[link=x]m[/link]"))

    assert "[red]x[/red]" in command("incidents").stdout
    shown = command("incidents", "show", "9f2c").stdout
    assert "[link=x]m[/link]" in shown
    assert "\x1b" not in shown


@pytest.mark.usefixtures("alerts")
def test_deliver_prints_what_it_would_send_then_sends_it_then_has_nothing_new(
    command: Command,
) -> None:
    planned = command("deliver", "--dry-run").stdout
    assert "out: would be told 2 changes; 1 change would not be told: first use:" in (
        planned
    )
    assert "CRITICAL opened: churn: slow" in planned

    sent = command("deliver")
    assert sent.exit_code == 0
    assert "CRITICAL opened: churn: slow" in sent.stdout
    assert "out: sent 2 changes; 1 change not told: first use." in sent.stdout
    assert command("deliver").stdout == "out: nothing new.\n"
    assert command("deliver", "--dry-run").stdout == "out: nothing new.\n"


@pytest.mark.usefixtures("alerts")
def test_a_failed_delivery_is_told_and_is_an_error_for_scripts(
    command: Command, server: HttpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "alerting.yml").write_text(
        f"receivers: [{{name: pager, type: webhook, url: '{server.url}'}}]\n"
        "routes: [{receivers: [pager], monitors: [churn]}]"
    )
    server.status, server.answer = 500, b"oh no"

    failed = command("deliver")
    assert failed.exit_code == 1
    assert "pager: failed: answered 500: oh no (tried again from" in failed.stdout
    assert "1 open incident suits no route" in failed.stdout
    planned = command("deliver", "--dry-run").stdout
    assert "pager: first a message that was tried 1 time: answered 500" in planned

    server.status = 200
    assert "tried again from" in command("deliver").stdout
    assert "pager: sent 1 change." in command("deliver", "--retry").stdout


def test_receivers_can_be_tested_without_a_warehouse(
    command: Command, server: HttpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "alerting.yml").write_text(
        "receivers:\n"
        "  - {name: out, type: stdout}\n"
        f"  - {{name: pager, type: webhook, url: '{server.url}'}}\n"
        "  - {name: chat, type: slack, url_env: NOT_SET}\n"
    )

    result = command("receivers", "test")

    assert result.exit_code == 1
    assert "out: sent." in result.stdout and "pager: sent." in result.stdout
    assert "chat: failed: the variable NOT_SET is not set." in result.stdout
    assert server.requests[0].json["is_test"] is True
    assert command("receivers", "test", "pager").stdout == "pager: sent.\n"
    assert "There is no receiver 'x'; alerting.yml has out, pager, chat" in error_of(
        command("receivers", "test", "x")
    )
