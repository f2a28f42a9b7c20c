"""What a service may send, line by line: one JSON object a line, checked with reasons.

Nothing here touches a database. A line becomes a typed record that Postgres is known to
accept, or a ``LineError`` whose text says what is wrong with it.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

MAX_LINE_BYTES = 1024 * 1024
# Postgres refuses keys of more than about 2,700 bytes in a B-tree.
MAX_NAME_BYTES = 512

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
# orjson turns integers that do not fit 64 bits into floats; json keeps them.
_EXACT_BELOW = 2.0**63
_MISSING = object()


class Target(StrEnum):
    """The tables that lines can be loaded into."""

    PREDICTION_LOGS = "prediction_logs"
    GROUND_TRUTH = "ground_truth"
    BASELINE_LOGS = "baseline_logs"


class LoggedPrediction(NamedTuple):
    """A row of ``raw.prediction_logs``; ``features`` and ``prediction`` are JSON."""

    prediction_id: str
    model_name: str
    model_version: str
    predicted_at: datetime
    features: str
    prediction: str | None
    latency_ms: float | None
    status_code: int | None
    error: str | None


class BaselinePrediction(NamedTuple):
    """A row of ``raw.baseline_logs``; ``actual`` is JSON too."""

    prediction_id: str
    model_name: str
    model_version: str
    predicted_at: datetime
    features: str
    prediction: str | None
    latency_ms: float | None
    status_code: int | None
    error: str | None
    actual: str | None


class Label(NamedTuple):
    """A row of ``raw.ground_truth``; ``actual`` is JSON."""

    prediction_id: str
    actual: str
    observed_at: datetime


Record = LoggedPrediction | BaselinePrediction | Label


class LineError(ValueError):
    """Why a line cannot be loaded, as one clause without a full stop."""


def parse_prediction(line: bytes) -> LoggedPrediction:
    """Read a line meant for ``raw.prediction_logs``; raises ``LineError``."""
    return LoggedPrediction._make(_prediction_fields(_json_object(line)))


def parse_baseline(line: bytes) -> BaselinePrediction:
    """Read a line meant for ``raw.baseline_logs``; raises ``LineError``."""
    content = _json_object(line)
    fields = _prediction_fields(content)
    actual = _required(content, "actual")
    outcome = None if actual is None else _outcome(actual, "actual")
    return BaselinePrediction._make((*fields, outcome))


def parse_label(line: bytes) -> Label:
    """Read a line meant for ``raw.ground_truth``; raises ``LineError``."""
    content = _json_object(line)
    actual = _required(content, "actual")
    if actual is None:
        raise LineError("actual is null; a label that is not known yet is not sent")
    return Label(
        _name(content, "prediction_id"),
        _outcome(actual, "actual"),
        _instant(content, "observed_at"),
    )


PARSERS: dict[Target, Callable[[bytes], Record]] = {
    Target.PREDICTION_LOGS: parse_prediction,
    Target.GROUND_TRUTH: parse_label,
    Target.BASELINE_LOGS: parse_baseline,
}


def _prediction_fields(content: dict[str, Any]) -> tuple[Any, ...]:
    """The columns that served and validated predictions share, in their order."""
    features = _required(content, "features")
    if type(features) is not dict:
        raise LineError(f"features must be an object, not {_kind(features)}")
    for feature, value in features.items():
        if type(value) is dict or type(value) is list:
            raise LineError(f"features must be flat, but {feature!r} is {_kind(value)}")
    prediction = _required(content, "prediction")
    return (
        _name(content, "prediction_id"),
        _name(content, "model_name"),
        _name(content, "model_version"),
        _instant(content, "predicted_at"),
        _dumps(features),
        None if prediction is None else _prediction(prediction),
        _latency(content.get("latency_ms")),
        _status_code(content.get("status_code")),
        _error(content.get("error")),
    )


def _json_object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise LineError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        # NaN, a lone surrogate, a number out of range, or no JSON at all: the slow
        # reader knows which.
        content = _json_by_the_slow_reader(line)
    else:
        if b"\\u0000" in line:
            _refuse_unstorable_text(content)
        if type(content) is dict and _has_long_number(content):
            content = _json_by_the_slow_reader(line)
    if type(content) is not dict:
        raise LineError(f"the line must be a JSON object, not {_kind(content)}")
    return content


def _has_long_number(content: dict[str, Any]) -> bool:
    """Whether an integer that will be kept may have lost digits."""
    features = content.get("features")
    if type(features) is dict:
        for value in features.values():
            if type(value) is float and not -_EXACT_BELOW < value < _EXACT_BELOW:
                return True
    for key in ("prediction", "actual"):
        value = content.get(key)
        if type(value) is float and not -_EXACT_BELOW < value < _EXACT_BELOW:
            return True
    return False


def _json_by_the_slow_reader(line: bytes) -> Any:
    """Read JSON as Python does, which knows NaN and integers of any length."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LineError(f"the line is not UTF-8 at byte {error.start + 1}") from error
    try:
        content = json.loads(
            text, parse_constant=str, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        raise LineError(
            f"the line is not JSON: {error.msg} at character {error.pos + 1}"
        ) from error
    except RecursionError as error:
        raise LineError("the line is nested too deeply") from error
    _refuse_unstorable_text(content)
    return content


def _float(digits: str) -> float | str:
    """A number beyond double precision is as unusable as the token Infinity."""
    number = float(digits)
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _int(digits: str) -> int | str:
    number = float(digits)
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return int(digits)


def _refuse_unstorable_text(content: Any) -> None:
    """Refuse what JSON can hold and Postgres cannot, wherever it stands."""
    try:
        text = json.dumps(content, ensure_ascii=False)
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LineError(
            "a string holds half of a surrogate pair, which is no character"
        ) from error
    except RecursionError as error:
        raise LineError("the line is nested too deeply") from error
    if _has_zero_character(content):
        raise LineError("a string holds U+0000, which Postgres cannot store")


def _has_zero_character(content: Any) -> bool:
    if isinstance(content, str):
        return "\x00" in content
    if isinstance(content, dict):
        return any(
            "\x00" in key or _has_zero_character(value)
            for key, value in content.items()
        )
    if isinstance(content, list):
        return any(_has_zero_character(value) for value in content)
    return False


def _required(content: dict[str, Any], key: str) -> Any:
    value = content.get(key, _MISSING)
    if value is _MISSING:
        raise LineError(f"{key} is missing")
    return value


def _name(content: dict[str, Any], key: str) -> str:
    value = _required(content, key)
    if type(value) is not str:
        raise LineError(f"{key} must be a string, not {_kind(value)}")
    if not value or value.isspace():
        raise LineError(f"{key} is empty")
    if len(value) > MAX_NAME_BYTES // 4 and len(value.encode()) > MAX_NAME_BYTES:
        raise LineError(f"{key} is longer than {MAX_NAME_BYTES} bytes")
    return value


def _instant(content: dict[str, Any], key: str) -> datetime:
    value = _required(content, key)
    if type(value) is not str:
        raise LineError(
            f"{key} must be a string in ISO 8601 with an offset, not {_kind(value)}"
        )
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise LineError(f"{key} is no timestamp in ISO 8601") from error
    if instant.tzinfo is None:
        raise LineError(f"{key} has no offset from UTC")
    if not EARLIEST <= instant < LATEST:
        raise LineError(f"{key} is outside the years 2000 to 2099")
    # Postgres refuses offsets that Python takes, such as +23:59.
    return instant.astimezone(UTC)


def _prediction(value: Any) -> str:
    if type(value) is not dict:
        return _outcome(value, "prediction")
    label = _required_in_prediction(value)
    scores = value.get("scores")
    if scores is None:
        return _dumps({"label": label})
    if type(scores) is not dict:
        raise LineError(f"scores of prediction must be an object, not {_kind(scores)}")
    for name, score in scores.items():
        if type(score) not in (float, int) and not (
            type(score) is str and score in _NON_FINITE
        ):
            raise LineError(
                f"scores of prediction must be numbers, but {name!r} is {_kind(score)}"
            )
    return _dumps({"label": label, "scores": scores})


def _required_in_prediction(value: dict[str, Any]) -> str:
    label = value.get("label", _MISSING)
    if label is _MISSING:
        raise LineError("prediction is an object without label")
    if type(label) is bool:
        return "true" if label else "false"
    if type(label) is not str:
        raise LineError(f"label of prediction must be a string, not {_kind(label)}")
    return label


def _outcome(value: Any, key: str) -> str:
    """A number or a label as JSON; true and false are labels like any other."""
    if type(value) is bool:
        return '"true"' if value else '"false"'
    if type(value) not in (str, float, int):
        raise LineError(f"{key} must be a number or a label, not {_kind(value)}")
    return _dumps(value)


def _latency(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (float, int):
        if type(value) is str and value in _NON_FINITE:
            raise LineError(f"latency_ms is {value}")
        raise LineError(f"latency_ms must be a number, not {_kind(value)}")
    if value < 0:
        raise LineError("latency_ms is negative")
    return float(value)


def _status_code(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise LineError(f"status_code must be an integer, not {_kind(value)}")
    if not 0 <= value <= 999:
        raise LineError("status_code is outside 0 to 999")
    return value


def _error(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    raise LineError(f"error must be a string, not {_kind(value)}")


def _dumps(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # An integer of more than 64 bits.
        return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _kind(value: Any) -> str:
    """What JSON calls the type of a value."""
    if value is None:
        return "null"
    kinds = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds[type(value)]
