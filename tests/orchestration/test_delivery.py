"""Decide, send, record: against a real ledger, and receivers that fail as real ones."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.alerting import delivery, ledger
from orchestration.alerting.configuration import (
    STANDARD_OUTPUT_ONLY,
    Alerting,
    parse_alerting,
)
from orchestration.alerting.delivery import (
    Outcome,
    deliver,
    describe,
    fingerprint,
    plan,
    unrouted,
)
from orchestration.alerting.incidents import IncidentError
from orchestration.alerting.messages import Message
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.alerting import (
    DAY,
    HOUR,
    NOW,
    AlertWarehouse,
    HttpReceiver,
    http_receiver,
    incident,
    resolved,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def alerts(database: ConnectionSettings) -> AlertWarehouse:
    return AlertWarehouse(database)


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


class Deliverer:
    """Delivers by a clock that stands still until it is moved."""

    def __init__(
        self, settings: ConnectionSettings, *urls: str, more: str = ""
    ) -> None:
        self.now = NOW
        self._settings = settings
        receivers = "".join(
            f"  - {{name: r{number}, type: webhook, url: '{url}', "
            f"timeout_seconds: 2{more}}}\n"
            for number, url in enumerate(urls, start=1)
        )
        self.alerting = (
            parse_alerting(f"receivers:\n{receivers}", source="test")
            if urls
            else STANDARD_OUTPUT_ONLY
        )

    def __call__(self, **options: Any) -> Outcome:
        return self.all(**options)[0]

    def all(self, **options: Any) -> list[Outcome]:
        return deliver(
            self._settings,
            self.alerting,
            environ={},
            clock=lambda: self.now,
            **options,
        )

    def used(self) -> "Deliverer":
        """No longer at its first use."""
        self()
        return self


def events(server: HttpReceiver) -> list[list[str]]:
    """The events of each message that a server got."""
    return [
        [change["event"] for change in request.json["changes"]]
        for request in server.requests
    ]


def test_each_change_is_sent_once_in_one_message_a_run(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident("aaa"), incident("bbb"))
    outcome = run()
    assert describe(outcome) == "r1: sent 2 changes."
    assert describe(run()) == "r1: nothing new."

    alerts.hold(incident("aaa", severity="critical"), resolved("bbb"))
    run()
    alerts.hold(resolved("aaa", severity="critical"), incident("bbb"))
    run()

    assert events(server) == [
        ["opened", "opened"],
        ["escalated", "resolved"],
        ["resolved", "reopened"],
    ]
    assert alerts.deliveries("event, attempt_count, sent_at, last_error") == [
        (event, 1, NOW, None) for message in events(server) for event in message
    ]


def test_at_first_use_what_is_open_comes_in_one_message_and_nothing_else(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    alerts.hold(incident("aaa"), incident("bbb"), resolved("ccc"), resolved("ddd"))

    outcome = Deliverer(alerts.settings, server.url)()

    assert describe(outcome) == "r1: sent 2 changes; 2 changes not told: first use."
    assert events(server) == [["opened", "opened"]]


def test_a_receiver_that_had_nothing_to_be_told_is_new_no_longer(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(resolved())

    run()

    assert events(server) == [["resolved"]]


def test_without_marts_it_is_said_what_to_do(database: ConnectionSettings) -> None:
    with pytest.raises(IncidentError, match="run `driftline monitor`"):
        deliver(
            database,
            STANDARD_OUTPUT_ONLY,
            environ={},
            clock=lambda: NOW,
        )


def test_without_the_ledger_it_is_said_what_to_do(alerts: AlertWarehouse) -> None:
    alerts.execute("drop table operations.deliveries")

    with pytest.raises(IncidentError, match="run `driftline monitor`"):
        Deliverer(alerts.settings)()
    with pytest.raises(IncidentError, match="run `driftline monitor`"):
        fingerprint(alerts.settings, STANDARD_OUTPUT_ONLY, now=NOW)


def test_muted_incidents_are_recorded_and_told_when_the_mute_ends(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident())
    alerts.execute(
        "insert into operations.mutes (monitor, muted_from, muted_until) "
        "values ('flight_delay', now(), now() + interval '1 hour')"
    )

    assert describe(run()) == "r1: 1 change not told: muted."
    assert describe(run()) == "r1: nothing new."
    assert alerts.deliveries("event, skipped_reason, sent_at") == [
        ("opened", "muted", None)
    ]
    alerts.execute("update operations.mutes set muted_until = now()")
    run()
    assert events(server) == [["opened"]]


def test_of_acknowledged_incidents_only_worse_news_and_the_end_are_sent(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident())
    alerts.execute(
        "insert into operations.incident_actions (incident_id, action, acted_by) "
        "values ('9f2c01ab34cd', 'acknowledge', 'ada')"
    )

    assert describe(run()) == "r1: 1 change not told: acknowledged."
    alerts.hold(incident(severity="critical"))
    run()
    alerts.hold(resolved(severity="critical"))
    run()

    assert events(server) == [["escalated"], ["resolved"]]
    assert server.requests[0].json["changes"][0]["incident"]["acknowledged_by"] == "ada"


def test_late_news_about_an_old_window_says_so(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(
        resolved(
            started_at=NOW - 14 * DAY,
            opened_at=NOW - 13 * DAY,
            closed_at=NOW - 12 * DAY,
        )
    )

    run()

    (change,) = server.requests[0].json["changes"]
    assert change["is_late"]
    assert "about 12 days ago: rows or labels that arrived since" in change["text"]


def test_a_receiver_that_is_down_gets_everything_in_order_when_it_is_back(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    server.status, server.answer = 503, b"down"
    alerts.hold(incident())

    assert describe(run()) == (
        "r1: failed: answered 503: down (tried again from 12:01:00 UTC on)."
    )
    # Not yet: the pause is not over. What happens meanwhile waits for its turn.
    alerts.hold(resolved())
    assert describe(run()) == (
        "r1: failed: answered 503: down (tried again from 12:01:00 UTC on); 1 change "
        "waiting for that."
    )
    assert len(server.requests) == 1
    run.now += MINUTE
    assert run().next_attempt_at == run.now + 2 * MINUTE
    server.status = 200
    run.now += 2 * MINUTE
    assert describe(run()) == "r1: sent 2 changes."

    assert events(server) == [["opened"], ["opened"], ["opened"], ["resolved"]]
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(set(keys[:3])) == 1 and keys[3] != keys[0]
    assert len({request.body for request in server.requests[:3]}) == 1


def test_the_pause_after_a_failure_grows_up_to_an_hour_and_never_ends_it(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    server.status = 503
    alerts.hold(incident())
    pauses = []

    for _ in range(20):
        outcome = run()
        assert outcome.next_attempt_at is not None
        pauses.append(outcome.next_attempt_at - run.now)
        run.now = outcome.next_attempt_at

    assert pauses[:7] == [each * MINUTE for each in (1, 2, 4, 8, 16, 32, 60)]
    assert set(pauses[7:]) == {HOUR}
    server.status = 200
    assert len(run().sent) == 1


def test_a_pause_is_as_long_as_the_receiver_asks_for_and_can_be_cut_short(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    server.status, server.headers = 429, {"Retry-After": "1800"}
    alerts.hold(incident())

    assert run().next_attempt_at == NOW + HOUR / 2
    server.status = 200
    assert run().sent == ()
    assert len(run(is_retried_now=True).sent) == 1


def test_a_message_that_is_refused_for_its_content_does_not_block_others_for_ever(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    server.status, server.answer = 400, b"invalid_blocks"
    alerts.hold(incident("aaa"))

    for _ in range(5):
        outcome = run(is_retried_now=True)
    assert describe(outcome) == (
        "r1: failed: answered 400: invalid_blocks (given up, as it is refused again "
        "and again)."
    )
    server.status = 200
    alerts.hold(incident("aaa"), incident("bbb"))
    run()

    assert events(server) == [["opened"]] * 6
    assert alerts.deliveries("incident_id, skipped_reason, last_error") == [
        ("aaa", "given up: refused 5 times", "answered 400: invalid_blocks"),
        ("bbb", None, None),
    ]


def test_a_receiver_that_hangs_keeps_no_other_waiting(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    is_told, goes_on = threading.Event(), threading.Event()
    with http_receiver() as slow:
        run = Deliverer(alerts.settings, slow.url, server.url).used()
        slow.on_request = lambda: goes_on.wait(30)
        server.on_request = is_told.set
        alerts.hold(incident())

        outcomes = run.all(patience_seconds=0.5)

        assert is_told.is_set()
        assert [each.is_busy for each in outcomes] == [True, False]
        goes_on.set()


def test_one_that_is_wrongly_configured_keeps_no_other_waiting(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url)
    run.alerting = parse_alerting(
        "receivers:\n"
        "  - {name: r1, type: slack, url_env: NOT_SET}\n"
        f"  - {{name: r2, type: webhook, url: '{server.url}'}}\n",
        source="test",
    )
    alerts.hold(incident())

    first, second = run.all()

    assert first.failure == "the variable NOT_SET is not set"
    assert len(second.sent) == 1


def test_an_unexpected_error_of_one_is_recorded_and_fails_no_other(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url)
    run.alerting = parse_alerting(
        "receivers:\n"
        "  - {name: r1, type: stdout}\n"
        f"  - {{name: r2, type: webhook, url: '{server.url}'}}\n",
        source="test",
    )
    alerts.hold(incident())

    def write(text: str) -> None:
        raise ZeroDivisionError("a secret")

    first, second = run.all(write=write)

    assert describe(first) == (
        "r1: failed: unexpected ZeroDivisionError (tried again from 12:01:00 UTC on)."
    )
    assert len(second.sent) == 1
    assert set(alerts.deliveries("receiver, last_error")) == {
        ("r1", "unexpected ZeroDivisionError"),
        ("r2", None),
    }


def test_more_messages_than_an_hour_allows_become_one_in_the_next(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url, more=", messages_per_hour: 2").used()
    held = []
    for name in ("aaa", "bbb", "ccc", "ddd"):
        held.append(incident(name))
        alerts.hold(*held)
        outcome = run()
        run.now += 10 * MINUTE

    assert events(server) == [["opened"], ["opened"]]
    assert describe(outcome) == (
        "r1: 2 changes waiting since its messages of the hour are out."
    )
    run.now = NOW + HOUR + MINUTE
    run()
    assert events(server) == [["opened"], ["opened"], ["opened", "opened"]]


def test_a_message_is_no_longer_than_a_receiver_takes(
    alerts: AlertWarehouse, server: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LONGEST_MESSAGE", 2)
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(*(incident(f"{number:012x}") for number in range(5)))

    assert describe(run()) == "r1: sent 5 changes."
    assert [len(message) for message in events(server)] == [2, 2, 1]


def test_a_new_receiver_is_told_of_what_is_open_and_others_not_again(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    alerts.hold(incident())
    Deliverer(alerts.settings, server.url)()
    with http_receiver() as second:
        Deliverer(alerts.settings, server.url, second.url).all()

        assert (len(server.requests), len(second.requests)) == (1, 1)


def test_two_that_deliver_at_once_do_not_both_send(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident())
    arrived, goes_on = threading.Event(), threading.Event()

    def hold_on() -> None:
        arrived.set()
        goes_on.wait(30)

    server.on_request = hold_on
    first = threading.Thread(target=run)
    first.start()
    assert arrived.wait(30)

    outcome = run()

    assert describe(outcome) == "r1: another run is delivering to it."
    goes_on.set()
    first.join()
    assert describe(run()) == "r1: nothing new."
    assert events(server) == [["opened"]]


def test_many_that_deliver_at_once_send_each_change_once(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(*(incident(f"{number:012x}") for number in range(30)))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(map(len, events(server))) == 30


_CRASHING = """
import os, signal, sys
from datetime import datetime, UTC
from orchestration import warehouse
from orchestration.alerting import delivery
from orchestration.alerting.configuration import read_alerting

