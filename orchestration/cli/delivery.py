"""``driftline deliver`` and ``receivers test``: what people are told, and whether."""

import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration import warehouse
from orchestration.alerting.configuration import Alerting, Receiver, read_alerting
from orchestration.alerting.incidents import read_incidents
from orchestration.alerting.messages import Message, counted, plain_text
from orchestration.errors import DriftlineError

# What talks HTTP takes a quarter of a second to import; `driftline --help` has no use
# for it.
if TYPE_CHECKING:
    from orchestration.alerting.delivery import Plan

_PANEL = "Incidents"

_receivers = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.command("deliver", rich_help_panel=_PANEL)(deliver_now)
    app.add_typer(_receivers, name="receivers", rich_help_panel=_PANEL)


def deliver_now(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be sent to whom.")
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry", help="Also what failed and would be tried again only later."
        ),
    ] = False,
) -> None:
    """Tell the receivers of alerting.yml what has happened to incidents since.

    Each change is told once. A receiver that fails is tried again by the next run;
    the exit code is then 1.
    """
    from orchestration.alerting.delivery import deliver, describe, plan

    settings = warehouse.settings(os.environ)
    alerting = read_alerting(os.environ)
    if dry_run:
        for planned in plan(settings, alerting, now=datetime.now(UTC)):
            _print_plan(planned, alerting)
        _print_unrouted(settings, alerting)
        return
    outcomes = deliver(
        settings,
        alerting,
        environ=os.environ,
        clock=lambda: datetime.now(UTC),
        write=lambda text: print(text, flush=True),
        is_retried_now=retry,
    )
    for outcome in outcomes:
        print(describe(outcome))
    _print_unrouted(settings, alerting)
    if any(outcome.failure is not None for outcome in outcomes):
        raise typer.Exit(1)


@_receivers.callback()
def receivers() -> None:
    """The receivers of alerting.yml."""


@_receivers.command("test")
def test_receivers(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these; by default all."),
    ] = None,
) -> None:
    """Send a test message to each receiver, and say which can be reached."""
    from orchestration.alerting.channels import DeliveryError, open_channel

    alerting = read_alerting(os.environ)
    failed = False
    for receiver in _chosen(alerting, names or []):
        send = open_channel(
            receiver,
            alerting.links,
            environ=os.environ,
            write=lambda text: print(text, end="", flush=True),
        )
        message = Message(
            message_id=uuid.uuid4().hex, receiver=receiver.name, is_test=True
        )
        try:
            send(message)
        except DeliveryError as error:
            failed = True
            print(f"{receiver.name}: failed: {error}.")
        else:
            print(f"{receiver.name}: sent.")
    if failed:
        raise typer.Exit(1)


def _print_plan(planned: "Plan", alerting: Alerting) -> None:
    if planned.pending is not None:
        tries = planned.pending.attempt_count
        print(
            f"{planned.receiver}: first a message that was tried "
            f"{counted(tries, 'time')}: "
            f"{planned.pending.last_error or 'no failure is recorded'}."
        )
    spared = "".join(
        f"; {counted(count, 'change')} would not be told: {reason}"
        for reason, count in sorted(planned.skipped.items())
    )
    if planned.message is None:
        print(f"{planned.receiver}: nothing new{spared}.")
        return
    count = counted(len(planned.message.changes), "change")
    print(f"{planned.receiver}: would be told {count}{spared}:\n")
    print(plain_text(planned.message, alerting.links))


def _print_unrouted(settings: warehouse.ConnectionSettings, alerting: Alerting) -> None:
    from orchestration.alerting.delivery import unrouted

    with warehouse.connect(settings, autocommit=True) as connection:
        nobody = unrouted(read_incidents(connection), alerting)
    if nobody:
        print(
            f"{counted(len(nobody), 'open incident')} suits no route, so nobody is "
            "told: add a route, or receivers under `otherwise`."
        )


def _chosen(alerting: Alerting, names: list[str]) -> list[Receiver]:
    known = {receiver.name: receiver for receiver in alerting.receivers}
    for name in names:
        if name not in known:
            raise DriftlineError(
                f"There is no receiver {name!r}; alerting.yml has {', '.join(known)}."
            )
    return [known[name] for name in names] if names else [*known.values()]
