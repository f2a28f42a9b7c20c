"""The figures of the marts once more, from the raw rows, by the libraries' formulas.

Nothing here follows the SQL: no statistics that add up, no buckets but where a figure
is defined on buckets. Rows come by pandas, metrics from scikit-learn, SciPy and NumPy.
"""

import hashlib
import json
import math
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from psycopg.rows import dict_row
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import kolmogorov
from sklearn import metrics
from statsmodels.stats.proportion import (  # type: ignore[import-untyped]
    proportion_confint,
)

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings

Array = npt.NDArray[np.float64]
Value = float | str | None
Figures = dict[str, Any]
# monitor, version, segment, segment value, grain, start of the window
Window = tuple[str, str, str, str, str, datetime]

LARGEST = 1e100
GRAINS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
# Scores above which a drifted column is critical, by method.
CRITICAL = {"psi": 0.25, "jensen_shannon": 0.2, "ks": 0.2}
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_LONGEST_NUMBER = 16_000


@dataclass(frozen=True, kw_only=True)
class Between:
    """A figure that is only known to lie between two others, both included."""

    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A prediction with its newest label; ``values`` by monitored column."""

    version: str
    at: datetime
    loaded_at: datetime
    values: Mapping[str, Value]
    latency_ms: float | None
    is_error: bool
    labelled_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A monitor block and the rows that it is about."""

    name: str
    task: str
    positive_class: str | None
    features: Mapping[str, str]
    segments: Sequence[str]
    grains: Mapping[str, str]
    latency_target_ms: float
    minimum_sample: int
    served: Sequence[Row]
    baseline: Sequence[Row]

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of every monitored column."""
        outcome = "numerical" if self.task == "regression" else "categorical"
        kinds = {**self.features, "prediction": outcome}
        if self.task == "binary":
            kinds["score"] = "numerical"
        return {**kinds, "actual": outcome}

    @property
    def reference_version(self) -> str | None:
        """The version whose baseline came first."""
        firsts: dict[str, tuple[datetime, datetime, str]] = {}
        for version in {row.version for row in self.baseline}:
            rows = [row for row in self.baseline if row.version == version]
            firsts[version] = (
                min(row.loaded_at for row in rows),
                min(row.at for row in rows),
                version,
            )
        return min(firsts, key=firsts.__getitem__) if firsts else None

    def baseline_version(self, version: str) -> str | None:
        """What a version is compared with."""
        own = {row.version for row in self.baseline}
        return version if version in own else self.reference_version

    def baseline_of(self, version: str | None) -> list[Row]:
        """The baseline rows of one version."""
        return [row for row in self.baseline if row.version == version]


def read_monitor(settings: ConnectionSettings, block: Mapping[str, Any]) -> Monitor:
    """Read the raw rows of a monitor; its baseline is a relation, or the first days."""
    name = block["name"]
    with (
        warehouse.connect(settings) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):

        def frame(query: str) -> pd.DataFrame:
            cursor.execute(query, [name] if "%s" in query else None)
            columns = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=columns, dtype=object)

        logged = """
            prediction_id, model_version, predicted_at, loaded_at, latency_ms, error,
            status_code, features::text as features, prediction::text as prediction
        """
        predictions = frame(
            f"select {logged} from raw.prediction_logs where model_name = %s"
        )
        baseline = frame(
            f"select {logged}, actual::text as actual, predicted_at as observed_at "
            "from raw.baseline_logs where model_name = %s"
        )
        labels = frame(
            "select prediction_id, actual::text as actual, observed_at, "
            "loaded_at as label_loaded_at from raw.ground_truth"
        )
    labels = labels.sort_values("label_loaded_at").drop_duplicates(
        "prediction_id", keep="last"
    )
    served = list(
        _rows(
            predictions.merge(labels, on="prediction_id", how="left"),
            block,
            is_baseline=False,
        )
    )
    known = list(_rows(baseline, block, is_baseline=True))
    if "first" in block["baseline"]:
        start = min(row.at for row in served).replace(hour=0, minute=0, second=0)
        days = int(block["baseline"]["first"].split()[0])
        end = start.replace(microsecond=0) + timedelta(hours=24 * days)
        known = [row for row in served if row.at < end]
    return Monitor(
        name=name,
        task=block["task"],
        positive_class=block.get("positive_class"),
        features=block["features"],
        segments=block.get("segments", []),
        grains={"traffic": "hour", "columns": "day", **block.get("windows", {})},
        latency_target_ms=block.get("slo", {}).get("latency_ms", 500),
        minimum_sample=block.get("minimum_sample", 50),
        served=served,
        baseline=known,
    )


def _rows(
    frame: pd.DataFrame, block: Mapping[str, Any], *, is_baseline: bool
) -> Iterator[Row]:
    for record in frame.to_dict("records"):
        features = _json(record["features"])
        prediction = _json(record["prediction"])
        actual = _json(record["actual"])
        values: dict[str, Value] = {
            name: (number if kind == "numerical" else text)(features.get(name))
            for name, kind in block["features"].items()
        }
        if block["task"] == "regression":
            values |= {"prediction": number(prediction), "actual": number(actual)}
        else:
            structured = prediction if isinstance(prediction, dict) else {}
            label = structured.get("label")
            values["prediction"] = text(prediction if label is None else label)
            values["actual"] = text(actual)
            if block["task"] == "binary":
                scores = structured.get("scores")
                scores = scores if isinstance(scores, dict) else {}
                values["score"] = number(scores.get(block["positive_class"]))
        version, status_code = record["model_version"], record["status_code"]
        observed_at = record["observed_at"]
        yield Row(
            version="(all)" if version == "all" else key_text(version),
            at=record["predicted_at"].astimezone(UTC),
            loaded_at=record["loaded_at"],
            values=values,
            latency_ms=record["latency_ms"],
            is_error=not is_baseline
            and (
                record["error"] is not None
                or (status_code is not None and status_code >= 500)
            ),
            labelled_at=None if pd.isna(observed_at) else observed_at,
        )


def _json(document: Any) -> Any:
    if not isinstance(document, str):
        return None
    # Decimals keep the spelling; Python refuses to read very long integers.
    return json.loads(document, parse_float=Decimal, parse_int=Decimal)


def number(value: object) -> float | None:
    """A JSON value as a double: None where there is none, NaN where it is unusable."""
    if value is None:
        return None
    spelled = text(value) if isinstance(value, str | Decimal) else ""
    if not _NUMBER.fullmatch(spelled or "") or len(spelled or "") > _LONGEST_NUMBER:
        return math.nan
    found = float(spelled or "")
    if not abs(found) <= LARGEST:
        return math.nan
    return 0.0 if abs(found) < 1e-200 else found


def text(value: object) -> str | None:
    """A JSON value as a category; Postgres and Python spell documents alike."""
    return value if value is None or isinstance(value, str) else _document(value)


def _document(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return f"[{', '.join(_document(item) for item in value)}]"
    if isinstance(value, dict):
        items = (f"{_document(key)}: {_document(value[key])}" for key in value)
        return f"{{{', '.join(items)}}}"
    return json.dumps(value, ensure_ascii=False)


def key_text(key: str) -> str:
    """A version or segment value; long ones are cut, so that an index can hold them."""
    if len(key) <= 200:
        return key
    return f"{key[:160]}… {hashlib.md5(key.encode()).hexdigest()}"


def usable(values: Iterable[Value]) -> Array:
    """Those that are usable numbers."""
    found = [
        value
        for value in values
        if isinstance(value, int | float) and abs(value) <= LARGEST
    ]
    return np.array(found, dtype=float)


def numbers(values: Iterable[Value]) -> Array:
    """The usable numbers to compute with: what is closer to zero than 1e-100 is 0."""
    found = usable(values)
    return np.where(np.abs(found) < 1 / LARGEST, 0.0, found)


def quantile(values: Array, share: float) -> float | None:
    """The smallest value with at least that share of all values up to it."""
    if not len(values):
        return None
    return float(np.quantile(values, share, method="inverted_cdf"))


# --- windows and segments ------------------------------------------------------------


def windows(
    monitor: Monitor, finest_grain: str, *, segments: bool
) -> dict[Window, list[Row]]:
    """The served rows of every window, version and segment, the sums as well."""
    found: dict[Window, list[Row]] = defaultdict(list)
    grains = ("hour", "day") if finest_grain == "hour" else ("day",)
    for row in monitor.served:
        starts = {
            "hour": row.at.replace(minute=0, second=0, microsecond=0),
            "day": row.at.replace(hour=0, minute=0, second=0, microsecond=0),
        }
        for grain in grains:
            for version in (row.version, "all"):
                for segment, value in segments_of(monitor, row) if segments else ALL:
                    key = (monitor.name, version, segment, value, grain, starts[grain])
                    found[key].append(row)
    return found


ALL = [("all", "all")]


def segments_of(monitor: Monitor, row: Row) -> list[tuple[str, str]]:
    """The segments that a row belongs to."""
    found = list(ALL)
    for segment in monitor.segments:
        values = [row.values[column] for column in segment.split(" x ")]
        joined = " x ".join(map(_segment_value, values))
        found.append((segment, key_text(joined)))
    return found


def _segment_value(value: Value) -> str:
    if value is None:
        return "(null)"
    return value if isinstance(value, str) else repr(value).removesuffix(".0")


# --- service_health ------------------------------------------------------------------


def service_health(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["traffic"], segments=True)
    for key, rows in by_window.items():
        length = GRAINS[key[4]]
        latencies = numbers(row.latency_ms for row in rows)
        latencies = latencies[latencies >= 0]
        errors = sum(row.is_error for row in rows)
        figures: Figures = {
            "window_end": key[5] + length,
            "request_count": len(rows),
            "error_count": errors,
            "error_rate": errors / len(rows),
            "availability": (len(rows) - errors) / len(rows),
            "requests_per_second": len(rows) / length.total_seconds(),
            "latency_mean_ms": latencies.mean() if len(latencies) else None,
            "slow_rate": (latencies > monitor.latency_target_ms).mean()
            if len(latencies)
            else None,
        }
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            exact = quantile(latencies, share) if key[2] == "all" else None
            figures[f"latency_{name}_ms"] = _within_one_percent(exact)
        found[key] = figures
    return found


def _within_one_percent(exact: float | None) -> Between | None:
    if exact is None:
        return None
    # The sketch says "within 1 %"; the rest is for the logarithm's rounding.
    slack = 0.01 * abs(exact) * (1 + 1e-9)
    return Between(lower=exact - slack, upper=exact + slack)


# --- data_quality --------------------------------------------------------------------


def data_quality(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    reference = monitor.baseline_of(monitor.reference_version)
    by_window = windows(monitor, monitor.grains["columns"], segments=False)
    for key, rows in by_window.items():
        baseline = monitor.baseline_of(monitor.baseline_version(key[1]))
        for column, kind in monitor.kinds.items():
            values = [row.values[column] for row in rows]
            known = [row.values[column] for row in baseline]
            is_numerical = kind == "numerical"
            found_numbers = numbers(values) if is_numerical else np.array([])
            known_numbers = numbers(known) if is_numerical else np.array([])
            count = len(values)
            null = sum(value is None for value in values)
            invalid = count - null - len(found_numbers) if is_numerical else 0
            counts = {
                "null": null,
                "invalid": invalid,
                "unseen": _unseen(monitor, column, values),
                "out_of_range": _out_of_range(
                    [row.values[column] for row in reference],
                    values if is_numerical else [],
                ),
            }
            found[(*key, column)] = {
                "window_end": key[5] + GRAINS[key[4]],
                "role": _role(column),
                "row_count": count,
                **{f"{name}_count": value for name, value in counts.items()},
                **{f"{name}_rate": value / count for name, value in counts.items()},
                "baseline_null_rate": sum(value is None for value in known) / len(known)
                if known
                else None,
                "mean": _mean(found_numbers),
                "stddev": _stddev(found_numbers),
                "minimum": found_numbers.min() if len(found_numbers) else None,
                "maximum": found_numbers.max() if len(found_numbers) else None,
                "baseline_mean": _mean(known_numbers),
                "baseline_stddev": _stddev(known_numbers),
            }
    return found


def _role(column: str) -> str:
    return column if column in ("prediction", "score", "actual") else "feature"


def _unseen(monitor: Monitor, column: str, values: Sequence[Value]) -> int:
    if monitor.kinds[column] == "numerical" or not monitor.baseline:
        return 0
    seen = {row.values[column] for row in monitor.baseline}
    return sum(value is not None and value not in seen for value in values)


def _out_of_range(reference: Sequence[Value], values: Sequence[Value]) -> int:
    known, found = usable(reference), usable(values)
    if not len(known):
        return 0
    return int(((found < known.min()) | (found > known.max())).sum())


def _mean(values: Array) -> float | None:
    return math.fsum(values) / len(values) if len(values) else None


def _stddev(values: Array) -> Between | None:
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    exact = math.sqrt(math.fsum((values - mean) ** 2) / (len(values) - 1))
    # However stable, one pass over doubles loses what the offset takes of their digits
    # (Chan, Golub & LeVeque 1983): 1e-9 relative holds up to a million of them.
    return _about(exact, largest=np.abs(values).max(), count=len(values))


def _about(exact: float, *, largest: float, count: int) -> Between:
    """1e-9 relative, and what sums of doubles lose where large terms cancel out."""
    rounding = float(np.finfo(float).eps * math.sqrt(count) * largest)
    slack = 1e-9 * abs(exact) + 8 * rounding
    return Between(lower=exact - slack, upper=exact + slack)


# --- model_performance ---------------------------------------------------------------


def model_performance(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key."""
    found: dict[tuple[object, ...], Figures] = {}
    by_window = windows(monitor, monitor.grains["columns"], segments=True)
    segments = [segments_of(monitor, row) for row in monitor.baseline]

    @cache
    def of_baseline(version: str | None, segment: tuple[str, str]) -> Figures:
        rows = [
            row
            for row, belongs in zip(monitor.baseline, segments, strict=True)
            if row.version == version and segment in belongs
        ]
        return quality(monitor, rows)

    for key, rows in by_window.items():
        delays = np.array(
            [
                (row.labelled_at - row.at).total_seconds()
                for row in rows
                if row.values["actual"] is not None and row.labelled_at is not None
            ]
        )
        labelled = sum(row.values["actual"] is not None for row in rows)
        figures: Figures = {
            "window_end": key[5] + GRAINS[key[4]],
            "prediction_count": len(rows),
            "labelled_count": labelled,
            "label_coverage": labelled / len(rows),
        }
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            exact = quantile(np.maximum(delays, 0), share) if key[2] == "all" else None
            figures[f"label_delay_{name}_seconds"] = _within_one_percent(exact)
        baseline = of_baseline(monitor.baseline_version(key[1]), (key[2], key[3]))
        found[key] = {
            **figures,
            **quality(monitor, rows),
            **{
                f"baseline_{name}": value
                for name, value in baseline.items()
                if not name.endswith(("_lower", "_upper"))
            },
        }
    return found


