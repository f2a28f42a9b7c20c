"""The monitor blocks of ``dbt_project.yml``, as Python sees them.

dbt validates every key and stops the build (``macros/monitors``). Here only what is
read is looked at, so that a wrong block is a clear sentence, not a ``KeyError``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.errors import DriftlineError
from orchestration.evaluation.methods import (
    DEFAULT_SETTINGS,
    DRIFTED_SHARE_THRESHOLD,
    METHODS,
    MULTIVARIATE,
    Choice,
    EvidentlySettings,
)
from orchestration.evaluation.results import (
    KINDS,
    MINIMUM_SAMPLE_COUNT,
    Column,
    Kind,
)

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_DAYS = re.compile(r"(\d{1,4}) days?")


class MonitorError(DriftlineError):
    """A monitor block can't be used; the message names monitor, key and remedy."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or view of the warehouse."""

    schema: str
    name: str


@dataclass(frozen=True, kw_only=True)
class BaselineSource:
    """The rows that windows are compared with.

    All of ``relation``; only those predicted from ``start`` until before ``end`` if
    both are set; or, if ``first`` is set, those of the first days there are, until so
    long after the day of the row that is number ``first_count`` in time.
    """

    relation: Relation
    start: datetime | None = None
    end: datetime | None = None
    first: timedelta | None = None
    first_count: int = 1


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A monitored model."""

    name: str
    task: str
    predictions: Relation
    columns: tuple[Column, ...]
    baseline: BaselineSource
    minimum_sample_count: int
    owner: str | None
    positive_class: str | None = None
    evidently: EvidentlySettings = DEFAULT_SETTINGS

    @property
    def relations(self) -> tuple[Relation, Relation]:
        """What is read of it: predictions, and the rows of its baseline."""
        return (self.predictions, self.baseline.relation)


def parse_monitors(
    blocks: Sequence[Mapping[str, Any]], relations: Mapping[str, Relation]
) -> tuple[Monitor, ...]:
    """The monitors of the ``blocks``; ``relations`` maps dbt models to where they are.

    Raises ``MonitorError`` on the first block that can't be used.
    """
    monitors = tuple(_parse_monitor(block, relations) for block in blocks)
    names = [monitor.name for monitor in monitors]
    for name in names:
        if names.count(name) > 1:
            raise MonitorError(
                f"Monitor {name!r}, key name: it is there twice; rename one of them."
            )
    return monitors


def _parse_monitor(
    block: Mapping[str, Any], relations: Mapping[str, Relation]
) -> Monitor:
    name = str(block.get("name", ""))
    if not _IDENTIFIER.fullmatch(name):
        raise MonitorError(
            f"Monitor {name!r}, key name: use lowercase letters, digits and "
            "underscores, and no digit first."
        )
    task = str(block.get("task"))
    predictions = _relation(name, "predictions", block.get("predictions"), relations)
    baseline = _baseline(name, block.get("baseline"), predictions, relations)
    minimum_sample_count = int(block.get("minimum_sample", MINIMUM_SAMPLE_COUNT))
    columns = _columns(name, task, block.get("features"))
    return Monitor(
        name=name,
        task=task,
        predictions=predictions,
        columns=columns,
        # As dbt does: a few rows dated long before all others are not the first days.
        baseline=replace(baseline, first_count=minimum_sample_count),
        minimum_sample_count=minimum_sample_count,
        owner=block.get("owner"),
        positive_class=block.get("positive_class"),
        evidently=_evidently(name, block.get("evidently", {}), columns),
    )


def _columns(name: str, task: str, features: object) -> tuple[Column, ...]:
    if not isinstance(features, Mapping) or not features:
        raise MonitorError(
            f"Monitor {name!r}, key features: list at least one feature and its type."
        )
    columns = []
    for feature, kind in features.items():
        if not _IDENTIFIER.fullmatch(str(feature)):
            raise MonitorError(
                f"Monitor {name!r}, key features: {feature!r} is no identifier; use "
                "lowercase letters, digits and underscores."
            )
        if kind not in KINDS:
            raise MonitorError(
                f"Monitor {name!r}, key features.{feature}: {kind!r} is no kind; use "
                f"one of {', '.join(KINDS)}."
            )
        columns.append(Column(name=str(feature), role="feature", kind=kind))
    predicted: Kind = "numerical" if task == "regression" else "categorical"
    columns.append(Column(name="prediction", role="prediction", kind=predicted))
    if task == "binary":
        columns.append(Column(name="score", role="score", kind="numerical"))
    columns.append(Column(name="actual", role="actual", kind=predicted))
    return tuple(columns)


def _evidently(
    name: str, chosen: object, columns: Sequence[Column]
) -> EvidentlySettings:
    """What a monitor chooses of Evidently: by column, of its own or of its kind."""
    settings = _mapping(name, "evidently", chosen)
    _only(
        name,
        "evidently",
        settings,
        (
            *("methods", "thresholds", "columns"),
            *("drifted_share", "multivariate", "reports"),
        ),
    )
    of_kind = _mapping(name, "evidently.methods", settings.get("methods", {}))
    _only(name, "evidently.methods", of_kind, KINDS)
    for kind, method in of_kind.items():
        _require_method(name, f"evidently.methods.{kind}", method, kind)
    of_column = _mapping(name, "evidently.columns", settings.get("columns", {}))
    kinds = {column.name: column.kind for column in columns}
    _only(name, "evidently.columns", of_column, tuple(kinds))
    choices = {}
    for column, kind in kinds.items():
        key = f"evidently.columns.{column}"
        own = _mapping(name, key, of_column.get(column, {}))
        _only(name, key, own, ("method", "threshold"))
        if "method" in own:
            _require_method(name, f"{key}.method", own["method"], kind)
        choice = Choice(
            method=own.get("method", of_kind.get(kind)),
            threshold=_threshold(name, f"{key}.threshold", own.get("threshold")),
        )
        if choice != Choice():
            choices[column] = choice
    thresholds = _mapping(name, "evidently.thresholds", settings.get("thresholds", {}))
    _only(name, "evidently.thresholds", thresholds, (*METHODS, *MULTIVARIATE))
    multivariate = settings.get("multivariate", list(MULTIVARIATE))
    if not isinstance(multivariate, list) or set(multivariate) - MULTIVARIATE.keys():
        raise MonitorError(
            f"Monitor {name!r}, key evidently.multivariate: {multivariate!r} is no "
            f"list of methods; use some of {', '.join(MULTIVARIATE)}, or []."
        )
    share = settings.get("drifted_share", DRIFTED_SHARE_THRESHOLD)
    if not _is_positive(share) or share > 1:
        raise MonitorError(
            f"Monitor {name!r}, key evidently.drifted_share: {share!r} is no share; "
            "use a number above 0, up to 1."
        )
    reports = settings.get("reports", True)
    if not isinstance(reports, bool):
        raise MonitorError(
            f"Monitor {name!r}, key evidently.reports: {reports!r} is neither true nor "
            "false."
        )
    return EvidentlySettings(
        columns=choices,
        thresholds={
            method: float(threshold)
            for method in thresholds
            if (
                threshold := _threshold(
                    name, f"evidently.thresholds.{method}", thresholds[method]
                )
            )
        },
        drifted_share=float(share),
        multivariate=tuple(dict.fromkeys(multivariate)),
        reports=reports,
    )


def _mapping(name: str, key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MonitorError(
            f"Monitor {name!r}, key {key}: {value!r} is no mapping; see "
            "docs/evidently.md."
        )
    return value


def _only(name: str, key: str, value: Mapping[str, Any], known: Sequence[str]) -> None:
    for each in value:
        if each not in known:
            raise MonitorError(
                f"Monitor {name!r}, key {key}: {each!r} is unknown; use "
                f"{', '.join(known)}."
            )


def _require_method(name: str, key: str, method: object, kind: str) -> None:
    suited = [known for known, each in METHODS.items() if kind in each.kinds]
    if method not in suited:
        raise MonitorError(
            f"Monitor {name!r}, key {key}: {method!r} is no method for {kind} columns; "
            f"use one of {', '.join(suited)}."
        )


def _threshold(name: str, key: str, value: object) -> float | None:
    if value is not None and not _is_positive(value):
        raise MonitorError(
            f"Monitor {name!r}, key {key}: {value!r} is no threshold; use a number "
            "above 0."
        )
    return None if value is None else float(str(value))


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _baseline(
    name: str,
    baseline: object,
    predictions: Relation,
    relations: Mapping[str, Relation],
) -> BaselineSource:
    if isinstance(baseline, Mapping):
        # Whether versions share it does not matter here: all are compared together.
        keys = set(baseline) - {"versions"}
        if keys == {"relation"}:
            relation = _relation(
                name, "baseline.relation", baseline["relation"], relations
            )
            return BaselineSource(relation=relation)
        if keys == {"from", "to"}:
            return BaselineSource(
                relation=predictions,
                start=_day(name, "from", baseline["from"]),
                end=_day(name, "to", baseline["to"]),
            )
        if keys == {"first"} and (days := _DAYS.fullmatch(str(baseline["first"]))):
            first = timedelta(days=int(days[1]))
            return BaselineSource(relation=predictions, first=first)
    raise MonitorError(
        f"Monitor {name!r}, key baseline: give {{relation: …}}, {{from, to}} or "
        "{first: 14 days}."
    )


def _day(name: str, key: str, value: object) -> datetime:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise MonitorError(
            f"Monitor {name!r}, key baseline.{key}: {value!r} is no day; write it as "
            "2026-01-31."
        ) from error


def _relation(
    name: str, key: str, model: object, relations: Mapping[str, Relation]
) -> Relation:
    if model not in relations:
        raise MonitorError(
            f"Monitor {name!r}, key {key}: {model!r} is no model of the dbt project."
        )
    return relations[str(model)]
