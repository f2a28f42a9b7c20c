"""A run's figures as ratios with their budgets, as tables, and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Memory

GIB = 1 << 30
# Of fewer, the times are those of starting.
FEWEST_JUDGED_ROWS = 500_000
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A comparison within one run; without a budget it only informs."""

    title: str
    value: float
    unit: str = TIMES
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the budget is kept; None if there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        if self.at_most is not None:
            return self.value <= self.at_most
        return None

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        return ""

    @property
    def verdict(self) -> str:
        """The judgement in a word."""
        return {True: "met", False: "missed", None: ""}[self.is_met]


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that one run measured."""

    machine: Mapping[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def seconds(self, *keys: str) -> float | None:
        """The sum of some figures' medians, if all were measured."""
        figures = [self.figures.get(key) for key in keys]
        if any(figure is None for figure in figures):
            return None
        return sum(figure.seconds for figure in figures if figure is not None)

    def ratios(self) -> list[Ratio]:
        """All comparisons whose two sides were measured."""
        return list(self._ratios())

    def _ratios(self) -> Iterator[Ratio]:
        seconds = self.seconds
        wide, json_log = seconds("build.wide.models"), seconds("build.json.models")
        evidently, scan = seconds("evidently.drift"), seconds("scan")
        yield from _ratio(
            "Evidently's drift preset ÷ all families from a wide table",
            (evidently, wide),
            at_least=12,
        )
        yield from _ratio(
            "Evidently's drift preset ÷ all families from a JSON log",
            (evidently, json_log),
            at_least=12,
        )
        yield from _ratio(
            "all families from a wide table ÷ a bare scan of it",
            (wide, scan),
            at_most=40,
        )
        yield from _ratio(
            "all families from a JSON log ÷ a bare scan of the wide table",
            (json_log, scan),
        )
        yield from _ratio(
            "with all data tests, from a wide table ÷ without",
            (seconds("build.wide.models", "build.wide.tests"), wide),
        )
        yield from _ratio(
            "NannyML's drift and CBPE ÷ all families from a wide table",
            (seconds("nannyml.drift", "nannyml.estimated_performance"), wide),
        )
        yield from _ratio(
            "whylogs' profiles ÷ all families from a wide table",
            (seconds("whylogs.profiles"), wide),
        )
        yield from _ratio(
            "reading the rows into pandas ÷ all families from a wide table",
            (seconds("read_sql"), wide),
        )
        yield from _ratio(
            "bare COPY of predictions and labels ÷ the loader of JSON lines",
            (
                seconds(
                    "load.prediction_logs.bare_copy", "load.ground_truth.bare_copy"
                ),
                seconds("load.prediction_logs", "load.ground_truth"),
            ),
            at_least=0.5,
        )
        for key, title in (
            ("day", "one more day"),
            ("labels_1", "late labels of one day"),
            ("nothing", "nothing new"),
        ):
            year, week = f"history.year.{key}", f"history.week.{key}"
            yield from _ratio(
                f"{title}: after a year ÷ after a week",
                (seconds(year), seconds(week)),
                at_most=1.2,
            )
        yield from _ratio(
            "one more day with all data tests: after a year ÷ after a week",
            (
                seconds("history.year.day", "history.year.day_tests"),
                seconds("history.week.day", "history.week.day_tests"),
            ),
            at_most=1.2,
        )
        labelled = sorted(
            int(key.rpartition("_")[2])
            for key in self.figures
            if key.startswith("history.year.labels_")
        )
        for fewer, more in pairwise(labelled):
            yield from _ratio(
                f"late labels of {more} days ÷ of {fewer}",
                (
                    seconds(f"history.year.labels_{more}"),
                    seconds(f"history.year.labels_{fewer}"),
                ),
                at_most=more / fewer,
            )
        evaluation = self.figures.get("evaluation")
        if evaluation is not None and evaluation.memory is not None:
            yield Ratio(
                title="memory of Driftline's Evidently process",
                value=evaluation.memory.process / GIB,
                unit="GiB",
                at_most=1,
            )

    def write(self, path: Path) -> None:
        """Write everything as JSON, ratios included."""
        content = {
            "machine": self.machine,
            "ratios": [
                {**asdict(ratio), "is_met": ratio.is_met} for ratio in self.ratios()
            ],
            "figures": {
                key: {**asdict(figure), "seconds": figure.seconds}
                for key, figure in self.figures.items()
            },
            "skipped": self.skipped,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, default=str) + "\n")


def read_results(path: Path) -> Results:
    """What :meth:`Results.write` wrote."""
    content = json.loads(path.read_text())
    figures = {}
    for key, figure in content["figures"].items():
        del figure["seconds"]
        memory = figure.pop("memory")
        figures[key] = Figure(
            **{**figure, "runs": tuple(figure["runs"])},
            memory=None if memory is None else Memory(**memory),
        )
    return Results(
        machine=content["machine"], figures=figures, skipped=content["skipped"]
    )


RATIO_HEADINGS = ("ratio", "measured", "budget", "")
FIGURE_HEADINGS = ("work", "seconds", "rows/s", "process MiB", "Postgres MiB")


def ratio_cells(results: Results) -> list[tuple[str, ...]]:
    """The table of ratios; those of a few rows are not judged."""
    judged = results.machine["sizes"]["rows"] >= FEWEST_JUDGED_ROWS
    return [
        (
            ratio.title,
            f"{ratio.value:.2f} {ratio.unit}",
            ratio.budget,
            ratio.verdict if judged else "",
        )
        for ratio in results.ratios()
    ]


def figure_cells(figures: Mapping[str, Figure]) -> list[tuple[str, ...]]:
    """The table of times and peaks of memory."""
    return [
        (
            figure.title,
            f"{figure.seconds:.2f}",
            f"{figure.rows / figure.seconds:,.0f}" if figure.rows else "",
            _mebibytes(figure.memory.process if figure.memory else None),
            _mebibytes(figure.memory.server if figure.memory else None),
        )
        for figure in figures.values()
    ]


def markdown(results: Results) -> str:
    """Both tables and the machine, for a page of documentation."""
    parts = [
        _markdown_table(RATIO_HEADINGS, ratio_cells(results)),
        _markdown_table(FIGURE_HEADINGS, figure_cells(results.figures)),
        "\n".join(f"- {line}" for line in machine_lines(results.machine)),
    ]
    parts += [f"Not measured: {name} ({why})" for name, why in results.skipped.items()]
    return "\n\n".join(parts) + "\n"


def machine_lines(machine: Mapping[str, Any]) -> list[str]:
    """The machine, versions and sizes of a run, a line each."""
    return [
        f"{name.replace('_', ' ')}: "
        + (
            ", ".join(f"{key} {of}" for key, of in value.items())
            if isinstance(value, Mapping)
            else str(value)
        )
        for name, value in machine.items()
    ]


def _ratio(
    title: str,
    sides: tuple[float | None, float | None],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Iterator[Ratio]:
    over, under = sides
    if over is not None and under:
        yield Ratio(title=title, value=over / under, at_least=at_least, at_most=at_most)


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / (1 << 20):,.0f}"


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] + ["--:"] * (len(headings) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