def quality(monitor: Monitor, rows: Sequence[Row]) -> Figures:
    """How good the predictions of some rows were; None where that is not defined."""
    figures: Figures = dict.fromkeys(_CLASSIFICATION + _SCORES + _REGRESSION)
    with warnings.catch_warnings():
        # They tell of undefined figures, which are what is tested here.
        warnings.simplefilter("ignore")
        if monitor.task == "regression":
            figures |= _regression(rows)
        else:
            figures |= _classification(rows, monitor.positive_class)
        if monitor.task == "binary":
            figures |= _scores(rows, monitor.positive_class)
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }


_CLASSIFICATION = (
    *("accuracy", "accuracy_lower", "accuracy_upper", "balanced_accuracy"),
    *("precision", "recall", "specificity", "f1", "f1_macro"),
)
_SCORES = ("roc_auc", "roc_auc_lower", "roc_auc_upper", "log_loss", "brier_score")
_REGRESSION = ("mae", "mae_lower", "mae_upper", "rmse", "mape", "r2", "mean_error")


def _classification(rows: Sequence[Row], positive: str | None) -> Figures:
    pairs = [
        (str(row.values["actual"]), str(row.values["prediction"]))
        for row in rows
        if row.values["actual"] is not None and row.values["prediction"] is not None
    ]
    if not pairs:
        return {}
    classes = sorted({label for pair in pairs for label in pair})
    # Numbers for classes, because NumPy gives all texts of an array the longest's room.
    code = {label: number for number, label in enumerate(classes)}
    actual, predicted = (
        [code[label] for label in side] for side in zip(*pairs, strict=True)
    )
    correct = sum(left == right for left, right in pairs)
    lower, upper = proportion_confint(correct, len(pairs), method="wilson")
    figures: Figures = {
        "accuracy": metrics.accuracy_score(actual, predicted),
        "accuracy_lower": float(lower),
        "accuracy_upper": float(upper),
        "balanced_accuracy": metrics.balanced_accuracy_score(actual, predicted),
        "f1_macro": metrics.f1_score(actual, predicted, average="macro"),
    }
    if positive is None:
        return figures
    is_positive = [label == positive for label, _ in pairs]
    is_predicted = [label == positive for _, label in pairs]
    undefined = {"zero_division": np.nan}
    negatives = sorted({*actual} - {code.get(positive)})
    return {
        **figures,
        "precision": metrics.precision_score(is_positive, is_predicted, **undefined),
        "recall": metrics.recall_score(is_positive, is_predicted, **undefined),
        "specificity": metrics.recall_score(
            actual, predicted, labels=negatives, average="micro"
        )
        if negatives
        else None,
        "f1": metrics.f1_score(is_positive, is_predicted, **undefined),
    }


