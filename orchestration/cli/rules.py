"""``driftline rules``, ``rules test`` and ``scorecard``: what deserves attention."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from orchestration import warehouse
from orchestration.alerting.incidents import parse_day_or_span
from orchestration.alerting.scorecard import (
    Detection,
    FalseAlarms,
    read_detections,
    read_false_alarms,
)
from orchestration.cli.words import COLOURS, console, moment, print_json, shown
from orchestration.errors import DriftlineError

if TYPE_CHECKING:
    from orchestration.alerting.rules import Rule

_PANEL = "Incidents"
_out = console()

_rules = typer.Typer(rich_markup_mode="rich")

_Json = Annotated[bool, typer.Option("--json", help="Every field, as JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    app.add_typer(_rules, name="rules", rich_help_panel=_PANEL)
    app.command(rich_help_panel=_PANEL)(scorecard)


@_rules.callback(invoke_without_command=True)
def rules(
    context: typer.Context,
    monitor: Annotated[
        str | None, typer.Option(help="Those of this monitor only.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """List the alert rules in force; `test` tries changed ones on history."""
    if context.invoked_subcommand is not None:
        return
    # dbt, which it can run, takes a second to import.
    from orchestration.alerting.rules import read_rules

    settings = warehouse.settings(os.environ)
    with warehouse.connect(settings, autocommit=True) as connection:
        found = read_rules(connection)
    monitors = sorted({rule.monitor for rule in found})
    if monitor is not None and monitor not in monitors:
        raise DriftlineError(
            f"There is no monitor {monitor!r} that has rules; there are "
            f"{', '.join(monitors) or 'none at all'}."
        )
    found = [rule for rule in found if monitor in (None, rule.monitor)]
    if as_json:
        print_json([asdict(rule) for rule in found])
        return
    alike: defaultdict[Rule, list[str]] = defaultdict(list)
    for rule in found:
        alike[replace(rule, monitor="")].append(rule.monitor)
    table = Table("rule", "monitors", "watches", "warning, critical", "opens, closes")
    table.columns[0].no_wrap = True
    for rule, of in alike.items():
        table.add_row(
            shown(rule.rule_id),
            "all" if of == monitors else shown(", ".join(of)),
            shown(_watched(rule)),
            shown(_bounds(rule)),
            f"after {rule.open_after}, {rule.close_after}",
        )
    _out.print(table)


@_rules.command("test")
def test_rules(
    file: Annotated[
        Path | None,
        typer.Option(
            help="Rules like those of dbt_project/seeds/alert_rules.csv; by default "
            "that file and the monitor blocks, as they are now.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="What happened since a day (2026-01-31) or span (28 days)."),
    ] = None,
    monitor: Annotated[
        str | None, typer.Option(help="What happened to this monitor only.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show what changed rules would have found on history, beside today's rules.

    Today's are those of the last run. Builds the alert layer in a schema of its own,
    which is dropped again; nothing that anybody reads changes.
    """
    from orchestration.alerting.rules import replay

    settings = warehouse.settings(os.environ)
    start = parse_day_or_span(since, now=datetime.now(UTC)) if since else None
    with Console(stderr=True).status("Judging the history by the changed rules"):
        result = replay(settings, file=file, since=start, monitor=monitor)
    if as_json:
        print_json(asdict(result))
        return
    changed = [
        each
        for each in result.rules
        if (each.window_count, each.episode_count)
        != (each.new_window_count, each.new_episode_count)
    ]
    if not changed and not result.incidents:
        print(
            f"They find what today's rules find: {result.new_incident_count} "
            "incidents, and the same windows by every rule."
        )
        return
    table = Table(
        "rule",
        "monitor",
        "windows today",
        "then",
        "openings today",
        "then",
        title=f"Rules that find more or less ({len(changed)} of {len(result.rules)})",
        title_justify="left",
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for each in changed:
        table.add_row(
            shown(each.rule_id),
            shown(each.monitor),
            f"{each.window_count:,}",
            _compared(each.window_count, each.new_window_count),
            f"{each.episode_count:,}",
            _compared(each.episode_count, each.new_episode_count),
        )
    _out.print(table)
    counts = (
        f"{result.incident_count} incidents today, {result.new_incident_count} then"
    )
    if not result.incidents:
        print(f"{counts}: none appears or disappears as a whole.")
        return
    appear = sum(1 for each in result.incidents if each.is_new)
    table = Table(
        "",
        "monitor",
        "since (UTC)",
        "until",
        "severity",
        "first suspect",
        title=f"{counts}: {appear} appear, {len(result.incidents) - appear} disappear",
        title_justify="left",
    )
    for incident in result.incidents:
        table.add_row(
            "[green]+[/]" if incident.is_new else "[red]-[/]",
            shown(incident.monitor),
            moment(incident.started_at),
            moment(incident.closed_at) if incident.closed_at else "",
            f"[{COLOURS.get(incident.severity, 'red')}]{shown(incident.severity)}[/]",
            shown(incident.reason or ", ".join(incident.rule_ids)),
        )
    _out.print()
    _out.print(table)


def scorecard(as_json: _Json = False) -> None:
    """Show how well the rules noticed what the simulator injected."""
    settings = warehouse.settings(os.environ)
    with warehouse.connect(settings, autocommit=True) as connection:
        detections = read_detections(connection)
        false_alarms = read_false_alarms(connection)
    if as_json:
        print_json(
            {
                "detections": [asdict(each) for each in detections],
                "false_alarms": [asdict(each) for each in false_alarms],
            }
        )
        return
    if detections:
        _print_detections(detections)
    else:
        print("Nothing was injected: all alarms are of real traffic.")
    _print_false_alarms(false_alarms)


def _print_detections(detections: Sequence[Detection]) -> None:
    noticed = sum(1 for each in detections if each.is_noticed)
    right = sum(1 for each in detections if each.is_right_family)
    table = Table(
        "injected",
        "size",
        "monitor",
        "from (UTC)",
        "noticed by",
        "windows late",
        title=f"Injected incidents: {noticed} of {len(detections)} noticed, {right} in "
        "the right family (marts.detection_scorecard)",
        title_justify="left",
    )
    table.columns[-1].justify = "right"
    for each in detections:
        by = "[red]nobody[/]"
        if each.is_noticed:
            column = each.detected_column_name
            by = (
                f"[{'green' if each.is_right_family else 'yellow'}]"
                f"{shown((each.detected_family or '').replace('_', ' '))}[/] "
                f"{shown(each.detected_rule_id or '')}"
                + (f" of {shown(column)}" if column and column != "all" else "")
            )
        table.add_row(
            f"{shown(each.kind.replace('_', ' '))} [dim]"
            f"{shown(each.column_name or '')}[/]",
            shown(each.size or ""),
            shown(each.monitor),
            moment(each.started_at),
            by,
            str(each.delay_windows) if each.delay_windows is not None else "",
        )
    _out.print(table)


def _print_false_alarms(false_alarms: Sequence[FalseAlarms]) -> None:
    table = Table(
        "monitor",
        "family",
        "alarms",
        "critical",
        "a week",
        "by rules",
        title="Alarms while nothing was injected (marts.false_alarms)",
        title_justify="left",
    )
    for column in table.columns[2:5]:
        column.justify = "right"
    for each in false_alarms:
        weekly = (
            f"{each.alarm_count / each.quiet_day_count * 7:.2f}"
            if each.quiet_day_count
            else ""
        )
        about = ", ".join(each.rule_ids)
        if each.column_names:
            about += f" (of {', '.join(each.column_names)})"
        table.add_row(
            shown(each.monitor),
            shown(each.family.replace("_", " ")),
            str(each.alarm_count),
            str(each.critical_count),
            weekly,
            shown(about),
        )
    _out.print()
    _out.print(table)
    _out.print(
        "[dim]False alarms, or what is really odd in the data: real weather drifts "
        "with the season.[/]"
    )


def _watched(rule: "Rule") -> str:
    """Such as "null_rate of dep_*, by version, a day each"."""
    columns = "" if rule.columns == "*" else f" of {rule.columns}"
    against = f" against {rule.compared_to}" if rule.compared_to else ""
    of = {"each": ", each version", "every": ", all and each version"}
    segment = "" if rule.segment == "all" else f", segment {rule.segment}"
    return (
        f"{rule.metric}{columns}{against}{of.get(rule.versions, '')}{segment}, "
        f"{rule.grain} ({rule.family.replace('_', ' ')})"
    )


def _bounds(rule: "Rule") -> str:
    """Such as "static: above 0.01, 0.1; 50 rows"."""
    bounds = ", ".join(
        "none" if bound is None else f"{bound:g}"
        for bound in (rule.warning, rule.critical)
    )
    method = rule.method.replace("_", " ")
    if rule.method in ("baseline", "learned"):
        method += f" {rule.compared_as or ''}".rstrip()
    direction = "" if rule.method == "significance" else f"{rule.direction} "
    sample = f"; {rule.minimum_sample} rows" if rule.minimum_sample else ""
    return f"{method}: {direction}{bounds}{sample}"


def _compared(before: int, after: int) -> str:
    colour = "red" if after > before else "green"
    return f"{after:,}" if after == before else f"[{colour}]{after:,}[/]"
