"""Which changes a receiver has not been told of yet."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest

from orchestration.alerting.changes import Decision, Entry, decide
from orchestration.alerting.incidents import Incident
from tests.orchestration.alerting import DAY, HOUR, NOW, incident, resolved


class Memory:
    """A receiver's ledger, and what it is told by the incidents of each run."""

    def __init__(self, *, is_first_use: bool = False) -> None:
        self.entries: list[Entry] = []
        self.ids: list[str] = []
        self._is_first_use = is_first_use

    def see(
        self,
        *incidents: Incident,
        receives: Callable[[Incident], bool] = lambda _: True,
        now: datetime = NOW,
    ) -> list[Decision]:
        decisions = decide(
            incidents,
            self.entries,
            receives=receives,
            is_first_use=self._is_first_use,
            now=now,
        )
        self._is_first_use = False
        self.entries += [
            Entry(
                event=each.change.event,
                incident=each.change.incident,
                skipped_reason=each.skipped_reason,
            )
            for each in decisions
        ]
        self.ids += [each.event_id for each in decisions]
        return decisions

    def told(self, *incidents: Incident, **options: Any) -> list[str]:
        """The events that are sent, and in brackets those that are not."""
        return [
            each.change.event
            if each.skipped_reason is None
            else f"({each.change.event}: {each.skipped_reason})"
            for each in self.see(*incidents, **options)
        ]


CRITICAL = incident(severity="critical")


def is_critical(each: Incident) -> bool:
    return each.severity == "critical"


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([incident()], ["opened"]),
        ([incident(), incident()], ["opened"]),
        ([incident(), CRITICAL], ["opened", "escalated"]),
        ([CRITICAL, incident(), CRITICAL], ["opened"]),
        ([incident(), resolved()], ["opened", "resolved"]),
        ([incident(), resolved(), incident()], ["opened", "resolved", "reopened"]),
        ([resolved()], ["resolved"]),
        ([resolved(), resolved(closed_at=NOW)], ["resolved"]),
        (
            [incident(), resolved(), incident(), resolved(), incident(), resolved()],
            ["opened"] + ["resolved", "reopened"] * 2 + ["resolved"],
        ),
        (
            [incident(), CRITICAL, resolved(severity="critical"), incident(), CRITICAL],
            ["opened", "escalated", "resolved", "reopened", "escalated"],
        ),
    ],
)
def test_each_change_is_told_once(
    history: Sequence[Incident], told: Sequence[str]
) -> None:
    memory = Memory()

    assert [event for each in history for event in memory.told(each)] == told
    assert memory.told(history[-1]) == []
    assert len(set(memory.ids)) == len(told)


def test_the_same_change_has_the_same_id_in_every_attempt() -> None:
    assert Memory().see(incident()) == Memory().see(incident())


def test_at_first_use_only_what_is_open_is_told() -> None:
    memory = Memory(is_first_use=True)
    old = resolved("aaa", closed_at=NOW - 90 * DAY)
    going_on = incident("bbb", opened_at=NOW - 30 * DAY)

    told = memory.see(old, going_on)

    assert [(each.incident_id, each.skipped_reason) for each in told] == [
        ("bbb", None),
        ("aaa", "first use"),
    ]
    # It is old, but no news that came late.
    assert not told[0].change.is_late
    assert memory.told(old, going_on) == []


def test_a_muted_incident_is_not_told_until_the_mute_ends() -> None:
    memory = Memory()
    muted = incident(is_muted=True)

    assert memory.told(muted) == ["(opened: muted)"]
    assert memory.told(muted) == []
    assert memory.told(incident(is_muted=True, severity="critical")) == [
        "(escalated: muted)"
    ]
    assert memory.told(incident(severity="critical")) == ["opened"]


def test_what_began_and_ended_while_it_was_muted_is_never_told() -> None:
    memory = Memory()

    assert memory.told(incident(is_muted=True)) == ["(opened: muted)"]
    assert memory.told(resolved()) == []


def test_an_end_during_a_mute_is_told_when_the_mute_ends() -> None:
    memory = Memory()

    assert memory.told(incident()) == ["opened"]
    assert memory.told(resolved(is_muted=True)) == ["(resolved: muted)"]
    assert memory.told(resolved()) == ["resolved"]


def test_of_an_acknowledged_incident_only_worse_news_and_the_end_are_told() -> None:
    memory = Memory()

    assert memory.told(incident(state="acknowledged")) == ["(opened: acknowledged)"]
    assert memory.told(incident(state="acknowledged", severity="critical")) == [
        "escalated"
    ]
    assert memory.told(resolved(severity="critical")) == ["resolved"]
    assert memory.told(incident(state="acknowledged", severity="critical")) == [
        "(reopened: acknowledged)"
    ]