def _scores(rows: Sequence[Row], positive: str | None) -> Figures:
    pairs = [
        (float(row.values["actual"] == positive), score)
        for row in rows
        for score in numbers([row.values["score"]])
        if row.values["actual"] is not None and 0 <= score <= 1
    ]
    if not pairs:
        return {}
    actual, score = (np.array(side) for side in zip(*pairs, strict=True))
    figures: Figures = {
        "log_loss": metrics.log_loss(actual, score, labels=[0.0, 1.0]),
        "brier_score": metrics.mean_squared_error(actual, score),
    }
    if len(set(actual)) == 2:
        # Exactly the area under the curve of the scores in 200 steps.
        steps = np.minimum(np.floor(score * 200), 199)
        figures["roc_auc"] = metrics.roc_auc_score(actual, steps)
        assert_auc_within_bound(actual, score, steps, figures["roc_auc"])
        margin = stats.norm.ppf(0.975) * _hanley_mcneil_error(
            figures["roc_auc"], int(actual.sum()), int((1 - actual).sum())
        )
        figures["roc_auc_lower"] = max(0.0, figures["roc_auc"] - margin)
        figures["roc_auc_upper"] = min(1.0, figures["roc_auc"] + margin)
    return figures


def _hanley_mcneil_error(area: float, positives: int, negatives: int) -> float:
    """Formulas (1) and (2) of Hanley and McNeil, Radiology 143 (1982)."""
    two_positives = area / (2 - area)
    two_negatives = 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (positives - 1) * (two_positives - area**2)
        + (negatives - 1) * (two_negatives - area**2)
    ) / (positives * negatives)
    return math.sqrt(max(0.0, variance))


