"""Evidently's default tests: parity with SciPy and with its reports, and nasty data."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from scipy import stats
from scipy.spatial import distance

from orchestration.evaluation import drift
from orchestration.evaluation.drift import (
    DATASET_COLUMN,
    Baseline,
    evaluate_drift,
    not_computable,
)
from orchestration.evaluation.multivariate import ALL_FEATURES
from orchestration.evaluation.results import Column, DriftResult

NUMBER = Column(name="number", role="feature", kind="numerical")
TEXT = Column(name="text", role="feature", kind="categorical")


def evaluated(
    current: dict[str, Any],
    baseline: dict[str, Any],
    columns: list[Column],
    *,
    minimum_sample_count: int = 50,
) -> dict[str, DriftResult]:
    results = evaluate_drift(
        pd.DataFrame(current),
        Baseline(pd.DataFrame(baseline), columns),
        minimum_sample_count=minimum_sample_count,
    )
    return {result.column_name: result for result in results}


def number_drift(current: Any, baseline: Any) -> DriftResult:
    return evaluated({"number": current}, {"number": baseline}, [NUMBER])["number"]


def text_drift(current: Any, baseline: Any) -> DriftResult:
    return evaluated(
        {"text": pd.Series(current, dtype=object)},
        {"text": pd.Series(baseline, dtype=object)},
        [TEXT],
    )["text"]


def shares(values: list[str], categories: list[str]) -> list[float]:
    return [values.count(category) / len(values) for category in categories]


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.4])
def test_large_baseline_numbers_get_the_wasserstein_distance_of_scipy(
    generator: Generator, shift: float
) -> None:
    baseline, current = generator.gamma(2, 3, 4000), generator.gamma(2, 3, 900) + shift

    result = number_drift(current, baseline)

    expected = stats.wasserstein_distance(baseline, current) / np.std(baseline)
    assert result.method == "wasserstein_normed"
    assert result.score == pytest.approx(expected, rel=1e-12)
    assert result.p_value is None
    assert result.threshold == 0.1
    assert result.is_drifted is bool(expected >= 0.1)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_small_baseline_numbers_get_the_p_value_of_scipys_ks(
    generator: Generator, shift: float
) -> None:
    baseline, current = generator.normal(0, 1, 1000), generator.normal(shift, 1, 300)

    result = number_drift(current, baseline)

    assert result.method == "ks"
    assert result.p_value == pytest.approx(stats.ks_2samp(baseline, current).pvalue)
    assert result.score is None
    assert result.threshold == 0.05
    assert result.is_drifted is (shift > 0)


def test_large_baseline_categories_get_the_jensen_shannon_distance_of_scipy(
    generator: Generator,
) -> None:
    categories = ["EWR", "JFK", "LGA", 'it\'s "quoted"', "🛫", " ", ""]
    baseline = generator.choice(categories[:5], 3000).tolist()
    current = generator.choice(categories, 800).tolist()

    result = text_drift(current, baseline)

    expected = distance.jensenshannon(
        shares(baseline, categories), shares(current, categories)
    )
    assert result.method == "jensen_shannon"
    assert result.score == pytest.approx(expected, rel=1e-12)
    assert result.is_drifted is True
    assert result.status == "warning"


def test_small_baseline_categories_get_the_p_value_of_scipys_chi_square(
    generator: Generator,
) -> None:
    categories = ["a", "b", "c"]
    baseline = generator.choice(categories, 600).tolist()
    current = generator.choice(categories, 200, p=[0.4, 0.4, 0.2]).tolist()

    result = text_drift(current, baseline)

    observed = [current.count(category) for category in categories]
    expected = [share * 200 for share in shares(baseline, categories)]
    assert result.method == "chi_squared"
    assert result.p_value == pytest.approx(stats.chisquare(observed, expected).pvalue)


def test_small_baseline_pairs_get_the_p_value_of_the_two_proportion_z_test(
    generator: Generator,
) -> None:
    baseline = generator.choice(["false", "true"], 500, p=[0.7, 0.3]).tolist()
    current = generator.choice(["false", "true"], 300, p=[0.6, 0.4]).tolist()

    result = text_drift(current, baseline)

    p_baseline, p_current = baseline.count("true") / 500, current.count("true") / 300
    pooled = (baseline.count("true") + current.count("true")) / 800
    z = (p_baseline - p_current) / math.sqrt(
        pooled * (1 - pooled) * (1 / 500 + 1 / 300)
    )
    assert result.method == "z_test"
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(z)))


@pytest.mark.parametrize("baseline_count", [900, 1500])
def test_every_result_is_the_one_of_evidentlys_own_report(
    generator: Generator, baseline_count: int
) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def frame(count: int, shift: float) -> pd.DataFrame:
        numbers = generator.normal(shift, 1, count)
        return pd.DataFrame(
            {
                "wide": np.where(numbers > 1.2, np.nan, numbers),
                "few": generator.integers(0, 4, count).astype(float),
                "pair": generator.integers(0, 2, count).astype(float),
                "skewed": generator.pareto(1.2, count),
                "text": generator.choice(list("abcdefgh"), count),
                "label": generator.choice(["true", "false"], count),
            }
        )

    numerical, categorical = ["wide", "few", "pair", "skewed"], ["text", "label"]
    baseline, current = frame(baseline_count, 0), frame(400, 0.3)
    columns = [
        *(Column(name=name, role="feature", kind="numerical") for name in numerical),
        *(
            Column(name=name, role="feature", kind="categorical")
            for name in categorical
        ),
    ]
    ours = {
        result.column_name: result
        for result in evaluate_drift(current, Baseline(baseline, columns))
    }
    definition = DataDefinition(
        numerical_columns=numerical, categorical_columns=categorical
    )
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, definition),
        Dataset.from_pandas(baseline, definition),
    )

    metrics = snapshot.dict()["metrics"]
    theirs = {
        metric["config"]["column"]: metric
        for metric in metrics
        if metric["config"]["type"].endswith("ValueDrift")
    }
    shared = next(
        metric
        for metric in metrics
        if "DriftedColumnsCount" in metric["config"]["type"]
    )
    assert theirs.keys() == ours.keys() - {DATASET_COLUMN, ALL_FEATURES}
    for name, metric in theirs.items():
        figure = ours[name].p_value if ours[name].score is None else ours[name].score
        assert figure == pytest.approx(float(metric["value"]), rel=1e-12), name
        assert ours[name].threshold == metric["config"]["threshold"]
    assert ours[DATASET_COLUMN].score == pytest.approx(shared["value"]["share"])


@given(
    baseline=st.lists(st.sampled_from("abcde"), min_size=60, max_size=90),
    repeats=st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_a_sample_like_its_baseline_never_drifts(
    baseline: list[str], repeats: int
) -> None:
    result = text_drift(baseline, baseline * repeats)

    assert result.status == ("ok" if len(set(baseline)) > 1 else "not_computable")
    assert result.is_drifted in (False, None)


def test_equal_categories_do_not_drift_where_scipy_takes_the_root_of_a_negative(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distance, "jensenshannon", lambda *_: float("nan"))

    result = text_drift(["a", "b"] * 50, ["a", "b"] * 1000)

    assert (result.score, result.is_drifted, result.status) == (0.0, False, "ok")


@pytest.mark.parametrize(
    ("current", "baseline", "reason"),
    [
        ([], [1.0, 2.0] * 40, "the window has no rows"),
        ([np.nan] * 60, [1.0, 2.0] * 40, "all 60 values of the window are missing"),
        ([1.0, 2.0] * 40, [None] * 70, "all 70 values of the baseline are missing"),
        ([1.0] * 49, [1.0, 2.0] * 40, "the window has 49 usable values, fewer than 50"),
        ([1.0, 2.0] * 40, [1.0] * 9, "the baseline has 9 usable values, fewer than 50"),
        ([3.0] * 60, [3.0] * 60, "nothing to compare: the same single value"),
        (["x"] * 60, [1.0, 2.0] * 40, "ValueError: could not convert string"),
    ],
)
def test_what_cannot_be_computed_says_why_and_is_never_ok(
    current: list[Any], baseline: list[Any], reason: str
) -> None:
    result = number_drift(
        pd.Series(current, dtype=object), pd.Series(baseline, dtype=object)
    )

    assert result.status == "not_computable"
    assert result.reason is not None
    assert result.reason.startswith(reason)
    assert (result.score, result.p_value, result.is_drifted) == (None, None, None)


def test_unusable_numbers_are_left_out_and_counted(generator: Generator) -> None:
    usable = generator.normal(0, 1, 300)
    unusable = [np.nan, np.inf, -np.inf, 1e101, -1e300]
    baseline = generator.normal(0, 1, 2000)

    result = number_drift([*usable, *unusable], baseline)

    assert result.sample_count == 300
    assert result.score == number_drift(usable, baseline).score
    assert result.reason == "5 of 305 values of the window are missing and left out"


def test_numbers_just_below_the_limit_are_taken() -> None:
    result = number_drift([1e99, -1e99] * 30, [1e99, -1e99] * 600)

    assert (result.status, result.sample_count) == ("ok", 60)


def test_a_constant_that_changed_is_drift() -> None:
    assert number_drift([4.0] * 60, [3.0] * 60).is_drifted is True
    assert number_drift([4.0] * 60, [3.0] * 2000).is_drifted is True
    assert text_drift(["b"] * 60, ["a"] * 60).is_drifted is True


def test_a_baseline_that_hardly_varies_is_said_to_be_the_unit() -> None:
    result = number_drift([0.0, 0.001] * 40 + [0.5], [0.0] * 2000)

    assert result.method == "jensen_shannon"
    result = number_drift([k / 1000 for k in range(90)], [0.0] * 2000)
    assert result.method == "wasserstein_normed"
    assert result.reason is not None
    assert "hardly varies" in result.reason


def test_an_unseen_category_has_p_zero(generator: Generator) -> None:
    result = text_drift(["a", "b", "new"] * 20, ["a", "b"] * 100)

    assert (result.method, result.p_value) == ("chi_squared", 0.0)


def test_a_failing_column_leaves_the_others_alone(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(choose: Callable[..., Any]) -> Callable[..., Any]:
        def test_of(baseline: Any, current: Any, kind: str) -> Any:
            if kind == "categorical":
                raise ZeroDivisionError("division by zero")
            return choose(baseline, current, kind)

        return test_of

    monkeypatch.setattr(drift, "_default_test", failing(drift._default_test))
    values = {"number": generator.normal(size=200), "text": ["a", "b"] * 100}

    results = evaluated(values, values, [NUMBER, TEXT])

    assert results["number"].status == "ok"
    assert results["text"].status == "not_computable"
    assert results["text"].reason == "baseline: ZeroDivisionError: division by zero"
    dataset = results[DATASET_COLUMN]
    assert dataset.score == 0.0
    assert dataset.reason == "0 of 1 columns drifted; 1 more could not be tested"


def test_a_missing_column_leaves_the_others_alone(generator: Generator) -> None:
    results = evaluated(
        {"number": generator.normal(size=200)},
        {"number": generator.normal(size=200), "text": ["a", "b"] * 100},
        [NUMBER, TEXT],
    )

    assert results["number"].status == "ok"
    assert results["text"].reason == "ValueError: the sample has no column text"
    # The method it has on other days, so that it stays in their series.
    assert results["text"].method == "z_test"


def test_the_dataset_drifts_when_half_of_its_columns_do(generator: Generator) -> None:
    columns = [
        Column(name="still", role="feature", kind="numerical"),
        Column(name="moved", role="prediction", kind="numerical"),
        Column(name="actual", role="actual", kind="numerical"),
    ]
    baseline = {
        name: generator.normal(size=900) for name in ("still", "moved", "actual")
    }
    current = {
        "still": baseline["still"],
        "moved": baseline["moved"] + 3,
        "actual": baseline["actual"] + 3,
    }

    dataset = evaluated(current, baseline, columns)[DATASET_COLUMN]

    # Labels arrive later: with them the share would change by itself.
    assert dataset.score == 0.5
    assert (dataset.is_drifted, dataset.status) == (True, "warning")
    assert (dataset.sample_count, dataset.baseline_sample_count) == (900, 900)
    assert (dataset.role, dataset.method) == ("dataset", "drifted_share")


def test_a_dataset_without_a_computable_column_is_not_computable() -> None:
    dataset = evaluated({"number": []}, {"number": [1.0] * 60}, [NUMBER])[
        DATASET_COLUMN
    ]

    assert dataset.status == "not_computable"
    assert dataset.reason == (
        "none of 1 columns could be tested; mostly: the window has no rows"
    )


def test_a_window_that_failed_has_a_result_for_every_column() -> None:
    results = not_computable([NUMBER, TEXT], reason="no such table")

    assert [(result.column_name, result.method) for result in results] == [
        ("number", "default"),
        ("text", "default"),
        ("(all features)", "domain_classifier"),
        ("(all features)", "pca_reconstruction"),
        ("(dataset)", "drifted_share"),
    ]
    assert {result.status for result in results} == {"not_computable"}
    assert {result.reason for result in results} == {"no such table"}