def test_who_only_hears_of_critical_incidents_is_told_when_one_becomes_so() -> None:
    memory = Memory()

    assert memory.told(incident(), receives=is_critical) == ["(opened: not routed)"]
    assert memory.told(incident(), receives=is_critical) == []
    assert memory.told(CRITICAL, receives=is_critical) == ["opened"]
    # Who was told of the beginning is told of the end, whatever the routes say by now.
    assert memory.told(resolved(), receives=lambda _: False) == ["resolved"]
    assert memory.told(CRITICAL, receives=lambda _: False) == []


def test_a_route_that_is_widened_brings_what_goes_on_and_nothing_of_the_past() -> None:
    memory = Memory()
    before = [incident("aaa"), incident("bbb"), resolved("ccc")]
    assert memory.told(*before, receives=is_critical) == [
        "(opened: not routed)",
        "(opened: not routed)",
        "(resolved: not routed)",
    ]
    after = [incident("aaa"), resolved("bbb"), resolved("ccc")]
    assert memory.told(*after, receives=is_critical) == ["(resolved: not routed)"]

    opened = memory.see(*after)

    assert [each.incident_id for each in opened] == ["aaa"]
    assert memory.told(resolved("aaa"), *after[1:]) == ["resolved"]


def test_what_ended_as_the_route_was_widened_is_of_the_past() -> None:
    memory = Memory()
    memory.see(incident(), receives=is_critical)

    assert memory.told(resolved()) == []


def test_what_became_critical_and_ended_unseen_is_told_to_who_hears_of_those() -> None:
    memory = Memory()
    memory.see(incident(), receives=is_critical)

    (whole,) = memory.see(resolved(severity="critical"), receives=is_critical)

    assert (whole.skipped_reason, whole.change.is_whole) == (None, True)


def test_a_change_about_days_long_past_says_so() -> None:
    memory = Memory()
    old: dict[str, Any] = {"opened_at": NOW - 12 * DAY, "last_alert_at": NOW - 11 * DAY}

    (opened,) = memory.see(incident(**old))
    (ended,) = memory.see(resolved(**old, closed_at=NOW - 10 * DAY))

    assert (opened.change.is_late, ended.change.is_late) == (True, True)
    assert not Memory().see(incident())[0].change.is_late


def test_an_incident_of_which_no_beginning_was_told_is_told_as_a_whole() -> None:
    assert Memory().see(resolved())[0].change.is_whole
    memory = Memory()
    memory.see(incident())
    assert not memory.see(resolved())[0].change.is_whole


def test_an_incident_that_is_gone_is_withdrawn() -> None:
    memory = Memory()
    memory.see(incident())

    (gone,) = memory.see()

    assert (gone.change.event, gone.change.is_withdrawn) == ("resolved", True)
    assert memory.told() == []
    assert memory.told(incident()) == ["reopened"]


def test_an_incident_whose_start_moved_and_with_it_its_id_is_not_told_again() -> None:
    memory = Memory()
    memory.see(incident("aaa"))
    moved = incident("bbb", started_at=NOW - 5 * HOUR)

    assert memory.told(moved) == [
        "(resolved: goes on as bbb)",
        "(opened: was aaa)",
    ]
    assert memory.told(incident("bbb", severity="critical")) == ["escalated"]
    assert memory.told(resolved("bbb")) == ["resolved"]
    assert memory.told(resolved("ccc", started_at=NOW - 6 * HOUR)) == [
        "(resolved: was bbb)"
    ]


@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize(
    ("third", "event"), [(incident, "opened"), (resolved, "resolved")]
)
def test_what_became_another_or_was_withdrawn_is_not_what_happens_months_later(
    third: Callable[..., Incident], event: str, is_moved: bool
) -> None:
    memory = Memory()
    memory.see(incident("aaa"))
    past = [resolved("bbb", started_at=NOW - 5 * HOUR)] if is_moved else []
    memory.see(*past)
    later = NOW + 90 * DAY
    times = {"started_at": later - 3 * HOUR, "opened_at": later - 2 * HOUR}
    if third is resolved:
        times["closed_at"] = later

    assert memory.told(*past, third("ccc", **times), now=later) == [event]


def test_an_incident_of_no_column_whose_start_moved_is_not_told_again() -> None:
    memory = Memory()
    memory.see(incident("aaa", column_names=()))

    assert "opened" not in memory.told(incident("bbb", column_names=()))


def test_worse_news_with_a_new_id_is_an_escalation() -> None:
    memory = Memory()
    memory.see(incident("aaa"))

    assert memory.told(incident("bbb", severity="critical"))[-1] == "escalated"


def test_an_ended_incident_with_a_new_id_is_not_told_again() -> None:
    memory = Memory()
    memory.see(resolved("aaa"))

    assert memory.told(resolved("bbb", started_at=NOW - 5 * HOUR)) == [
        "(resolved: was aaa)"
    ]


@pytest.mark.parametrize(
    "other",
    [
        incident("bbb", monitor="churn"),
        incident("bbb", rule_ids=("latency",)),
        incident("bbb", column_names=("pressure",)),
    ],
)
def test_another_incident_at_the_same_time_is_told(other: Incident) -> None:
    memory = Memory()
    memory.see(incident("aaa"))

    assert memory.told(other) == ["opened", "resolved"]
