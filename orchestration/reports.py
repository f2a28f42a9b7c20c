"""Reports as files: one page for each monitor and day, an index, and what is kept.

Beside each page lies what the index shows of it, so that the index is made anew from
the files that are there, whoever wrote or deleted them.
"""

import contextlib
import html
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from orchestration import warehouse
from orchestration.errors import DriftlineError
from orchestration.evaluation.reports import STYLE, DayReport, status_label

DAYS_KEPT = 30

# How many days reports are kept, 0 for none at all; and a directory for Evidently's own
# user interface.
DAYS_VARIABLE = "DRIFTLINE_REPORT_DAYS"
WORKSPACE_VARIABLE = "DRIFTLINE_EVIDENTLY_WORKSPACE"


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Where reports go, and of which days.

    Of each monitor the ``newest`` days of a run get a report; days that have one get a
    new one whenever they are evaluated. Those more than ``days_kept`` days older than
    the monitor's newest report are deleted. With ``workspace``, Evidently's snapshots
    are kept there too, for ``evidently ui``.
    """

    directory: Path
    newest: int = 1
    days_kept: int = DAYS_KEPT
    workspace: Path | None = None


def report_options(environ: Mapping[str, str]) -> ReportOptions | None:
    """What the variables in ``environ`` say of reports; None if there are to be none.

    Raises ``DriftlineError`` if a variable can't be read.
    """
    days = environ.get(DAYS_VARIABLE) or str(DAYS_KEPT)
    if not (days.isascii() and days.isdigit() and len(days) < 6):
        raise DriftlineError(
            f"{DAYS_VARIABLE} must be a number of days, or 0 for no reports, not "
            f"{days!r}."
        )
    if int(days) == 0:
        return None
    workspace = environ.get(WORKSPACE_VARIABLE)
    return ReportOptions(
        directory=warehouse.home(environ) / "reports",
        days_kept=int(days),
        workspace=Path(workspace).expanduser().absolute() if workspace else None,
    )


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """What the index shows of a report.

    ``drifted_share`` and ``classifier_area`` are None where they could not be computed.
    ``runs`` are the identifiers of its snapshots in the workspace.
    """

    monitor: str
    day: str
    row_count: int
    drifted_columns: tuple[str, ...]
    drifted_share: float | None
    classifier_area: float | None
    status: str
    runs: tuple[str, ...] = ()


class Reports:
    """The reports in a directory."""

    def __init__(self, options: ReportOptions) -> None:
        """Nothing is read or made before it is asked for."""
        self.options = options

    @property
    def index(self) -> Path:
        """The page that lists all."""
        return self.options.directory / "index.html"

    def page(self, monitor: str, day: date) -> Path:
        """Where the page of a day is, or would be."""
        return self.options.directory / monitor / f"{day.isoformat()}.html"

    def wanted(self, monitor: str, days: Sequence[date]) -> set[date]:
        """Those of the ``days`` that a run makes a report of."""
        ordered = sorted(days)
        newest = ordered[max(len(ordered) - self.options.newest, 0) :]
        return set(newest) | {day for day in days if self.page(monitor, day).exists()}

    def write(self, entry: ReportEntry, report: DayReport) -> Path:
        """Replace a day's report; a reader finds the old page or the new one."""
        page = self.page(entry.monitor, date.fromisoformat(entry.day))
        page.parent.mkdir(parents=True, exist_ok=True)
        if self.options.workspace is not None:
            runs = _replace_runs(
                self.options.workspace, entry, report, _read_entry(_sidecar(page))
            )
            entry = replace(entry, runs=runs)
        _write_text(page, report.page)
        _write_text(_sidecar(page), json.dumps(asdict(entry), indent=2))
        return page

    def remove(self, monitor: str, day: date) -> None:
        """Delete a day's report, if there is one."""
        self._delete(self.page(monitor, day))

    def entries(self) -> list[ReportEntry]:
        """All reports, by monitor, the newest first."""
        found = [
            entry
            for path in self.options.directory.glob("*/*.json")
            if (entry := _read_entry(path)) is not None
            and path.with_suffix(".html").exists()
        ]
        found.sort(key=lambda entry: entry.day, reverse=True)
        return sorted(found, key=lambda entry: entry.monitor)

    def tidy(self) -> None:
        """Delete what is too old, and write the index anew."""
        newest: dict[str, date] = {}
        for entry in self.entries():
            day = date.fromisoformat(entry.day)
            newest[entry.monitor] = max(day, newest.get(entry.monitor, day))
        for entry in self.entries():
            day = date.fromisoformat(entry.day)
            oldest = newest[entry.monitor] - timedelta(days=self.options.days_kept)
            if day <= oldest:
                self.remove(entry.monitor, day)
        entries = self.entries()
        if entries or self.index.exists():
            _write_text(self.index, index_page(entries))

    def _delete(self, page: Path) -> None:
        entry = _read_entry(_sidecar(page))
        if entry is not None and self.options.workspace is not None:
            _delete_runs(self.options.workspace, entry)
        page.unlink(missing_ok=True)
        _sidecar(page).unlink(missing_ok=True)


