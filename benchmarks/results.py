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
    """A comparison within one run; without a budget it only informs.

    ``value`` is of times as the clock has them, ``by_processor`` of processor times.
    """

    title: str
    value: float
    by_processor: float | None = None
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
class Comparison:
    """Which figures' sums make a ratio, by their keys, and its budget."""

    title: str
    over: tuple[str, ...]
    under: tuple[str, ...]
    at_least: float | None = None
    at_most: float | None = None


# What one query of a dashboard may take.
DASHBOARD_QUERY_SECONDS = 0.3

WIDE = ("build.wide.models",)
JSON = ("build.json.models",)
COMPARISONS = (
    Comparison(
        title="Evidently's drift preset ÷ all families from a wide table",
        over=("evidently.drift",),
        under=WIDE,
        at_least=12,
    ),
    Comparison(
        title="… without the feature of 20,000 values ÷ all families, wide table",
        over=("evidently.drift_of_few_values",),
        under=WIDE,
    ),
    Comparison(
        title="Evidently's drift preset ÷ all families from a JSON log",
        over=("evidently.drift",),
        under=JSON,
        at_least=12,
    ),
    Comparison(
        title="all families from a wide table ÷ a bare scan of it",
        over=WIDE,
        under=("scan",),
        at_most=40,
    ),
    Comparison(
        title="all families from a JSON log ÷ a bare scan of the wide table",
        over=JSON,
        under=("scan",),
    ),
    Comparison(
        title="all families and all data tests ÷ all families, wide table",
        over=(*WIDE, "build.wide.tests"),
        under=WIDE,
    ),
    Comparison(
        title="NannyML's drift and CBPE ÷ all families from a wide table",
        over=("nannyml.drift", "nannyml.estimated_performance"),
        under=WIDE,
    ),
    Comparison(
        title="whylogs' profiles ÷ all families from a wide table",
        over=("whylogs.profiles",),
        under=WIDE,
    ),
    Comparison(
        title="reading the rows into pandas ÷ all families from a wide table",
        over=("read_sql",),
        under=WIDE,
    ),
    Comparison(
        title="bare COPY of predictions and labels ÷ the loader of JSON lines",
        over=("load.prediction_logs.bare_copy", "load.ground_truth.bare_copy"),
        under=("load.prediction_logs", "load.ground_truth"),
        at_least=0.5,
    ),
    *(
        Comparison(
            title=f"{title}: after a year ÷ after a week",
            over=tuple(f"history.year.{key}" for key in keys),
            under=tuple(f"history.week.{key}" for key in keys),
            at_most=1.2,
        )
        for title, keys in (
            ("one more day", ("day",)),
            ("one more day and all data tests", ("day", "day_tests")),
            ("late labels of one day", ("labels_1",)),
            ("nothing new", ("nothing",)),
        )
    ),
)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that one run measured."""

    machine: Mapping[str, Any]
    figures: dict[str, Figure] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def ratios(self) -> list[Ratio]:
        """All comparisons whose two sides were measured."""
        return list(self._ratios())

    def _ratios(self) -> Iterator[Ratio]:
        for comparison in (*COMPARISONS, *self._comparisons_of_labels()):
            over, under = self._all(comparison.over), self._all(comparison.under)
            if over is None or under is None:
                continue
            yield Ratio(
                title=comparison.title,
                value=_seconds(over) / _seconds(under),
                by_processor=_quotient(_processor(over), _processor(under)),
                at_least=comparison.at_least,
                at_most=comparison.at_most,
            )
        for key in ("evaluation", "evaluation.big_day"):
            evaluation = self.figures.get(key)
            if evaluation is not None and evaluation.memory is not None:
                yield Ratio(
                    title=f"memory of {evaluation.title}",
                    value=evaluation.memory.process / GIB,
                    unit="GiB",
                    at_most=1,
                )

        slowest = self.figures.get("dashboards.opened")
        if slowest is not None:
            yield Ratio(
                title="slowest query of the dashboards, after a year",
                value=slowest.seconds * 1000,
                by_processor=None
                if slowest.processor_seconds is None
                else slowest.processor_seconds * 1000,
                unit="ms",
                at_most=1000 * DASHBOARD_QUERY_SECONDS,
            )

    def _comparisons_of_labels(self) -> Iterator[Comparison]:
        """Each number of days with the next fewer: the time may grow with it."""
        keys = [key for key in self.figures if key.startswith("history.year.labels_")]
        for fewer, more in pairwise(sorted(keys, key=_days_of)):
            yield Comparison(
                title=f"late labels of {_days_of(more)} days ÷ of {_days_of(fewer)}",
                over=(more,),
                under=(fewer,),
                at_most=_days_of(more) / _days_of(fewer),
            )

    def _all(self, keys: Sequence[str]) -> list[Figure] | None:
        """The figures, if every one was measured."""
        if not all(key in self.figures for key in keys):
            return None
        return [self.figures[key] for key in keys]

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
            **{
                **figure,
                "runs": tuple(figure["runs"]),
                "processor": tuple(figure["processor"]),
            },
            memory=None if memory is None else Memory(**memory),
        )
    return Results(
        machine=content["machine"], figures=figures, skipped=content["skipped"]
    )


RATIO_HEADINGS = ("ratio", "measured", "by CPU time", "budget", "")
FIGURE_HEADINGS = ("work", "seconds", "CPU s", "rows/s", "process MiB", "Postgres MiB")


def ratio_cells(results: Results) -> list[tuple[str, ...]]:
    """The table of ratios; those of a few rows are not judged."""
    judged = results.machine["sizes"]["rows"] >= FEWEST_JUDGED_ROWS
    return [
        (
            ratio.title,
            f"{ratio.value:.2f} {ratio.unit}",
            _fixed(ratio.by_processor),
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
            _fixed(figure.processor_seconds),
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


def _seconds(figures: Sequence[Figure]) -> float:
    return sum(figure.seconds for figure in figures)


def _processor(figures: Sequence[Figure]) -> float | None:
    """The sum of the processor times, if all were measured."""
    times = [figure.processor_seconds for figure in figures]
    known = [time for time in times if time is not None]
    return sum(known) if len(known) == len(times) else None


def _quotient(over: float | None, under: float | None) -> float | None:
    return None if over is None or not under else over / under


def _days_of(key: str) -> int:
    return int(key.rpartition("_")[2])


def _fixed(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / (1 << 20):,.0f}"


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] + ["--:"] * (len(headings) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
