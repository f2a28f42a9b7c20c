"""Drift of all features together, that no column shows by itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from scipy import stats
from sklearn.decomposition import PCA

from orchestration.evaluation.drift import Baseline, evaluate_drift
from orchestration.evaluation.methods import EvidentlySettings
from orchestration.evaluation.multivariate import Features
from orchestration.evaluation.results import Column, DriftResult

COLUMNS = [
    Column(name="left", role="feature", kind="numerical"),
    Column(name="right", role="feature", kind="numerical"),
    Column(name="third", role="feature", kind="numerical"),
    Column(name="group", role="feature", kind="categorical"),
    Column(name="prediction", role="prediction", kind="numerical"),
]


def frame(
    generator: Generator, count: int, *, correlation: float = 0.9
) -> pd.DataFrame:
    covariance = np.array([[1, correlation, 0], [correlation, 1, 0], [0, 0, 1]])
    numbers = generator.multivariate_normal(np.zeros(3), covariance, count)
    return pd.DataFrame(
        {
            "left": numbers[:, 0],
            "right": numbers[:, 1],
            "third": numbers[:, 2],
            "group": generator.choice(["a", "b", "c"], count),
            "prediction": generator.normal(size=count),
        }
    )


def evaluated(
    current: pd.DataFrame, baseline: pd.DataFrame, **settings: object
) -> dict[str, DriftResult]:
    chosen = replace(EvidentlySettings(), **settings)  # type: ignore[arg-type]
    results = evaluate_drift(current, Baseline(baseline, COLUMNS, settings=chosen))
    return {
        result.method if result.role == "features" else result.column_name: result
        for result in results
    }


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(5)


def test_a_broken_correlation_that_no_column_shows_is_caught(
    generator: Generator,
) -> None:
    baseline = frame(generator, 4000)

    results = evaluated(frame(generator, 1500, correlation=-0.9), baseline)

    for column in COLUMNS:
        assert results[column.name].is_drifted is False, column.name
    assert results["(dataset)"].is_drifted is False
    classifier = results["domain_classifier"]
    assert classifier.is_drifted is True
    assert classifier.score is not None
    assert classifier.score > 0.85
    assert classifier.p_value == pytest.approx(0, abs=1e-12)
    # The two that tell the windows apart, and not the others.
    assert classifier.reason is not None
    assert classifier.reason.startswith("told apart by ")
    assert {"left", "right"} <= set(classifier.reason.replace(",", "").split())
    assert "third" not in classifier.reason
    assert results["pca_reconstruction"].is_drifted is True
    assert {result.column_name for result in results.values()} >= {"(all features)"}


def test_columns_that_tell_the_windows_apart_are_ranked(generator: Generator) -> None:
    baseline, current = frame(generator, 3000), frame(generator, 1500)
    current["third"] += 3
    current.loc[current.index[:300], "group"] = "new"

    reason = evaluated(current, baseline)["domain_classifier"].reason

    assert reason is not None
    assert reason.index("third") < reason.index("group")


def test_a_surge_of_nulls_tells_the_windows_apart(generator: Generator) -> None:
    baseline, current = frame(generator, 2000), frame(generator, 2000)
    current.loc[current.index[::2], "third"] = np.nan

    results = evaluated(current, baseline)

    # The tests of columns leave nulls out, and say so.
    assert results["third"].is_drifted is False
    assert "1000 of 2000 values of the window are missing" in str(
        results["third"].reason
    )
    assert results["domain_classifier"].is_drifted is True


@pytest.mark.parametrize("method", ["domain_classifier", "pca_reconstruction"])
def test_without_drift_about_one_window_in_a_hundred_alarms(method: str) -> None:
    generator = np.random.default_rng(1)
    alarms = 0
    p_values = []
    baseline = Features(frame(generator, 1500), COLUMNS)

    for _ in range(40):
        tested = baseline.tested(method, frame(generator, 300), threshold=1e-9)
        alarms += tested.is_drifted
        p_values.append(tested.p_value)

    assert alarms <= 2
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_the_classifiers_null_distribution_is_that_of_mann_and_whitney(
    generator: Generator,
) -> None:
    tested = Features(frame(generator, 2000), COLUMNS).tested(
        "domain_classifier", frame(generator, 600), threshold=0.55
    )

    assert tested.score is not None
    n, m = 300, 1000
    error = np.sqrt((n + m + 1) / (12 * n * m))
    assert (tested.sample_count, tested.baseline_sample_count) == (600, 2000)
    assert tested.threshold == pytest.approx(max(0.55, 0.5 + 2.32635 * error))
    assert tested.p_value == pytest.approx(stats.norm.sf((tested.score - 0.5) / error))


def test_the_components_are_those_of_scikit_learn(generator: Generator) -> None:
    columns = COLUMNS[:3]
    baseline, current = frame(generator, 1000), frame(generator, 500)
    features = Features(baseline, columns)

    names = [column.name for column in columns]
    order = np.random.default_rng(0).permutation(1000)
    numbers = baseline[names].to_numpy()[order]
    mean, spread = numbers.mean(axis=0), numbers.std(axis=0)
    fitted = PCA(n_components=0.65, svd_solver="full").fit(
        (numbers[:500] - mean) / spread
    )
    rows = (current[names].to_numpy() - mean) / spread
    rebuilt = fitted.inverse_transform(fitted.transform(rows))

    assert features.component_count == fitted.n_components_
    assert features.errors(current) == pytest.approx(
        np.linalg.norm(rows - rebuilt, axis=1)
    )


def test_equal_rows_give_equal_results_whatever_came_before(
    generator: Generator,
) -> None:
    baseline, current = frame(generator, 3000), frame(generator, 3000)

    first = evaluated(current, baseline)
    np.random.seed(99)

    assert evaluated(current, baseline) == first


@pytest.mark.parametrize(
    ("count", "columns", "reason"),
    [
        (99, COLUMNS, "the window has 99 rows, fewer than 100"),
        (200, COLUMNS[:1], "baseline: fewer than two features to look at together"),
    ],
)
def test_what_cannot_be_computed_says_why(
    generator: Generator, count: int, columns: list[Column], reason: str
) -> None:
    results = evaluate_drift(
        frame(generator, count), Baseline(frame(generator, 500), columns)
    )

    for result in results:
        if result.role == "features":
            assert (result.status, result.reason) == ("not_computable", reason)
            assert (result.score, result.p_value, result.is_drifted) == (None,) * 3


def test_features_that_do_not_vary_are_no_failure(generator: Generator) -> None:
    baseline, current = frame(generator, 500), frame(generator, 500)
    for side in (baseline, current):
        side["third"] = 7.0

    results = evaluated(current, baseline)

    assert results["domain_classifier"].status == "ok"
    assert results["pca_reconstruction"].status == "ok"


def test_two_features_are_never_rebuilt_whole(generator: Generator) -> None:
    columns = [COLUMNS[0], COLUMNS[2]]
    features = Features(frame(generator, 1000), columns)

    # Each explains a half, so that one component is not 65 %.
    assert features.component_count == 1
    tested = features.tested("pca_reconstruction", frame(generator, 500), threshold=0.2)
    assert tested.is_drifted is False


def test_what_is_rebuilt_whole_cannot_be_compared(generator: Generator) -> None:
    baseline = frame(generator, 500)
    baseline["right"] = 2 * baseline["left"]
    results = evaluate_drift(baseline, Baseline(baseline, COLUMNS[:2]))

    (result,) = (each for each in results if each.method == "pca_reconstruction")
    assert result.reason == "the components rebuild every row of the baseline"


def test_many_categories_and_unseen_ones_are_taken(generator: Generator) -> None:
    baseline, current = frame(generator, 3000), frame(generator, 1000)
    baseline["group"] = [f"user-{n}" for n in generator.integers(0, 1500, 3000)]
    current["group"] = [f"user-{n}" for n in generator.integers(2000, 3000, 1000)]

    classifier = evaluated(current, baseline)["domain_classifier"]

    assert classifier.score == pytest.approx(1, abs=0.01)
    assert "group" in str(classifier.reason)


def test_methods_are_chosen_and_so_are_their_thresholds(generator: Generator) -> None:
    baseline, current = frame(generator, 2000), frame(generator, 2000)
    current["third"] += 1

    results = evaluated(
        current,
        baseline,
        multivariate=("domain_classifier",),
        thresholds={"domain_classifier": 0.95},
    )

    assert "pca_reconstruction" not in results
    assert results["domain_classifier"].threshold == 0.95
    assert results["domain_classifier"].is_drifted is False