def index_page(entries: Sequence[ReportEntry]) -> str:
    """All reports as one page, by monitor."""
    sections = []
    for monitor in dict.fromkeys(entry.monitor for entry in entries):
        rows = "\n".join(_row(entry) for entry in entries if entry.monitor == monitor)
        sections.append(
            f"<h2>{html.escape(monitor)}</h2>\n"
            '<div class="scroll"><table>\n<thead><tr><th>Day</th><th>Dataset</th>'
            '<th class="number">Columns drifted</th>'
            '<th class="number">Classifier</th>'
            '<th class="number">Rows</th><th>Drifted</th></tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )
    body = "\n".join(sections) or "<p>There are none yet: run `driftline monitor`.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Driftline: reports</title><style>{STYLE}</style></head>
<body style="margin: 0"><div class="driftline" style="min-height: 100vh;
box-sizing: border-box"><main>
<h1>Evidently's reports</h1>
<p>One page a day and monitor, each beside the monitor's baseline. Classifier: how well
one tells the day from the baseline, as the area under its curve; 0.5 is not at all.</p>
{body}
</main></div></body></html>
"""


def _row(entry: ReportEntry) -> str:
    link = html.escape(f"{entry.monitor}/{entry.day}.html", quote=True)
    share = "" if entry.drifted_share is None else f"{entry.drifted_share:.0%}"
    area = "" if entry.classifier_area is None else f"{entry.classifier_area:.2f}"
    return (
        f'<tr><td class="name"><a href="{link}">{html.escape(entry.day)}</a></td>'
        f"<td>{status_label(entry.status)}</td>"
        f'<td class="number">{share}</td><td class="number">{area}</td>'
        f'<td class="number">{entry.row_count:,}</td>'
        f'<td class="why">{html.escape(", ".join(entry.drifted_columns))}</td></tr>'
    )


def _sidecar(page: Path) -> Path:
    return page.with_suffix(".json")


def _read_entry(path: Path) -> ReportEntry | None:
    """What is kept of a report; None where there is nothing of ours."""
    with contextlib.suppress(LookupError, OSError, TypeError, ValueError):
        kept: dict[str, Any] = json.loads(path.read_text())
        for name in ("drifted_columns", "runs"):
            kept[name] = tuple(kept[name])
        entry = ReportEntry(**kept)
        # Another name than its place's would lead out of the directory.
        if (path.parent.name, path.stem) == (entry.monitor, entry.day):
            date.fromisoformat(entry.day)
            return entry
    return None


def _write_text(path: Path, text: str) -> None:
    """In one step; who may read it is up to the umask."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _workspace(directory: Path) -> Any:
    from evidently.ui.workspace import Workspace

    return Workspace.create(str(directory))


def _replace_runs(
    directory: Path, entry: ReportEntry, report: DayReport, before: ReportEntry | None
) -> tuple[str, ...]:
    """Evidently's snapshots in a project of the monitor's name; their identifiers."""
    from evidently.sdk.models import ProjectModel

    workspace = _workspace(directory)
    projects = workspace.search_project(entry.monitor)
    project = projects[0] if projects else None
    if project is None:
        project = workspace.add_project(ProjectModel(name=entry.monitor))
    if before is not None:
        _delete_runs(directory, before)
    return tuple(
        str(workspace.add_run(project.id, snapshot, name=f"{entry.day} {name}").id)
        for name, snapshot in report.snapshots
    )


def _delete_runs(directory: Path, entry: ReportEntry) -> None:
    workspace = _workspace(directory)
    for project in workspace.search_project(entry.monitor):
        kept = {str(run) for run in workspace.list_runs(project.id)}
        for run in kept & set(entry.runs):
            workspace.delete_run(project.id, run)