def assert_auc_within_bound(
    actual: Array, score: Array, steps: Array, found: float
) -> None:
    """The documented bound: half the share of pairs that fall into one bucket."""
    positives = Counter(steps[actual == 1])
    negatives = Counter(steps[actual == 0])
    together = sum(count * negatives[step] for step, count in positives.items())
    bound = together / 2 / (positives.total() * negatives.total())
    assert abs(metrics.roc_auc_score(actual, score) - found) <= bound + 1e-12


def _regression(rows: Sequence[Row]) -> Figures:
    pairs = [
        (actual, predicted)
        for row in rows
        for actual in numbers([row.values["actual"]])
        for predicted in numbers([row.values["prediction"]])
    ]
    if not pairs:
        return {}
    actual, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    errors = np.abs(predicted - actual)
    mae = metrics.mean_absolute_error(actual, predicted)
    margin = (
        stats.norm.ppf(0.975) * errors.std(ddof=1) / math.sqrt(len(errors))
        if len(errors) > 1
        else math.nan
    )
    nonzero = actual != 0
    return {
        "mae": mae,
        "mae_lower": mae - margin,
        "mae_upper": mae + margin,
        "rmse": metrics.root_mean_squared_error(actual, predicted),
        # scikit-learn's divides by no less than 2e-16.
        "mape": float(np.mean(errors[nonzero] / np.abs(actual[nonzero])))
        if nonzero.any()
        else None,
        "r2": metrics.r2_score(actual, predicted)
        if actual.min() < actual.max()
        else None,
        "mean_error": _about(
            math.fsum(predicted - actual) / len(errors),
            largest=errors.max(),
            count=len(errors),
        ),
    }


