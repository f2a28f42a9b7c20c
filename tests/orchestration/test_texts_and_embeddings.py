"""Drift of texts and vectors: as Evidently's, and what is left out."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from scipy import stats
from scipy.spatial import distance

from orchestration.evaluation.drift import Baseline, evaluate_drift
from orchestration.evaluation.methods import METHODS, Choice, EvidentlySettings
from orchestration.evaluation.results import Column, DriftResult

REVIEW = Column(name="review", role="feature", kind="text")
VECTOR = Column(name="vector", role="feature", kind="embedding")
USUAL = ["good", "fine", "nice", "great", "shoes", "shirt", "size", "colour", "soon"]
LATER = ["broken", "late", "refund", "awful", "torn", "missing", "wrong", "rude"]


@pytest.fixture
def generator() -> Generator:
    return np.random.default_rng(3)


def texts(
    generator: Generator, count: int, words: list[str] | None = None, length: int = 6
) -> "pd.Series[Any]":
    return pd.Series(
        [" ".join(generator.choice(words or USUAL, length)) for _ in range(count)],
        dtype=object,
    )


def vectors(generator: Generator, count: int, *, shift: float = 0.0) -> list[Any]:
    rows = generator.normal(shift, 1, (count, 16)).astype(np.float32)
    return list(rows)


def evaluated(
    current: Any, baseline: Any, column: Column, **choice: Any
) -> dict[str, DriftResult]:
    settings = EvidentlySettings(
        columns={column.name: Choice(**choice)}, multivariate=()
    )
    results = evaluate_drift(
        pd.DataFrame({column.name: pd.Series(current, dtype=object)}),
        Baseline(
            pd.DataFrame({column.name: pd.Series(baseline, dtype=object)}),
            [column],
            settings=settings,
        ),
    )
    return {result.column_name: result for result in results}


@pytest.mark.parametrize("count", [400, 1200])
@pytest.mark.parametrize("words", [USUAL, LATER])
def test_texts_are_judged_as_evidently_judges_them(
    generator: Generator, count: int, words: list[str]
) -> None:
    from evidently.legacy.calculations.stattests import (
        get_stattest,
    )

    # Of few texts Evidently's fixed threshold makes too much.
    baseline, current = texts(generator, count), texts(generator, count, words)

    result = evaluated(current, baseline, REVIEW)["review"]

    test = get_stattest(baseline, current, "text", None)
    theirs = test(baseline, current, "text", None)
    assert METHODS[result.method].test == test.name
    assert result.score == pytest.approx(theirs.drift_score)
    assert result.is_drifted is bool(theirs.drifted) is (words is LATER)
    # The percentile of guessing classifiers is an area, so that the score exceeds it.
    assert result.threshold is not None
    assert 0.5 < result.threshold < 0.6


def test_longer_texts_are_seen_by_their_length(generator: Generator) -> None:
    words = [*USUAL, *LATER]
    results = evaluated(
        texts(generator, 300, words, length=12), texts(generator, 1200, words), REVIEW
    )

    length = results["review (length)"]
    assert length.method == "wasserstein_normed"
    assert length.is_drifted is True
    assert results["review (out of vocabulary)"].is_drifted is None
    # Descriptors are no columns of the dataset.
    assert str(results["(dataset)"].reason).endswith("of 1 columns drifted")


def test_new_words_are_seen_by_their_share(generator: Generator) -> None:
    baseline = texts(generator, 1200)
    # A few words that only one text has, so that the baseline's share is not constant.
    baseline.iloc[::40] = [f"good word{number}" for number in range(30)]

    def share(current: Any) -> DriftResult:
        return evaluated(current, baseline, REVIEW)["review (out of vocabulary)"]

    assert share(texts(generator, 300, [*USUAL, *LATER])).is_drifted is True
    usual = texts(generator, 400)
    usual.iloc[::80] = "fine unheard"
    assert share(usual).is_drifted is False


def test_sentiment_needs_a_lexicon_that_is_here(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(nltk, "download", refuse)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    baseline, current = texts(generator, 1200), texts(generator, 300, ["awful", "good"])
    assert "review (sentiment)" not in evaluated(current, baseline, REVIEW)

    (tmp_path / "sentiment").mkdir()
    with zipfile.ZipFile(tmp_path / "sentiment" / "vader_lexicon.zip", "w") as archive:
        archive.writestr(
            "vader_lexicon/vader_lexicon.txt", "good\t1.9\t0.9\t[]\nawful\t-2\t1\t[]"
        )

    assert evaluated(current, baseline, REVIEW)["review (sentiment)"].is_drifted is True


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        ([None] * 60, "all 60 values of the window are missing"),
        (["a"] * 20, "the window has 20 usable values, fewer than 50"),
        (["of the"] * 60, "ValueError: "),
    ],
)
def test_texts_that_cannot_be_judged_say_why(current: list[Any], reason: str) -> None:
    results = evaluated(current, ["of the"] * 59 + ["and"], REVIEW)

    assert results["review"].status == "not_computable"
    assert str(results["review"].reason).startswith(reason)
    assert results["review"].method == "text_classifier_percentile"


def test_a_null_text_is_counted(generator: Generator) -> None:
    current = texts(generator, 300)
    current.iloc[:10] = None

    result = evaluated(current, texts(generator, 400), REVIEW)["review"]

    assert result.sample_count == 290
    assert str(result.reason).startswith("10 of 300 values of the window are missing")


EMBEDDING_METHODS = [
    name for name, method in METHODS.items() if "embedding" in method.kinds
]


@pytest.mark.parametrize("method", EMBEDDING_METHODS)
def test_every_method_finds_a_great_shift_of_vectors(
    method: str, generator: Generator
) -> None:
    baseline = vectors(generator, 1200, shift=0.5)
    moved = vectors(generator, 400, shift=-0.5)
    still = vectors(generator, 400, shift=0.5)

    found = evaluated(moved, baseline, VECTOR, method=method)["vector"]

    assert (found.is_drifted, found.method) == (True, method)
    limit = 0.3 if method in ("cityblock", "euclidean") else None
    limit = 1.5 if method == "cityblock" else limit
    quiet = evaluated(still, baseline, VECTOR, method=method, threshold=limit)["vector"]
    assert quiet.is_drifted is False
    assert evaluated(moved, baseline, VECTOR, method=method)["vector"] == found


@pytest.mark.parametrize("method", ["euclidean", "cosine", "cityblock", "chebyshev"])
def test_distances_of_vectors_are_scipys_of_the_means(
    method: str, generator: Generator
) -> None:
    baseline, current = vectors(generator, 700), vectors(generator, 300, shift=0.1)

    result = evaluated(current, baseline, VECTOR, method=method)["vector"]

    means = [
        np.mean(np.stack(side), axis=0, dtype=np.float64)
        for side in (baseline, current)
    ]
    assert result.score == pytest.approx(getattr(distance, method)(*means), rel=1e-6)


def test_the_share_of_drifted_components_is_counted(generator: Generator) -> None:
    baseline, current = vectors(generator, 1500), vectors(generator, 800)
    for vector in current:
        vector[:4] += 2

    result = evaluated(current, baseline, VECTOR, method="embedding_ratio")["vector"]

    columns = [
        stats.wasserstein_distance(before, now) / np.std(before) >= 0.1
        for before, now in zip(np.stack(baseline).T, np.stack(current).T, strict=True)
    ]
    assert result.score == pytest.approx(np.mean(columns))


def test_few_vectors_are_held_against_guessing(generator: Generator) -> None:
    baseline, current = vectors(generator, 120), vectors(generator, 60)

    result = evaluated(current, baseline, VECTOR)["vector"]

    assert result.method == "embedding_classifier"
    assert result.threshold is not None
    assert result.threshold > 0.55
    assert result.is_drifted is (
        result.score is not None and result.score > result.threshold
    )


def test_vectors_that_are_none_are_left_out_and_counted(generator: Generator) -> None:
    baseline, current = vectors(generator, 400), vectors(generator, 100)
    current[:4] = [
        None,
        np.ones(3, dtype=np.float32),
        np.full(16, np.nan, dtype=np.float32),
        np.empty(0, dtype=np.float32),
    ]

    result = evaluated(current, baseline, VECTOR)["vector"]

    assert result.sample_count == 96
    assert result.reason == (
        "4 of 100 values of the window are missing and left out "
        "(1 of other than 16 dimensions)"
    )


def test_invalid_vectors_do_not_decide_what_a_vector_is(generator: Generator) -> None:
    # What the staging macro makes of JSON that is no array of numbers.
    invalid = [np.array([np.nan], dtype=np.float32)] * 300

    result = evaluated(
        [*vectors(generator, 100), *invalid],
        [*vectors(generator, 200), *invalid],
        VECTOR,
    )["vector"]

    assert (result.sample_count, result.baseline_sample_count) == (100, 200)


def test_vectors_of_another_model_cannot_be_compared(generator: Generator) -> None:
    other = [np.ones(8, dtype=np.float32)] * 100

    result = evaluated(other, vectors(generator, 400), VECTOR)["vector"]

    assert result.status == "not_computable"
    assert result.reason == (
        "all 100 values of the window are missing: 100 of other than 16 dimensions"
    )


def test_a_constant_vector_is_nothing_to_compare(generator: Generator) -> None:
    same = [np.ones(4, dtype=np.float32)] * 100

    result = evaluated(same, same, VECTOR)["vector"]

    assert str(result.reason).startswith("nothing to compare")
