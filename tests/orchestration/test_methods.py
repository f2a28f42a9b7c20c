"""Every test of Evidently that can be chosen: as SciPy has it, where SciPy has it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from scipy import stats

from orchestration.evaluation.drift import Baseline, evaluate_drift
from orchestration.evaluation.methods import METHODS, Choice, EvidentlySettings
from orchestration.evaluation.results import Column, DriftResult, Kind
from orchestration.evaluation.values import thinned

CHOOSABLE = [
    (name, kind)
    for name, method in METHODS.items()
    for kind in method.kinds
    if kind in ("numerical", "categorical")
]


GOLDEN = {
    "ks": 0.005536638845377594,
    "wasserstein_normed": 0.3438122572085937,
    "psi": 1.2594407943141994,
    "jensen_shannon": 0.2531674992301034,
    "hellinger": 0.30397528217009795,
}


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(11)


def by_method(
    method: str,
    current: Any,
    baseline: Any,
    *,
    kind: Kind = "numerical",
    threshold: float | None = None,
) -> DriftResult:
    column = Column(name="x", role="feature", kind=kind)
    settings = EvidentlySettings(
        columns={"x": Choice(method=method, threshold=threshold)}, multivariate=()
    )
    dtype = object if kind == "categorical" else float
    return evaluate_drift(
        pd.DataFrame({"x": pd.Series(current, dtype=dtype)}),
        Baseline(
            pd.DataFrame({"x": pd.Series(baseline, dtype=dtype)}),
            [column],
            settings=settings,
        ),
    )[0]


def test_the_methods_are_evidentlys_with_its_thresholds() -> None:
    from evidently.legacy.calculations.stattests import (
        registry,
    )

    theirs = {
        name: (
            {
                {"num": "numerical", "cat": "categorical", "text": "text"}[kind.value]
                for kind in by_kind
            },
            next(iter(by_kind.values())).default_threshold,
        )
        for name, by_kind in registry._registered_stat_tests.items()
    }
    ours = {
        method.test: (set(method.kinds), method.threshold)
        for method in METHODS.values()
        if "embedding" not in method.kinds
    }

    assert ours == theirs


NUMERICAL: list[tuple[str, Callable[[Any, Any], float]]] = [
    ("ks", lambda b, c: stats.ks_2samp(b, c).pvalue),
    ("wasserstein_normed", lambda b, c: stats.wasserstein_distance(b, c) / np.std(b)),
    ("energy_distance", stats.energy_distance),
    ("cramer_von_mises", lambda b, c: stats.cramervonmises_2samp(b, c).pvalue),
    ("epps_singleton", lambda b, c: stats.epps_singleton_2samp(b, c).pvalue),
    ("mann_whitney", lambda b, c: stats.mannwhitneyu(b, c, alternative="less").pvalue),
    ("t_test", lambda b, c: stats.ttest_ind(b, c).pvalue),
]


@pytest.mark.parametrize(
    ("method", "scipys"), NUMERICAL, ids=[method for method, _ in NUMERICAL]
)
@pytest.mark.parametrize("shift", [0.0, 0.15])
def test_numbers_by_scipy(
    method: str, scipys: Callable[[Any, Any], float], shift: float, generator: Generator
) -> None:
    baseline, current = generator.normal(0, 2, 1500), generator.normal(shift, 2, 400)

    result = by_method(method, current, baseline)

    found = result.p_value if METHODS[method].is_p_value else result.score
    assert result.method == method
    assert found == pytest.approx(scipys(baseline, current), rel=1e-9)
    assert (result.score is None) == METHODS[method].is_p_value
    assert result.threshold == METHODS[method].threshold


def test_anderson_darling_by_scipy(generator: Generator) -> None:
    baseline, current = generator.normal(0, 2, 900), generator.normal(0.3, 2, 400)

    result = by_method("anderson_darling", current, baseline)

    # Its p-values stand in a table from 0.001 to 0.25.
    scipys = stats.anderson_ksamp([baseline, current], variant="midrank")
    assert result.p_value == pytest.approx(scipys.pvalue)


@pytest.mark.parametrize("method", ["kullback_leibler", "psi", "hellinger"])
def test_distances_of_categories_by_hand(method: str) -> None:
    baseline, current = ["a"] * 600 + ["b"] * 400, ["a"] * 100 + ["b"] * 150

    result = by_method(method, current, baseline, kind="categorical")

    p, q = (0.6, 0.4), (0.4, 0.6)
    expected = {
        "kullback_leibler": float(stats.entropy(p, q)),
        "psi": sum((x - y) * math.log(x / y) for x, y in zip(p, q, strict=True)),
        "hellinger": math.sqrt(
            1 - sum(math.sqrt(x * y) for x, y in zip(p, q, strict=True))
        ),
    }[method]
    assert result.score == pytest.approx(expected, rel=1e-9)
    assert result.is_drifted is (expected >= 0.1)


@pytest.mark.parametrize("method", ["fisher_exact", "g_test"])
def test_tests_of_equal_sizes_are_given_equal_sizes(
    method: str, generator: Generator
) -> None:
    baseline = generator.choice(["no", "yes"], 1200, p=[0.7, 0.3])
    current = generator.choice(["no", "yes"], 300, p=[0.5, 0.5])

    result = by_method(method, current, baseline, kind="categorical")

    kept = thinned(pd.Series(baseline, dtype=object), 300)
    before, now = int((kept == "yes").sum()), int((current == "yes").sum())
    expected = (
        stats.fisher_exact([[now, 300 - now], [before, 300 - before]]).pvalue
        if method == "fisher_exact"
        else stats.power_divergence(
            [300 - now, now], [300 - before, before], lambda_="log-likelihood"
        ).pvalue
    )
    assert (result.sample_count, result.baseline_sample_count) == (300, 300)
    assert result.p_value == pytest.approx(expected)
    assert result.is_drifted is True


@pytest.mark.parametrize(("method", "kind"), CHOOSABLE)
def test_every_method_finds_a_great_shift_and_none_in_the_same_rows(
    method: str, kind: Kind, generator: Generator
) -> None:
    values: dict[str, tuple[Any, Any]] = {
        "numerical": (generator.normal(0, 1, 400), generator.normal(1.5, 1, 400)),
        "categorical": (
            generator.choice(["a", "b"], 400, p=[0.5, 0.5]),
            generator.choice(["a", "b"], 400, p=[0.9, 0.1]),
        ),
    }
    baseline, current = values[kind]

    moved = by_method(method, current, baseline, kind=kind)
    still = by_method(method, baseline, baseline, kind=kind)

    assert (moved.is_drifted, moved.status) == (True, "warning")
    assert (still.is_drifted, still.status) == (False, "ok")
    # Those that permute draw the same permutations each time.
    assert by_method(method, current, baseline, kind=kind) == moved


def test_what_grows_with_the_square_takes_few_rows(generator: Generator) -> None:
    baseline, current = generator.normal(size=60_000), generator.normal(size=50_000)

    result = by_method("empirical_mmd", current, baseline)

    assert (result.sample_count, result.baseline_sample_count) == (500, 500)


def test_a_threshold_of_ones_own_decides(generator: Generator) -> None:
    baseline, current = generator.normal(0, 1, 2000), generator.normal(0.2, 1, 2000)

    strict = by_method("wasserstein_normed", current, baseline, threshold=0.05)
    lenient = by_method("wasserstein_normed", current, baseline, threshold=0.5)

    assert strict.score == lenient.score
    assert (strict.is_drifted, lenient.is_drifted) == (True, False)
    assert (strict.threshold, lenient.threshold) == (0.05, 0.5)


def test_a_threshold_by_method_counts_where_evidently_chooses(
    generator: Generator,
) -> None:
    column = Column(name="x", role="feature", kind="numerical")
    settings = EvidentlySettings(thresholds={"wasserstein_normed": 0.5})
    baseline = Baseline(
        pd.DataFrame({"x": generator.normal(0, 1, 2000)}), [column], settings=settings
    )

    result = evaluate_drift(
        pd.DataFrame({"x": generator.normal(0.2, 1, 500)}), baseline
    )[0]

    assert (result.method, result.threshold) == ("wasserstein_normed", 0.5)
    assert result.is_drifted is False


def test_a_test_that_takes_no_such_data_says_so() -> None:
    result = by_method(
        "fisher_exact", ["a", "b", "c"] * 30, ["a", "b"] * 50, kind="categorical"
    )

    assert result.status == "not_computable"
    assert result.method == "fisher_exact"
    assert result.reason is not None
    assert "Expects binary data" in result.reason


def test_golden_results_for_known_shifts() -> None:
    """Computed once by Evidently 0.7.23: a release that changes them is to be seen."""
    baseline = np.linspace(0, 1, 1001)[:-1]
    found = {
        method: by_method(method, np.linspace(0.1, 1.1, 401)[:-1], baseline)
        for method in ("ks", "wasserstein_normed", "psi", "jensen_shannon", "hellinger")
    }

    figures = {
        name: result.p_value if result.score is None else result.score
        for name, result in found.items()
    }
    assert figures == pytest.approx(GOLDEN, rel=1e-6)