# --- drift ---------------------------------------------------------------------------


def drift(monitor: Monitor) -> dict[tuple[object, ...], Figures]:
    """Rows of the mart by key, those of the engine ``sql``."""
    found: dict[tuple[object, ...], Figures] = {}
    reference = monitor.baseline_of(monitor.reference_version)
    by_window = windows(monitor, monitor.grains["columns"], segments=False)
    for column, kind in monitor.kinds.items():
        binned = _bins(monitor, column, [row.values[column] for row in reference])
        for key, rows in by_window.items():
            baseline = monitor.baseline_of(monitor.baseline_version(key[1]))
            values = [row.values[column] for row in rows]
            known = [row.values[column] for row in baseline]
            if column == "actual":
                # A label that is not there yet says nothing of the labels.
                values = [value for value in values if value is not None]
                known = [value for value in known if value is not None]
            if not values:
                continue
            shared: Figures = {
                "window_end": key[5] + GRAINS[key[4]],
                "role": _role(column),
            }
            for method, figures in shares_by_bin(values, known, binned):
                found[(*key, column, method, "baseline", "sql")] = shared | figures
            if kind == "numerical":
                edges = _edges(usable(row.values[column] for row in reference))
                found[(*key, column, "ks", "baseline", "sql")] = shared | _ks(
                    usable(values), usable(known), edges
                )
    for drift_key, figures in found.items():
        _judge(figures, monitor.minimum_sample, CRITICAL[str(drift_key[7])])
    return found


