"""``driftline incidents``, ``ack``, ``mute`` …: what is wrong, and who looks at it."""

import getpass
import os
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from textwrap import fill
from typing import Annotated

import psycopg
import typer
from rich.table import Table

from orchestration import warehouse
from orchestration.alerting.incidents import (
    Alert,
    Incident,
    IncidentError,
    acknowledge,
    find_incident,
    mute,
    parse_day_or_span,
    parse_moment,
    parse_span,
    read_alerts,
    read_incidents,
    read_mutes,
    unmute,
)
from orchestration.alerting.messages import clean
from orchestration.cli.words import COLOURS, console, moment, print_json, shown

_PANEL = "Incidents"
_GOING_ON = {"open", "acknowledged"}
_out = console()

_incidents = typer.Typer(rich_markup_mode="rich")


class _State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


_Id = Annotated[str, typer.Argument(help="The incident, or how its id begins.")]
_By = Annotated[
    str | None,
    typer.Option("--by", help="Who says so; by default your name on this machine."),
]
_Note = Annotated[str | None, typer.Option(help="What others should know.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(_incidents, name="incidents", rich_help_panel=_PANEL)
    app.command("ack", rich_help_panel=_PANEL)(acknowledge_incident)
    app.command("unack", rich_help_panel=_PANEL)(unacknowledge_incident)
    app.command("mute", rich_help_panel=_PANEL)(mute_monitor)
    app.command("mutes", rich_help_panel=_PANEL)(list_mutes)
    app.command("unmute", rich_help_panel=_PANEL)(end_mute)


@_incidents.callback(invoke_without_command=True)
def incidents(
    context: typer.Context,
    monitor: Annotated[
        str | None, typer.Option(help="Those of this monitor only.")
    ] = None,
    state: Annotated[
        list[_State] | None,
        typer.Option(help="Those in this state; more than one may be named."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Those that were open on this day or later (2026-01-31), or in this "
            "span until now (7 days)."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Resolved ones too, however old.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every field, as one JSON array.")
    ] = False,
) -> None:
    """List the incidents that go on, or find others; times are UTC.

    `show` tells all of one.
    """
    if context.invoked_subcommand is not None:
        return
    now = datetime.now(UTC)
    start = parse_day_or_span(since, now=now) if since is not None else None
    states = {each.value for each in state or ()}
    is_default = not states and not everything and start is None
    if is_default:
        states = {*_GOING_ON}
    with _connected() as connection:
        found = read_incidents(connection)
    if monitor is not None and monitor not in {each.monitor for each in found}:
        known = ", ".join(sorted({each.monitor for each in found})) or "none at all"
        _tell_or_nothing(as_json, f"{monitor} has no incident (these have: {known}).")
        return
    chosen = [
        each
        for each in found
        if (monitor is None or each.monitor == monitor)
        and (not states or each.state in states)
        and (start is None or each.closed_at is None or each.closed_at >= start)
    ]
    if as_json:
        print_json([each.as_json() for each in chosen])
    elif not chosen:
        print(_nothing(len(found), is_default=is_default and not monitor))
    else:
        _print_list(chosen)


@_incidents.command("show")
def show(
    incident_id: _Id,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every field, as one JSON object.")
    ] = False,
) -> None:
    """Tell all of one incident: what fired, what may have caused it."""
    with _connected() as connection:
        incident = find_incident(connection, incident_id)
        alerts = read_alerts(connection, incident.incident_id)
    if as_json:
        print_json(
            {
                **incident.as_json(),
                "alerts": [asdict(alert) for alert in alerts],
            }
        )
        return
    _print_incident(incident)
    _print_alerts(alerts)


def acknowledge_incident(incident_id: _Id, note: _Note = None, by: _By = None) -> None:
    """Say that you look at an incident: only worse news of it, and its end, is sent."""
    with _connected() as connection:
        incident = find_incident(connection, incident_id)
        person = by or _person()
        acknowledge(connection, incident.incident_id, by=person, note=note)
    before = ""
    if incident.acknowledged_by is not None:
        before = f" (it was by {incident.acknowledged_by} before)"
    elif not incident.is_open:
        before = " (it is over)"
    print(f"{incident.incident_id} is acknowledged by {person}{before}:")
    print(f"{incident.monitor}: {clean(incident.what)}")


def unacknowledge_incident(
    incident_id: _Id, note: _Note = None, by: _By = None
) -> None:
    """Say that nobody looks at an incident after all."""
    with _connected() as connection:
        incident = find_incident(connection, incident_id)
        if incident.acknowledged_at is None:
            raise IncidentError(
                f"Incident {incident.incident_id} is not acknowledged: there is "
                "nothing to take back."
            )
        acknowledge(
            connection,
            incident.incident_id,
            by=by or _person(),
            note=note,
            is_undone=True,
        )
    print(f"{incident.incident_id} is no longer acknowledged:")
    print(f"{incident.monitor}: {clean(incident.what)}")


def mute_monitor(
    monitor: Annotated[str, typer.Argument(help="The monitor to mute.")],
    rule: Annotated[
        str | None, typer.Option(help="Only what this rule says; by default all.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Only what is said of this column.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="A day or a time, UTC unless it has an offset: 2026-01-31."),
    ] = None,
    span: Annotated[
        str | None, typer.Option("--for", help="How long: 90m, 2h, 3 days, 1 week.")
    ] = None,
    note: _Note = None,
    by: _By = None,
) -> None:
    """Send nothing of a monitor for a while; its incidents are recorded as ever.

    What still differs when the mute ends is sent then.
    """
    now = datetime.now(UTC)
    if (until is None) == (span is None):
        raise IncidentError("Say until when: give either --until DAY or --for SPAN.")
    try:
        end = (
            parse_moment(until, now=now)
            if until is not None
            else now + parse_span(span or "")
        )
    except OverflowError as error:
        raise IncidentError(f"{span!r} reaches beyond the calendar.") from error
    if end <= now:
        raise IncidentError(
            f"{until} is over: it is {now:%Y-%m-%d %H:%M} UTC now. Name a later time."
        )
    with _connected() as connection:
        made = mute(
            connection,
            monitor,
            rule_id=rule,
            column_name=column,
            until=end,
            by=by or _person(),
            note=note,
        )
    print(
        f"Muted {_muted_part(made.monitor, made.rule_id, made.column_name)} until "
        f"{moment(made.muted_until)} UTC. To end it before: "
        f"driftline unmute {made.mute_id}"
    )


def list_mutes() -> None:
    """List the mutes that are in force, or will be."""
    with _connected() as connection:
        mutes = read_mutes(connection, now=datetime.now(UTC))
    if not mutes:
        print("Nothing is muted.")
        return
    table = Table("mute", "of", "until (UTC)", "by", "note")
    for each in mutes:
        table.add_row(
            str(each.mute_id),
            shown(_muted_part(each.monitor, each.rule_id, each.column_name)),
            moment(each.muted_until),
            shown(each.muted_by or ""),
            shown(each.note or ""),
        )
    _out.print(table)


def end_mute(
    mute_id: Annotated[int, typer.Argument(help="The mute, as `mutes` lists it.")],
) -> None:
    """End a mute now."""
    with _connected() as connection:
        ended = unmute(connection, mute_id, now=datetime.now(UTC))
    part = _muted_part(ended.monitor, ended.rule_id, ended.column_name)
    print(f"{part} is no longer muted.")


def _connected() -> psycopg.Connection:
    settings = warehouse.settings(os.environ)
    return warehouse.connect(settings, autocommit=True)


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may have no name for its user.
        return "unknown"


def _nothing(count: int, *, is_default: bool) -> str:
    start = "No incident is open" if is_default else "No incident is like that"
    return f"{start} ({count} in all: --all lists them)." if count else f"{start}."


def _tell_or_nothing(as_json: bool, sentence: str) -> None:
    if as_json:
        print_json([])
    else:
        print(sentence)


def _print_list(found: list[Incident]) -> None:
    """Two lines an incident, so that what it is about has room in any terminal."""
    states = [f"{each.severity}, {each.state}" for each in found]
    width = max(map(len, states))
    for each, state in zip(found, states, strict=True):
        colour = COLOURS.get(each.severity, "red") if each.is_open else "dim"
        times = f"since {moment(each.started_at)}"
        if each.closed_at is not None:
            times = f"{moment(each.started_at)} to {moment(each.closed_at)}"
        muted = " (muted)" if each.is_muted else ""
        _out.print(
            f"{shown(each.incident_id[:12])}  [{colour}]{shown(state):<{width}}[/]  "
            f"{times}{muted}"
        )
        _out.print(
            fill(
                shown(f"{each.monitor}: {each.what}"),
                width=_out.width,
                initial_indent="    ",
                subsequent_indent="    ",
            )
        )


def _print_incident(incident: Incident) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    colour = COLOURS.get(incident.severity, "red")
    state = f"[{colour}]{shown(incident.severity)}[/], {shown(incident.state)}"
    if incident.is_muted:
        state += ", muted"
    until = f" to {moment(incident.closed_at)}" if incident.closed_at else ""
    grid.add_row("Incident", shown(incident.incident_id))
    grid.add_row("What", shown(incident.what))
    grid.add_row("Monitor", f"{shown(incident.monitor)}, "
                 f"owner {shown(incident.owner or 'unowned')}")  # fmt: skip
    grid.add_row("State", state)
    grid.add_row("When", f"{moment(incident.started_at)}{until} UTC, "
                 f"noticed by {moment(incident.opened_at)}")  # fmt: skip
    suspect = [
        (incident.suspect_family or "").replace("_", " "),
        incident.suspect_metric,
        *(
            f"{word} {value}"
            for word, value in (
                ("column", incident.suspect_column_name),
                ("version", incident.suspect_model_version),
                (incident.suspect_segment, incident.suspect_segment_value),
            )
            if value not in (None, "all")
        ),
    ]
    grid.add_row("First suspect", shown(", ".join(filter(None, suspect))))
    if incident.suspect_reason:
        grid.add_row("", shown(incident.suspect_reason))
    for number, cause in enumerate(incident.possible_causes):
        grid.add_row("Possible causes" if number == 0 else "", shown(cause))
    grid.add_row("Touched", shown(", ".join(incident.families).replace("_", " ")))
    columns = ", ".join(each for each in incident.column_names if each != "all")
    if columns:
        grid.add_row("Columns", shown(columns))
    if incident.acknowledged_at is not None:
        note = f": {incident.acknowledged_note}" if incident.acknowledged_note else ""
        grid.add_row(
            "Acknowledged",
            f"{moment(incident.acknowledged_at)} by "
            f"{shown((incident.acknowledged_by or '') + note)}",
        )
    _out.print(grid)


def _print_alerts(alerts: list[Alert]) -> None:
    table = Table(
        "window (UTC)",
        "rule",
        "of",
        "severity",
        "reason",
        title=f"{len(alerts)} alerts (marts.alerts)",
        title_justify="left",
    )
    table.columns[0].no_wrap = True
    for each in alerts:
        about = [
            each.column_name if each.column_name != "all" else "",
            f"version {each.model_version}" if each.model_version != "all" else "",
            f"{each.segment} {each.segment_value}" if each.segment != "all" else "",
        ]
        table.add_row(
            f"{moment(each.window_start)} {each.grain}",
            shown(each.rule_id),
            shown(", ".join(filter(None, about))),
            f"[{COLOURS.get(each.severity, 'red')}]{shown(each.severity)}[/]",
            shown(each.reason or ""),
        )
    _out.print()
    _out.print(table)


def _muted_part(monitor: str, rule_id: str | None, column_name: str | None) -> str:
    parts = [
        f"rule {rule_id}" if rule_id else "",
        f"column {column_name}" if column_name else "",
    ]
    of = ", ".join(filter(None, parts))
    return f"{monitor} ({of})" if of else monitor
