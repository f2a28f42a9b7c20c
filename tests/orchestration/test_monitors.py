"""Monitor blocks become monitors, and a wrong one is told in a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.evaluation.methods import EvidentlySettings
from orchestration.monitors import MonitorError, Relation, parse_monitors

RELATIONS = {
    "stg_flights": Relation(schema="staging", name="stg_flights"),
    "stg_flights_baseline": Relation(schema="staging", name="flights_before"),
}
BLOCK: dict[str, Any] = {
    "name": "flight_delayed",
    "predictions": "stg_flights",
    "task": "binary",
    "features": {"dep_delay": "numerical", "carrier": "categorical"},
    "baseline": {"relation": "stg_flights_baseline"},
    "owner": "team-flights",
}


def kinds(**changes: Any) -> list[tuple[str, str, str]]:
    (monitor,) = parse_monitors([BLOCK | changes], RELATIONS)
    return [(column.name, column.role, column.kind) for column in monitor.columns]


def test_a_binary_monitor_has_a_score_and_categorical_outcomes() -> None:
    assert kinds() == [
        ("dep_delay", "feature", "numerical"),
        ("carrier", "feature", "categorical"),
        ("prediction", "prediction", "categorical"),
        ("score", "score", "numerical"),
        ("actual", "actual", "categorical"),
    ]


def test_a_regression_monitor_has_numerical_outcomes_and_no_score() -> None:
    assert kinds(task="regression")[2:] == [
        ("prediction", "prediction", "numerical"),
        ("actual", "actual", "numerical"),
    ]


def test_texts_and_embeddings_are_features() -> None:
    features = {"comment": "text", "vector": "embedding"}

    assert kinds(features=features)[:2] == [
        ("comment", "feature", "text"),
        ("vector", "feature", "embedding"),
    ]


def evidently(**chosen: Any) -> EvidentlySettings:
    (monitor,) = parse_monitors([BLOCK | {"evidently": chosen}], RELATIONS)
    return monitor.evidently


def test_nothing_chosen_is_left_to_evidently() -> None:
    (monitor,) = parse_monitors([BLOCK], RELATIONS)

    assert monitor.evidently == evidently() == EvidentlySettings()
    assert monitor.evidently.method("carrier") is None
    assert monitor.evidently.threshold("carrier", "psi") == 0.1
    assert monitor.evidently.multivariate == ("domain_classifier", "pca_reconstruction")


def test_a_columns_own_choice_outranks_that_of_its_kind_and_method() -> None:
    settings = evidently(
        methods={"numerical": "ks"},
        columns={"dep_delay": {"method": "psi"}, "score": {"threshold": 0.2}},
        thresholds={"ks": 0.01, "psi": 0.3},
    )

    assert settings.method("dep_delay") == "psi"
    assert settings.method("score") == "ks"
    assert settings.method("carrier") is None
    assert settings.threshold("dep_delay", "psi") == 0.3
    assert settings.threshold("score", "ks") == 0.2


def test_what_is_chosen_for_all_together_is_read() -> None:
    settings = evidently(
        drifted_share=1,
        multivariate=["pca_reconstruction"],
        thresholds={"pca_reconstruction": 0.5},
        reports=False,
    )

    assert (settings.drifted_share, settings.reports) == (1.0, False)
    assert settings.multivariate == ("pca_reconstruction",)
    assert settings.multivariate_threshold("pca_reconstruction") == 0.5
    assert settings.decisive != evidently(multivariate=[]).decisive
    assert evidently(reports=False).decisive == evidently().decisive


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("ks", "key evidently: 'ks' is no mapping; see docs/evidently.md"),
        ({"method": "ks"}, "key evidently: 'method' is unknown; use methods, thr"),
        ({"methods": {"text": "ks"}}, "evidently.methods.text: 'ks' is no method for"),
        ({"columns": {"tail": {}}}, "evidently.columns: 'tail' is unknown; use dep_"),
        (
            {"columns": {"carrier": {"method": "ks"}}},
            "evidently.columns.carrier.method: 'ks' is no method for categorical",
        ),
        (
            {"columns": {"carrier": {"threshold": "high"}}},
            "evidently.columns.carrier.threshold: 'high' is no threshold",
        ),
        ({"thresholds": {"ks": 0}}, "evidently.thresholds.ks: 0 is no threshold"),
        ({"drifted_share": 2}, "evidently.drifted_share: 2 is no share"),
        ({"multivariate": "pca"}, "evidently.multivariate: 'pca' is no list"),
        ({"reports": "no"}, "evidently.reports: 'no' is neither true nor false"),
    ],
)
def test_a_wrong_choice_is_told_in_a_sentence(chosen: Any, message: str) -> None:
    with pytest.raises(MonitorError, match="Monitor 'flight_delayed', key ") as raised:
        parse_monitors([BLOCK | {"evidently": chosen}], RELATIONS)
    assert message in str(raised.value)


def test_relations_are_where_the_manifest_says() -> None:
    (monitor,) = parse_monitors([BLOCK], RELATIONS)

    assert monitor.predictions == Relation(schema="staging", name="stg_flights")
    assert monitor.baseline.relation.name == "flights_before"
    assert (monitor.minimum_sample_count, monitor.owner) == (50, "team-flights")


def test_a_baseline_can_be_a_stretch_of_the_predictions() -> None:
    fixed, first = (
        parse_monitors([BLOCK | {"baseline": baseline}], RELATIONS)[0].baseline
        for baseline in (
            {"from": "2026-01-01", "to": "2026-02-01"},
            {"first": "14 days", "versions": "shared"},
        )
    )

    assert fixed.relation == first.relation == RELATIONS["stg_flights"]
    assert fixed.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert fixed.end == datetime(2026, 2, 1, tzinfo=UTC)
    assert (first.first, first.first_count) == (timedelta(days=14), 50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Flight; drop"}, "'Flight; drop', key name: use lowercase"),
        ({"predictions": "typo"}, "key predictions: 'typo' is no model"),
        ({"features": {}}, "key features: list at least one"),
        ({"features": {'a"b': "numerical"}}, "'a\"b' is no identifier"),
        ({"features": {"tail": "blob"}}, "key features.tail: 'blob' is no kind; use"),
        ({"baseline": None}, "key baseline: give"),
        ({"baseline": {"first": "a while"}}, "key baseline: give"),
        ({"baseline": {"relation": "typo"}}, "key baseline.relation: 'typo'"),
        ({"baseline": {"from": "May", "to": "June"}}, "key baseline.from: 'May'"),
    ],
)
def test_a_wrong_block_is_told_in_a_sentence(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MonitorError, match="Monitor '") as raised:
        parse_monitors([BLOCK | changes], RELATIONS)
    assert message in str(raised.value)


def test_two_monitors_of_one_name_are_refused() -> None:
    with pytest.raises(MonitorError, match="it is there twice"):
        parse_monitors([BLOCK, BLOCK], RELATIONS)