def _edges(known: Array) -> Array:
    """Lower edges of the fifty quantile bins, and the maximum at the end."""
    if not len(known):
        return known
    distinct, counts = np.unique(known, return_counts=True)
    if len(distinct) > 50:
        below = np.cumsum(counts) - counts
        firsts = [-(-k * len(known) // 50) for k in range(50)]
        places = np.searchsorted(below, firsts)
        distinct_edges = distinct[np.unique(places[places < len(distinct)])]
    else:
        distinct_edges = distinct
    return np.append(distinct_edges, known.max())


def _bins(
    monitor: Monitor, column: str, reference: Sequence[Value]
) -> Callable[[Value], object]:
    """Puts a value into one of the bins that psi and jensen_shannon compare."""
    if monitor.kinds[column] == "categorical":
        seen = {row.values[column] for row in monitor.baseline}
        counts = Counter(value for value in reference if isinstance(value, str))
        ranked = sorted(counts, key=lambda value: (-counts[value], value.encode()))
        own = set(ranked[:50])

        def category(value: Value) -> object:
            if value is None:
                return "null"
            if value in own:
                return ("category", value)
            return "other" if value in seen else "unseen"

        return category

    edges = _tenths(usable(reference))

    def tenth(value: Value) -> object:
        if value is None:
            return "null"
        found = usable([value])
        return (
            int(np.searchsorted(edges, found[0], "right")) if len(found) else "invalid"
        )

    return tenth


def _tenths(known: Array) -> Array:
    """The inner edges of ten bins with equal shares of the baseline, ends open."""
    distinct = np.unique(known)
    if len(distinct) == len(known) > 100:
        # No ties: simply the deciles.
        return np.sort(known)[[-(-k * len(known) // 10) for k in range(1, 10)]]
    if not len(known):
        return known
    # Ties: neighbouring bins whose middle lies in the same tenth of the baseline. Below
    # the minimum is the first tenth, above the maximum the last.
    edges = _edges(known)
    lower, maximum = edges[:-1], edges[-1]
    starts = np.searchsorted(np.sort(known), lower, "left")
    middles = (starts + np.append(starts[1:], len(known))) / 2
    tenths = np.floor(10 * middles / len(known))
    edges_of_tenths = [] if tenths[0] == 0 else [lower[0]]
    edges_of_tenths += list(lower[1:][np.diff(tenths) > 0])
    if tenths[-1] < 9:
        edges_of_tenths.append(np.nextafter(maximum, np.inf))
    return np.array(edges_of_tenths)


def shares_by_bin(
    values: Sequence[Value],
    known: Sequence[Value],
    binned: Callable[[Value], object],
) -> Iterator[tuple[str, Figures]]:
    counts, known_counts = Counter(map(binned, values)), Counter(map(binned, known))
    bins = sorted({*counts, *known_counts}, key=str)
    shared: Figures = {
        "sample_count": len(values),
        "baseline_sample_count": len(known),
        "p_value": None,
        "threshold": 0.1,
    }
    if not known:
        for method in ("psi", "jensen_shannon"):
            yield method, {**shared, "score": None, "noise_floor": None}
        return
    # Half a row is added to each count.
    added = len(bins) / 2
    share = np.array([counts[name] + 0.5 for name in bins]) / (len(values) + added)
    known_share = np.array([known_counts[name] + 0.5 for name in bins]) / (
        len(known) + added
    )
    degrees = max(len(bins) - 1, 1)
    tail = stats.chi2.ppf(0.99, degrees) * (1 / len(values) + 1 / len(known))
    slack = 0.01 if degrees > 1 else 0.05

    def noise(exact: float, slack: float) -> Between:
        return Between(lower=exact * (1 - slack), upper=exact * (1 + slack))

    psi = np.sum((share - known_share) * np.log(share / known_share))
    yield "psi", {**shared, "score": float(psi), "noise_floor": noise(tail, slack)}
    distance = float(np.nan_to_num(jensenshannon(share, known_share, base=2)))
    figures = {
        **shared,
        "score": distance,
        "noise_floor": noise(math.sqrt(tail / 8 / math.log(2)), slack),
    }
    if distance < 1e-4:
        # A square root: what is 1e-17 off in the divergence is 3e-9 in the distance.
        figures["score"] = Between(lower=distance - 1e-8, upper=distance + 1e-8)
    yield "jensen_shannon", figures


def _ks(values: Array, known: Array, edges: Array) -> Figures:
    figures: Figures = {
        "sample_count": len(values),
        "baseline_sample_count": len(known),
        "score": None,
        "p_value": None,
        "noise_floor": None,
        "threshold": 0.1,
    }
    if not len(values) or not len(known):
        return figures
    # A bin below the minimum and one above the maximum.
    places = (np.searchsorted(edges[:-1], side, "right") for side in (values, known))
    left, right = (
        np.where(side > edges[-1], len(edges), place) if len(edges) else place
        for side, place in zip((values, known), places, strict=True)
    )
    statistic = float(stats.ks_2samp(left, right, method="asymp").statistic)
    assert_ks_within_bound(values, known, left, right, statistic)
    spread = 1 / len(values) + 1 / len(known)
    return figures | {
        "score": statistic,
        "p_value": float(kolmogorov(statistic / math.sqrt(spread))),
        "noise_floor": Between(
            lower=stats.kstwobign.ppf(0.99) * math.sqrt(spread) * 0.9999,
            upper=stats.kstwobign.ppf(0.99) * math.sqrt(spread) * 1.0001,
        ),
    }


def assert_ks_within_bound(
    values: Array,
    known: Array,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    binned: float,
) -> None:
    """Within a bin, one function can lead the other by no more than at its ends."""
    exact = float(stats.ks_2samp(values, known, method="asymp").statistic)
    last = int(max(left.max(), right.max()))
    lower = np.array([(left <= place).mean() for place in range(-1, last + 1)])
    upper = np.array([(right <= place).mean() for place in range(-1, last + 1)])
    bound = max((lower[1:] - upper[:-1]).max(), (upper[1:] - lower[:-1]).max())
    assert binned - 1e-12 <= exact <= bound + 1e-12


def _judge(figures: Figures, minimum_sample: int, critical: float) -> None:
    if min(figures["sample_count"], figures["baseline_sample_count"]) < minimum_sample:
        figures |= {"is_drifted": None, "status": "not_computable"}
        return
    noise_floor, score = figures["noise_floor"], figures["score"]
    if isinstance(score, Between) or noise_floor.lower < score <= noise_floor.upper:
        return
    if score <= figures["threshold"] or score <= noise_floor.lower:
        figures |= {"is_drifted": False, "status": "ok"}
    else:
        status = "critical" if score > critical else "warning"
        figures |= {"is_drifted": True, "status": status}


# --- comparison ----------------------------------------------------------------------

MARTS: Mapping[str, Callable[[Monitor], dict[tuple[object, ...], Figures]]] = {
    "service_health": service_health,
    "data_quality": data_quality,
    "model_performance": model_performance,
    "drift": drift,
}


def recompute(
    settings: ConnectionSettings, blocks: Sequence[Mapping[str, Any]], mart: str
) -> dict[tuple[object, ...], Figures]:
    """All rows of a mart."""
    found: dict[tuple[object, ...], Figures] = {}
    for block in blocks:
        found |= MARTS[mart](read_monitor(settings, block))
    return found


def differences(
    stored: Mapping[tuple[object, ...], Mapping[str, object]],
    expected: Mapping[tuple[object, ...], Mapping[str, object]],
) -> list[str]:
    """What a mart says otherwise, in words; empty if nothing."""
    found = [f"missing {key}" for key in expected.keys() - stored.keys()]
    found += [f"extra {key}" for key in stored.keys() - expected.keys()]
    for key in expected.keys() & stored.keys():
        found += [
            f"{key}: {name} is {stored[key][name]!r}, not {value!r}"
            for name, value in expected[key].items()
            if not agrees(stored[key][name], value)
        ]
    return found


def agrees(stored: object, expected: object) -> bool:
    """Whether a stored figure is the expected one: 1e-9 for floats, else exactly."""
    if isinstance(expected, Between):
        return isinstance(stored, float) and expected.lower <= stored <= expected.upper
    if isinstance(expected, float):
        return isinstance(stored, float) and math.isclose(
            stored, float(expected), rel_tol=1e-9, abs_tol=1e-12
        )
    return stored == expected
