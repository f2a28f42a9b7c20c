"""Checking lines: what is taken, what is refused, and with which words."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.records import (
    MAX_LINE_BYTES,
    PARSERS,
    LineError,
    Target,
    parse_baseline,
    parse_label,
    parse_prediction,
)

PREDICTION: dict[str, Any] = {
    "prediction_id": "a-1",
    "model_name": "churn",
    "model_version": "3",
    "predicted_at": "2026-11-20T10:00:00+02:00",
    "features": {"age": 41, "city": "Oslo", "member": True, "income": None},
    "prediction": {"label": "yes", "scores": {"no": 0.25, "yes": 0.75}},
    "latency_ms": 12.5,
    "status_code": 200,
    "error": None,
}
LABEL: dict[str, Any] = {
    "prediction_id": "a-1",
    "actual": "yes",
    "observed_at": "2026-11-21T10:00:00Z",
}


def line(content: object, **changes: object) -> bytes:
    """A JSON line; ``changes`` replace keys of its object."""
    if changes:
        assert isinstance(content, dict)
        content = content | changes
    return json.dumps(content).encode()


def without(content: dict[str, Any], key: str) -> bytes:
    return line({name: value for name, value in content.items() if name != key})


def test_a_whole_prediction_is_read_in_utc() -> None:
    record = parse_prediction(line(PREDICTION))

    assert record.prediction_id == "a-1"
    assert record.predicted_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert record.predicted_at.utcoffset() == datetime.now(UTC).utcoffset()
    assert orjson.loads(record.features) == PREDICTION["features"]
    assert orjson.loads(record.prediction or "") == PREDICTION["prediction"]
    assert record.latency_ms == 12.5
    assert record.status_code == 200
    assert record.error is None


def test_latency_status_and_error_may_be_left_out_and_other_keys_are_ignored() -> None:
    content = {
        key: value
        for key, value in PREDICTION.items()
        if key not in ("latency_ms", "status_code", "error")
    }
    record = parse_prediction(line(content, region="eu"))

    assert (record.latency_ms, record.status_code, record.error) == (None, None, None)


def test_a_failed_request_has_no_prediction() -> None:
    record = parse_prediction(line(PREDICTION, prediction=None, status_code=503))

    assert record.prediction is None


@pytest.mark.parametrize("value", [1, 2.5, -0.0, "yes", ""])
def test_a_prediction_may_be_a_number_or_a_label(value: object) -> None:
    record = parse_prediction(line(PREDICTION, prediction=value))

    assert orjson.loads(record.prediction or "") == value


@pytest.mark.parametrize(("value", "label"), [(True, '"true"'), (False, '"false"')])
def test_booleans_are_the_labels_true_and_false(value: bool, label: str) -> None:
    assert parse_prediction(line(PREDICTION, prediction=value)).prediction == label
    assert parse_label(line(LABEL, actual=value)).actual == label
    labelled = parse_prediction(line(PREDICTION, prediction={"label": value}))
    assert labelled.prediction == f'{{"label":{label}}}'


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e400", "Infinity"),
        ("-1e400", "-Infinity"),
        ("9" * 400, "Infinity"),
    ],
)
def test_numbers_that_no_double_holds_become_strings(token: str, text: str) -> None:
    raw = line(PREDICTION, features={"x": "?"}, prediction="?").replace(
        b'"?"', token.encode()
    )
    record = parse_prediction(raw)

    assert orjson.loads(record.features) == {"x": text}
    assert orjson.loads(record.prediction or "") == text
    label = parse_label(line(LABEL, actual="?").replace(b'"?"', token.encode()))
    assert orjson.loads(label.actual) == text


@pytest.mark.parametrize(
    "number", [2**63, 2**64, 10**30, -(10**30), 10**308, 1e308, -1e308, 5e-324, 1e-400]
)
def test_large_and_small_numbers_keep_their_value(number: float) -> None:
    record = parse_prediction(line(PREDICTION, features={"x": number}))

    assert json.loads(record.features) == {"x": number}


@pytest.mark.parametrize(
    "identifier",
    [
        "🛫-1",
        'say "hi"',
        "it's",
        "back\\slash",
        "tab\there",
        "new\nline",
        "\\N",
        "é" * 9,
    ],
)
def test_any_text_may_be_an_identifier(identifier: str) -> None:
    record = parse_prediction(line(PREDICTION, prediction_id=identifier))

    assert record.prediction_id == identifier


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prediction_id": ""}, "prediction_id is empty"),
        ({"prediction_id": " \t"}, "prediction_id is empty"),
        ({"prediction_id": 7}, "prediction_id must be a string, not a number"),
        ({"prediction_id": "x" * 513}, "prediction_id is longer than 512 bytes"),
        ({"model_name": "🛫" * 129}, "model_name is longer than 512 bytes"),
        ({"model_name": None}, "model_name must be a string, not null"),
        ({"model_version": 2}, "model_version must be a string, not a number"),
        ({"predicted_at": "yesterday"}, "predicted_at is no timestamp in ISO 8601"),
        (
            {"predicted_at": "2026-11-31T00:00:00Z"},
            "predicted_at is no timestamp in ISO 8601",
        ),
        (
            {"predicted_at": "2026-11-20T10:00:00"},
            "predicted_at has no offset from UTC",
        ),
        (
            {"predicted_at": "1999-12-31T23:59:59Z"},
            "predicted_at is outside the years 2000 to 2099",
        ),
        (
            {"predicted_at": "2100-01-01T00:00:00Z"},
            "predicted_at is outside the years 2000 to 2099",
        ),
        (
            {"predicted_at": "0001-01-01T00:00:00+14:00"},
            "predicted_at is outside the years 2000 to 2099",
        ),
        (
            {"predicted_at": 1763632800},
            "predicted_at must be a string in ISO 8601 with an offset, not a number",
        ),
        ({"features": [1]}, "features must be an object, not an array"),
        ({"features": None}, "features must be an object, not null"),
        ({"features": {"x": [1]}}, "features must be flat, but 'x' is an array"),
        ({"features": {"x": {}}}, "features must be flat, but 'x' is an object"),
        (
            {"prediction": [1]},
            "prediction must be a number or a label, not an array",
        ),
        ({"prediction": {"scores": {}}}, "prediction is an object without label"),
        (
            {"prediction": {"label": 1}},
            "label of prediction must be a string, not a number",
        ),
        (
            {"prediction": {"label": "a", "scores": [1]}},
            "scores of prediction must be an object, not an array",
        ),
        (
            {"prediction": {"label": "a", "scores": {"a": "high"}}},
            "scores of prediction must be numbers, but 'a' is a string",
        ),
        ({"latency_ms": "12"}, "latency_ms must be a number, not a string"),
        ({"latency_ms": True}, "latency_ms must be a number, not a boolean"),
        ({"latency_ms": -1}, "latency_ms is negative"),
        ({"latency_ms": float("nan")}, "latency_ms is NaN"),
        ({"status_code": 200.5}, "status_code must be an integer, not a number"),
        ({"status_code": "200"}, "status_code must be an integer, not a string"),
        ({"status_code": 10**9}, "status_code is outside 0 to 999"),
        ({"error": 5}, "error must be a string, not a number"),
        (
            {"error": "zero \x00 byte"},
            "a string holds U+0000, which Postgres cannot store",
        ),
        (
            {"features": {"\x00": 1}},
            "a string holds U+0000, which Postgres cannot store",
        ),
        (
            {"features": {"x": "\ud800"}},
            "a string holds half of a surrogate pair, which is no character",
        ),
    ],
)
def test_a_bad_prediction_is_refused_with_its_reason(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LineError) as refusal:
        parse_prediction(line(PREDICTION, **changes))

    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    "key",
    [
        "prediction_id",
        "model_name",
        "model_version",
        "predicted_at",
        "features",
        "prediction",
    ],
)
def test_a_missing_key_of_a_prediction_is_named(key: str) -> None:
    with pytest.raises(LineError, match=f"^{key} is missing$"):
        parse_prediction(without(PREDICTION, key))


@pytest.mark.parametrize("key", ["prediction_id", "actual", "observed_at"])
def test_a_missing_key_of_a_label_is_named(key: str) -> None:
    with pytest.raises(LineError, match=f"^{key} is missing$"):
        parse_label(without(LABEL, key))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "the line is not JSON: Expecting property name"),
        (b'{"a": 1} {"b": 2}', "the line is not JSON: Extra data at character 10"),
        (b"not json", "the line is not JSON: Expecting value at character 1"),
        (b"\xff{}", "the line is not UTF-8 at byte 1"),
        (b"[1, 2]", "the line must be a JSON object, not an array"),
        (b"null", "the line must be a JSON object, not null"),
        (b"NaN", "the line must be a JSON object, not a string"),
        (b"[" * 100_000, "the line is nested too deeply"),
        (b" " * MAX_LINE_BYTES + b"{}", "the line is longer than 1048576 bytes"),
    ],
)
@pytest.mark.parametrize("target", list(Target))
def test_a_line_that_is_no_json_object_is_refused(
    target: Target, raw: bytes, reason: str
) -> None:
    with pytest.raises(LineError) as refusal:
        PARSERS[target](raw)

    assert str(refusal.value).startswith(reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"actual": None},
            "actual is null; a label that is not known yet is not sent",
        ),
        ({"actual": [1]}, "actual must be a number or a label, not an array"),
        ({"observed_at": "2026-11-21"}, "observed_at has no offset from UTC"),
    ],
)
def test_a_bad_label_is_refused_with_its_reason(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LineError) as refusal:
        parse_label(line(LABEL, **changes))

    assert str(refusal.value) == reason


def test_a_baseline_line_has_an_outcome_that_may_be_null() -> None:
    assert parse_baseline(line(PREDICTION, actual=3)).actual == "3"
    assert parse_baseline(line(PREDICTION, actual=None)).actual is None
    with pytest.raises(LineError, match=r"^actual is missing$"):
        parse_baseline(line(PREDICTION))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


# How long it takes says how busy the machine is.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.dictionaries(st.sampled_from(sorted(PREDICTION)), _json),
    target=st.sampled_from(Target),
)
def test_any_json_is_either_read_or_refused(
    changes: dict[str, Any], target: Target
) -> None:
    content = PREDICTION | LABEL | changes
    try:
        record = PARSERS[target](json.dumps(content).encode())
    except LineError as refusal:
        assert str(refusal)
    else:
        assert record.prediction_id == content["prediction_id"]
