"""Reports: pages with plots, an index, and no more of them than are kept."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from typer.testing import CliRunner

from orchestration import drift
from orchestration.cli import app
from orchestration.drift import evaluate_days
from orchestration.errors import DriftlineError
from orchestration.evaluation.drift import Baseline, evaluate_drift
from orchestration.evaluation.methods import Choice, EvidentlySettings
from orchestration.evaluation.reports import DayReport, day_report
from orchestration.evaluation.results import Column
from orchestration.reports import (
    ReportEntry,
    ReportOptions,
    Reports,
    index_page,
    report_options,
)
from tests.orchestration.conftest import DAY, SmallWarehouse, monitor

FIRST, SECOND = DAY.date(), DAY.date() + timedelta(days=1)
FEATURES = (
    Column(name="distance", role="feature", kind="numerical"),
    Column(name="carrier", role="feature", kind="categorical"),
    Column(name="empty", role="feature", kind="numerical"),
    Column(name="review", role="feature", kind="text"),
    Column(name="vector", role="feature", kind="embedding"),
)


def entry(day: date, **changes: Any) -> ReportEntry:
    return replace(
        ReportEntry(
            monitor="flights",
            day=day.isoformat(),
            row_count=1234,
            drifted_columns=("carrier",),
            drifted_share=0.25,
            classifier_area=0.61,
            status="ok",
        ),
        **changes,
    )


EMPTY = DayReport(page="<p>page</p>", snapshots=(), omissions=())


def frame(generator: Generator, count: int, *, labels: list[Any]) -> pd.DataFrame:
    words = [["good", "nice", "late", "size", "fit", "shoes"][k % 6] for k in range(99)]
    return pd.DataFrame(
        {
            "distance": generator.normal(1000, 100, count),
            "carrier": generator.choice(["UA", "DL", "<b>B6</b>"], count),
            "empty": np.full(count, np.nan),
            "review": [" ".join(generator.choice(words, 4)) for _ in range(count)],
            "vector": list(generator.normal(size=(count, 4)).astype(np.float32)),
            "prediction": generator.choice(labels[:-1], count),
            "score": generator.uniform(size=count),
            "actual": generator.choice(labels, count),
        }
    )


def page_of(
    task: str, current: pd.DataFrame, reference: pd.DataFrame, **settings: Any
) -> DayReport:
    kind = "numerical" if task == "regression" else "categorical"
    columns = [
        *FEATURES,
        Column(name="prediction", role="prediction", kind=kind),  # type: ignore[arg-type]
        Column(name="actual", role="actual", kind=kind),  # type: ignore[arg-type]
    ]
    baseline = Baseline(reference, columns, settings=EvidentlySettings(**settings))
    return day_report(
        current,
        baseline,
        evaluate_drift(current, baseline),
        monitor="<i>flights</i>",
        task=task,
        positive_class="true",
        day=FIRST,
        row_count=5000,
        made_at=datetime(2026, 3, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("binary", ["true", "false", None]),
        ("multiclass", ["early", "late", "lost", None]),
        ("regression", [1.0, 2.0, 3.5, np.nan]),
    ],
)
def test_a_page_has_every_result_and_the_plots_of_drift_and_performance(
    task: str, labels: list[Any]
) -> None:
    generator = np.random.default_rng(0)
    current, reference = (
        frame(generator, count, labels=labels) for count in (300, 1500)
    )

    report = page_of(task, current, reference)

    assert report.omissions == ()
    assert [name for name, _ in report.snapshots] == ["drift", "performance"]
    assert "<title>&lt;i&gt;flights&lt;/i&gt; · 2026-03-01</title>" in report.page
    assert "<i>flights</i>" not in report.page
    for text in ("(all features)", "pca_reconstruction", "review (length)", "vector"):
        assert text in report.page
    # Of the baseline and of the window, nothing could be computed.
    assert "all 1500 values of the baseline are missing" in report.page or (
        "all 300 values of the window are missing" in report.page
    )
    # Evidently's own results, by what it says of its metrics and not by position.
    plotted = {
        metric["config"]["column"]: metric["config"]
        for metric in report.snapshots[0][1].dict()["metrics"]
        if metric["config"]["type"].endswith("ValueDrift")
    }
    assert plotted.keys() == {"distance", "carrier", "review", "prediction"}


def test_the_plots_are_of_the_methods_that_were_chosen() -> None:
    generator = np.random.default_rng(0)
    current, reference = (
        frame(generator, count, labels=["true", "false", None]) for count in (300, 1500)
    )

    report = page_of(
        "binary",
        current,
        reference,
        columns={"distance": Choice(method="psi", threshold=0.3)},
    )

    (config,) = (
        metric["config"]
        for metric in report.snapshots[0][1].dict()["metrics"]
        if metric["config"].get("column") == "distance"
    )
    assert (config["method"], config["threshold"]) == ("psi", 0.3)


def test_a_column_of_very_many_categories_is_not_plotted() -> None:
    generator = np.random.default_rng(0)
    current = frame(generator, 300, labels=["true", "false", None])
    reference = frame(generator, 1500, labels=["true", "false", None])
    current["carrier"] = [f"carrier {number}" for number in range(300)]

    report = page_of("binary", current, reference)

    assert report.omissions == ("No plots of carrier: more than 100 categories.",)
    assert [name for name, _ in report.snapshots] == ["drift", "performance"]


def test_what_cannot_be_plotted_is_told_and_the_rest_is_there() -> None:
    generator = np.random.default_rng(0)
    current = frame(generator, 300, labels=["true", "false", None])
    reference = frame(generator, 1500, labels=["true", "false", None])
    current["actual"] = None

    report = page_of("binary", current, reference)

    assert [name for name, _ in report.snapshots] == ["drift"]
    assert report.omissions == (
        "No plots of performance: fewer than two of the sampled rows have a label.",
    )
    assert report.omissions[0] in report.page


def test_a_day_of_nothing_computable_is_a_page_all_the_same() -> None:
    generator = np.random.default_rng(0)
    few = frame(generator, 9, labels=["true", "false", None])
    few["actual"] = None

    report = page_of("binary", few, frame(generator, 90, labels=["true", "false", "?"]))

    assert report.snapshots == ()
    assert "the window has 9 usable values, fewer than 50" in report.page
    assert report.page.startswith("<!doctype html>")


def test_the_index_escapes_every_name() -> None:
    page = index_page(
        [entry(FIRST, monitor='<script>"x', drifted_columns=("<img src=x>", "a & b"))]
    )

    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;img src=x&gt;, a &amp; b" in page
    assert 'href="&lt;script&gt;&quot;x/2026-03-01.html"' in page


def test_old_reports_are_deleted_counting_from_the_newest_of_their_monitor(
    tmp_path: Path,
) -> None:
    reports = Reports(ReportOptions(directory=tmp_path / "reports", days_kept=3))
    for offset in range(6):
        reports.write(entry(FIRST + timedelta(days=offset)), EMPTY)
    reports.write(entry(date(2013, 1, 1), monitor="slow"), EMPTY)

    reports.tidy()

    assert [(each.monitor, each.day) for each in reports.entries()] == [
        ("flights", "2026-03-06"),
        ("flights", "2026-03-05"),
        ("flights", "2026-03-04"),
        ("slow", "2013-01-01"),
    ]
    assert len(list(tmp_path.glob("reports/*/*"))) == 8
    index = reports.index.read_text()
    assert "2026-03-04" in index
    assert "2026-03-03" not in index


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    reports = Reports(ReportOptions(directory=tmp_path))
    reports.write(entry(FIRST), EMPTY)
    for name, text in (
        ("flights/notes.json", "{}"),
        ("flights/torn.json", "{"),
        ("flights/2026-01-01.json", json.dumps({"monitor": "../..", "day": "x"})),
        ("flights/2026-01-01.html", "mine"),
    ):
        (tmp_path / name).write_text(text)

    reports.tidy()

    assert [each.day for each in reports.entries()] == ["2026-03-01"]
    assert (tmp_path / "flights" / "2026-01-01.html").read_text() == "mine"
    assert (tmp_path / "flights" / "notes.json").exists()


def test_the_newest_days_are_wanted_and_those_that_have_a_report(
    tmp_path: Path,
) -> None:
    reports = Reports(ReportOptions(directory=tmp_path, newest=2))
    days = [FIRST + timedelta(days=offset) for offset in range(5)]
    reports.write(entry(days[1]), EMPTY)

    assert reports.wanted("flights", days) == {days[1], days[3], days[4]}
    assert reports.wanted("flights", days[:1]) == {days[0]}
    assert reports.wanted("flights", []) == set()


@pytest.fixture
def two_days(small_warehouse: SmallWarehouse) -> SmallWarehouse:
    small_warehouse.add_baseline(2000)
    small_warehouse.add_predictions(DAY, 300)
    small_warehouse.add_predictions(DAY + timedelta(days=1), 200)
    small_warehouse.refresh_ledger()
    return small_warehouse


def test_a_run_writes_the_newest_days_report_and_replaces_it(
    two_days: SmallWarehouse, tmp_path: Path
) -> None:
    options = ReportOptions(directory=tmp_path, workspace=tmp_path / "workspace")
    days = {"flights": [FIRST, SECOND]}
    binary = replace(monitor(), positive_class="true")

    outcomes = evaluate_days(two_days.settings, days, [binary], reports=options)

    page = tmp_path / "flights" / "2026-03-02.html"
    assert [outcome.report for outcome in outcomes] == [None, page]
    assert [outcome.report_failure for outcome in outcomes] == [None, None]
    assert "200 of the day's 200 rows" in page.read_text()
    (before,) = Reports(options).entries()
    assert (before.row_count, len(before.runs)) == (200, 2)

    two_days.add_predictions(DAY + timedelta(days=1, hours=12), 100)
    two_days.add_predictions(DAY + timedelta(days=2), 60)
    days["flights"].append(SECOND + timedelta(days=1))
    evaluate_days(two_days.settings, days, [binary], reports=options)

    after = Reports(options).entries()
    assert [each.day for each in after] == ["2026-03-03", "2026-03-02"]
    assert after[1].row_count == 300
    from evidently.ui.workspace import Workspace

    workspace = Workspace(str(options.workspace))
    (project,) = workspace.list_projects()
    assert project.name == "flights"
    assert sorted(map(str, workspace.list_runs(project.id))) == sorted(
        run for each in after for run in each.runs
    )
    # A replaced run is gone.
    assert not set(before.runs) & {run for each in after for run in each.runs}


def test_a_report_that_fails_costs_no_results(
    two_days: SmallWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    options = ReportOptions(directory=blocked)
    # What it would show does not matter here, and takes a while.
    monkeypatch.setattr(drift, "day_report", lambda *_, **__: EMPTY)

    (outcome,) = evaluate_days(
        two_days.settings, {"flights": [SECOND]}, [monitor()], reports=options
    )

    assert outcome.failure is None
    assert outcome.report is None
    assert str(outcome.report_failure).startswith("NotADirectoryError")
    assert len(two_days.results("column_name")) == 8


def test_a_monitor_can_do_without_reports(
    two_days: SmallWarehouse, tmp_path: Path
) -> None:
    silent = replace(monitor(), evidently=EvidentlySettings(reports=False))
    options = ReportOptions(directory=tmp_path / "reports")

    evaluate_days(two_days.settings, {"flights": [SECOND]}, [silent], reports=options)

    assert not (tmp_path / "reports").exists()


def test_the_command_lists_reports_and_tells_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_HOME", str(tmp_path))
    index = tmp_path / "reports" / "index.html"
    command = CliRunner()

    assert "There are no reports yet" in command.invoke(app, ["reports"]).stdout

    reports = Reports(ReportOptions(directory=tmp_path / "reports"))
    reports.write(entry(FIRST, drifted_columns=("[red]carrier",)), EMPTY)
    reports.tidy()

    listed = command.invoke(app, ["reports"]).stdout
    assert "2026-03-01" in listed
    assert "[red]carrier" in listed
    assert command.invoke(app, ["reports", "--path"]).stdout == f"{index}\n"
    assert index.exists()


def test_the_environment_says_how_long_reports_are_kept(tmp_path: Path) -> None:
    home = {"DRIFTLINE_HOME": str(tmp_path)}

    usual = report_options(home)
    assert usual is not None
    assert (usual.directory, usual.days_kept) == (tmp_path / "reports", 30)
    chosen = report_options(
        home
        | {
            "DRIFTLINE_REPORT_DAYS": "7",
            "DRIFTLINE_EVIDENTLY_WORKSPACE": str(tmp_path / "ui"),
        }
    )
    assert chosen is not None
    assert (chosen.days_kept, chosen.workspace) == (7, tmp_path / "ui")
    assert report_options(home | {"DRIFTLINE_REPORT_DAYS": "0"}) is None
    with pytest.raises(DriftlineError, match="must be a number of days"):
        report_options({"DRIFTLINE_REPORT_DAYS": "a week"})
