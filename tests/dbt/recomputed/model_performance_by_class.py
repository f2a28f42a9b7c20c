"""``model_performance_by_class`` from raw rows."""

from collections.abc import Sequence
from functools import cache

from sklearn import metrics

from tests.dbt.recomputed.model_performance import f1_ends, wilson
from tests.dbt.recomputed.rows import (
    GRAINS,
    Figures,
    Monitor,
    Row,
    key_text,
    segments_of,
    windows,
)


def model_performance_by_class(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    if monitor.task == "regression":
        return found
    segments = [segments_of(monitor, row) for row in monitor.baseline]

    @cache
    def of_baseline(
        version: str | None, segment: tuple[str, str]
    ) -> dict[str, Figures]:
        return by_class(
            [
                row
                for row, belongs in zip(monitor.baseline, segments, strict=True)
                if row.version == version and segment in belongs
            ]
        )

    by_window = windows(monitor, monitor.grains["columns"], segments=True)
    for key, rows in by_window.items():
        baseline = of_baseline(monitor.baseline_version(key[1]), (key[2], key[3]))
        for label, figures in by_class(rows).items():
            known = baseline.get(label, {})
            found[(*key, label)] = {
                "window_end": key[5] + GRAINS[key[4]],
                **figures,
                **{
                    f"baseline_{name}": known.get(name)
                    for name in ("support", "precision", "recall", "f1")
                },
            }
    return found


def by_class(rows: Sequence[Row]) -> dict[str, Figures]:
    """The figures of every class among the labelled rows."""
    pairs = [
        (key_text(str(row.values["actual"])), key_text(str(row.values["prediction"])))
        for row in rows
        if row.values["actual"] is not None and row.values["prediction"] is not None
    ]
    if not pairs:
        return {}
    classes = sorted({label for pair in pairs for label in pair})
    code = {label: number for number, label in enumerate(classes)}
    actual, predicted = (
        [code[label] for label in side] for side in zip(*pairs, strict=True)
    )
    shares = metrics.precision_recall_fscore_support(
        actual, predicted, labels=list(range(len(classes))), zero_division=0
    )
    matrix = metrics.confusion_matrix(
        actual, predicted, labels=list(range(len(classes)))
    )
    found: dict[str, Figures] = {}
    for number, label in enumerate(classes):
        precision, recall, f1, support = (float(column[number]) for column in shares)
        hits = int(matrix[number, number])
        predicted_count = int(matrix[:, number].sum())
        figures: Figures = {
            "support": int(support),
            "predicted_count": predicted_count,
            "correct_count": hits,
            "precision": precision if predicted_count else None,
            "recall": recall if support else None,
            "f1": f1,
        }
        others = int(support) + predicted_count - 2 * hits
        for name, ends in (
            ("precision", wilson(hits, predicted_count)),
            ("recall", wilson(hits, int(support))),
            ("f1", f1_ends(hits, others)),
        ):
            figures[f"{name}_lower"], figures[f"{name}_upper"] = ends
        found[label] = figures
    return found