if sys.argv[1] == "before sending":
    def die(message):
        os.kill(os.getpid(), signal.SIGKILL)
    delivery.open_channel = lambda *_, **__: die

delivery.deliver(
    warehouse.settings(os.environ), read_alerting(os.environ), environ=os.environ,
    clock=lambda: datetime.now(UTC),
)
"""


@pytest.fixture
def crashing(
    alerts: AlertWarehouse, server: HttpReceiver, tmp_path: Path
) -> Callable[[str], subprocess.Popen[bytes]]:
    """Starts a process that delivers, and is killed at the given moment."""

    def start(moment: str) -> subprocess.Popen[bytes]:
        path = tmp_path / "alerting.yml"
        path.write_text(
            f"receivers: [{{name: r1, type: webhook, url: '{server.url}'}}]"
        )
        environ = {**os.environ, **alerts.settings.environ()}
        return subprocess.Popen(
            [sys.executable, "-c", _CRASHING, moment],
            env={**environ, "DRIFTLINE_ALERTING": str(path)},
            cwd=Path(__file__).parents[2],
        )

    return start


def test_a_crash_between_deciding_and_sending_loses_nothing(
    alerts: AlertWarehouse,
    server: HttpReceiver,
    crashing: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    alerts.hold(incident())

    assert crashing("before sending").wait(60) == -signal.SIGKILL

    assert server.requests == []
    assert alerts.deliveries("event, sent_at") == [("opened", None)]
    # The rest happens although the incident has ended meanwhile.
    alerts.hold(resolved())
    run = Deliverer(alerts.settings, server.url)
    run.now = datetime.now(NOW.tzinfo) + 2 * MINUTE
    run()
    assert events(server) == [["opened"], ["resolved"]]
    assert describe(run()) == "r1: nothing new."


def test_a_crash_between_sending_and_recording_repeats_that_message_and_no_other(
    alerts: AlertWarehouse,
    server: HttpReceiver,
    crashing: Callable[[str], subprocess.Popen[bytes]],
) -> None:
    alerts.hold(incident())
    process = crashing("while sending")
    # The receiver has it all by then, and the sender never learns of it.
    server.on_request = process.kill

    assert process.wait(60) == -signal.SIGKILL

    server.on_request = lambda: None
    run = Deliverer(alerts.settings, server.url)
    run.now = datetime.now(NOW.tzinfo) + 2 * MINUTE
    run()
    assert events(server) == [["opened"], ["opened"]]
    first, second = server.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body
    assert describe(run()) == "r1: nothing new."


@pytest.mark.parametrize("step", ["record", "group", "begin_attempt", "record_sent"])
def test_an_error_at_any_step_is_told_and_the_next_run_does_the_rest(
    step: str,
    alerts: AlertWarehouse,
    server: HttpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident())
    with monkeypatch.context() as patch:
        patch.setattr(ledger, step, _failing)
        outcome = run()
    assert outcome.is_unrecorded
    assert describe(outcome) == (
        "r1: failed: unexpected ZeroDivisionError (tried again by the next run)."
    )

    run.now += 2 * MINUTE
    run()

    repeated = 2 if step == "record_sent" else 1
    assert events(server) == [["opened"]] * repeated
    assert describe(run()) == "r1: nothing new."


def _failing(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_a_plan_says_what_would_be_sent_and_sends_nothing(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    alerts.hold(incident("aaa"), incident("bbb", is_muted=True))

    (planned,) = plan(alerts.settings, run.alerting, now=NOW)

    assert isinstance(planned.message, Message)
    assert len(planned.message.changes) == 2
    assert (server.requests, alerts.deliveries("event")) == ([], [])


def test_incidents_that_suit_no_route_are_noticed() -> None:
    alerting: Alerting = parse_alerting(
        "receivers: [{name: a, type: stdout}]\n"
        "routes: [{receivers: [a], owners: [team-x]}]",
        source="test",
    )

    nobody = unrouted([incident("aaa"), resolved("bbb")], alerting)

    assert [each.incident_id for each in nobody] == ["aaa"]


def test_the_fingerprint_changes_with_incidents_mutes_and_the_file(
    alerts: AlertWarehouse,
) -> None:
    def state(alerting: Alerting = STANDARD_OUTPUT_ONLY) -> str:
        return fingerprint(alerts.settings, alerting, now=NOW).state

    states = [state()]
    alerts.hold(incident())
    states.append(state())
    assert state() == states[-1]
    alerts.hold(incident(severity="critical"))
    states.append(state())
    alerts.execute(
        "insert into operations.mutes (monitor, muted_from, muted_until) "
        "values ('flight_delay', now(), now() + interval '1 hour')"
    )
    states.append(state())
    states.append(state(replace(STANDARD_OUTPUT_ONLY, fingerprint="other")))

    assert len(set(states)) == len(states)


def test_something_is_due_when_a_pause_is_over(
    alerts: AlertWarehouse, server: HttpReceiver
) -> None:
    run = Deliverer(alerts.settings, server.url).used()
    server.status = 503
    alerts.hold(incident())
    run()

    def is_due(now: datetime) -> bool:
        return fingerprint(alerts.settings, run.alerting, now=now).is_anything_due

    assert [is_due(NOW + each * MINUTE) for each in (0, 1)] == [False, True]


def test_standard_output_is_a_receiver_like_any_other(
    alerts: AlertWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Deliverer(alerts.settings)
    alerts.hold(incident())

    run()
    run()

    assert len(re.findall("WARNING opened", capsys.readouterr().out)) == 1
    assert delivery.describe(run()) == "stdout: nothing new."
