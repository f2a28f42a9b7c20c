"""The raw rows of a monitor by window, and what the figures of several marts share."""

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from psycopg.rows import dict_row

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings

Array = npt.NDArray[np.float64]
Value = float | str | None
Figures = dict[str, Any]
# monitor, version, segment, segment value, grain, start of the window
Window = tuple[str, str, str, str, str, datetime]

LARGEST = 1e100
GRAINS = {
    "5 minutes": timedelta(minutes=5),
    "15 minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
A_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_LONGEST_NUMBER = 16_000


@dataclass(frozen=True, kw_only=True)
class Between:
    """A figure that is only known to lie between two others, both included."""

    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A prediction with its newest label; ``values`` by monitored column.

    ``logged_features`` are the names of all features in the log, monitored or not.
    """

    prediction_id: str | None
    logged_features: frozenset[str]
    version: str
    at: datetime
    loaded_at: datetime
    values: Mapping[str, Value]
    latency_ms: float | None
    status_code: int | None
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
    column_segments: Sequence[str]
    drift: Mapping[str, Any]
    fairness: Sequence[str]
    grains: Mapping[str, str]
    availability_target: float
    latency_target_ms: float
    latency_target_share: float
    minimum_sample: int
    labels_expected_within: timedelta
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
    """Read the raw rows of a monitor, and find those of its baseline."""
    # The example's models are named after what the log calls them.
    name = block["predictions"].removeprefix("stg_flights__")
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
        days = int(block["baseline"]["first"].split()[0])
        times = sorted(row.at for row in served)[block.get("minimum_sample", 50) - 1 :]
        start = times[0] - (times[0] - A_MONDAY) % GRAINS["day"] if times else A_MONDAY
        end = start + timedelta(hours=24 * days)
        known = [row for row in served if start <= row.at < end]
    if "from" in block["baseline"]:
        start, end = (
            datetime.fromisoformat(block["baseline"][key]).replace(tzinfo=UTC)
            for key in ("from", "to")
        )
        known = [row for row in served if start <= row.at < end]
    if block["baseline"].get("versions") == "shared":
        known = [replace(row, version="(shared)") for row in known]
    expected_within = block.get("labels", {}).get("expected_within", "7 days")
    assert expected_within.endswith("days")
    return Monitor(
        name=block["name"],
        task=block["task"],
        positive_class=block.get("positive_class"),
        features=block["features"],
        segments=block.get("segments", []),
        column_segments=block.get("column_segments", []),
        drift=block.get("drift", {}),
        fairness=block.get("fairness", []),
        grains={"traffic": "hour", "columns": "day", **block.get("windows", {})},
        availability_target=block.get("slo", {}).get("availability", 0.999),
        latency_target_ms=block.get("slo", {}).get("latency_ms", 500),
        latency_target_share=block.get("slo", {}).get("latency_target", 0.99),
        minimum_sample=block.get("minimum_sample", 50),
        labels_expected_within=timedelta(days=int(expected_within.split()[0])),
        served=served,
        baseline=known,
    )


def _rows(
    frame: pd.DataFrame, block: Mapping[str, Any], *, is_baseline: bool
) -> Iterator[Row]:
    for record in frame.to_dict("records"):
        features = _json(record["features"])
        # Anything but an object has no features.
        features = features if isinstance(features, dict) else {}
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
            scores = structured.get("scores")
            scores = scores if isinstance(scores, dict) else {}
            scored = block.get("positive_class") or text(label)
            values["score"] = None if scored is None else number(scores.get(scored))
        version, status_code = record["model_version"], record["status_code"]
        observed_at = record["observed_at"]
        yield Row(
            prediction_id=record["prediction_id"],
            logged_features=frozenset(features),
            version="(all)" if version == "all" else key_text(version),
            at=record["predicted_at"].astimezone(UTC),
            loaded_at=record["loaded_at"],
            values=values,
            latency_ms=record["latency_ms"],
            status_code=None if pd.isna(status_code) else int(status_code),
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


def windows(
    monitor: Monitor,
    finest_grain: str,
    *,
    segments: bool = False,
    column_segments: bool = False,
) -> dict[Window, list[Row]]:
    """The served rows of every window, version and segment, the sums as well."""
    shown = {"all"}
    if segments:
        shown |= set(monitor.segments)
    if column_segments:
        shown |= set(monitor.column_segments)
    found: dict[Window, list[Row]] = defaultdict(list)
    grains = list(GRAINS)[list(GRAINS).index(finest_grain) :]
    for row in monitor.served:
        for grain in grains:
            start = row.at - (row.at - A_MONDAY) % GRAINS[grain]
            for version in (row.version, "all"):
                for segment, value in segments_of(monitor, row):
                    if segment in shown:
                        key = (monitor.name, version, segment, value, grain, start)
                        found[key].append(row)
    return found


def segments_of(monitor: Monitor, row: Row) -> list[tuple[str, str]]:
    """The segments that a row belongs to."""
    found = [("all", "all")]
    for segment in monitor.segments:
        values = [row.values[column] for column in segment.split(" x ")]
        joined = " x ".join(map(_segment_value, values))
        found.append((segment, key_text(joined)))
    return found


def _segment_value(value: Value) -> str:
    if value is None:
        return "(null)"
    return value if isinstance(value, str) else repr(value).removesuffix(".0")


def within_one_percent(exact: float | None) -> Between | None:
    if exact is None:
        return None
    # The sketch says "within 1 %"; the rest is for the logarithm's rounding.
    slack = 0.01 * abs(exact) * (1 + 1e-9)
    return Between(lower=exact - slack, upper=exact + slack)


def role(column: str) -> str:
    return column if column in ("prediction", "score", "actual") else "feature"


def about(exact: float, *, largest: float, count: int) -> Between:
    """1e-9 relative, and what sums of doubles lose where large terms cancel out."""
    rounding = float(np.finfo(float).eps * math.sqrt(count) * largest)
    slack = 1e-9 * abs(exact) + 8 * rounding
    return Between(lower=exact - slack, upper=exact + slack)
