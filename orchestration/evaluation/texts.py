"""Drift of texts: a classifier that tells the windows apart, and descriptors.

The classifier is Evidently's: TF-IDF of the words, a linear model fitted to half of the
texts, and the area under its curve over the other half.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestration.evaluation.results import Tested
from orchestration.evaluation.values import Values, thinned

# Texts of each side that the classifier takes at most.
CLASSIFIED_LIMIT = 5000

# Above so many baseline texts Evidently judges by the area alone.
_PERCENTILE_LIMIT = 1000

_WORD = re.compile(r"\w+")


def usual_text_method(baseline: Values) -> str:
    """What Evidently chooses by default: by the size of the baseline."""
    few = baseline.count <= _PERCENTILE_LIMIT
    return "text_classifier_percentile" if few else "text_classifier"


def tested_texts(
    current: Values, baseline: Values, *, method: str, threshold: float
) -> Tested:
    """Evidently's text drift: the area under the classifier's curve.

    By ``text_classifier`` it is drift above the ``threshold``; by
    ``text_classifier_percentile`` above that percentile (0 to 1) of classifiers that
    guess, of which the result's threshold is the area.
    """
    from evidently.legacy.utils.data_drift_utils import (
        roc_auc_domain_classifier,
        roc_auc_random_classifier_percentile,
    )
    from sklearn.model_selection import train_test_split

    reference = thinned(baseline.usable, CLASSIFIED_LIMIT)
    window = thinned(current.usable, CLASSIFIED_LIMIT)
    # As Evidently splits them.
    train, test, train_side, test_side = train_test_split(
        pd.concat([reference, window], ignore_index=True),
        pd.Series(np.repeat([0, 1], [len(reference), len(window)])),
        test_size=0.5,
        random_state=42,
        shuffle=True,
    )
    area = float(roc_auc_domain_classifier(train, test, train_side, test_side)[0])
    if method == "text_classifier_percentile":
        threshold = float(
            roc_auc_random_classifier_percentile(test_side, p_value=1 - threshold)
        )
    return Tested(
        score=area,
        p_value=None,
        threshold=threshold,
        is_drifted=area > threshold,
        sample_count=len(window),
        baseline_sample_count=len(reference),
    )


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """A number of each text: its name, the baseline's numbers, and how to get it."""

    name: str
    baseline: Values
    of_text: Callable[[str], float]

    def values(self, texts: Values) -> Values:
        """The numbers of some texts."""
        return _numbers(self.of_text, texts.usable, texts.missing_count)


def descriptors(baseline: Values) -> tuple[Descriptor, ...]:
    """The descriptors of a column, made ready once with its baseline.

    Length in characters; the share of words out of the baseline's vocabulary; and, if
    NLTK finds its lexicon without a download, sentiment from -1 to 1. One half of the
    baseline's texts makes the vocabulary, the other half shows what share is usual.
    """
    order = np.random.default_rng(0).permutation(baseline.count)
    half = baseline.count // 2
    known = baseline.usable.iloc[order[:half]]
    vocabulary = {word for text in known for word in _words(text)}

    def unknown_share(text: str) -> float:
        words = _words(text)
        if not words:
            return 0.0
        return sum(word not in vocabulary for word in words) / len(words)

    found = [
        Descriptor(
            name="length",
            baseline=_numbers(_length, baseline.usable, baseline.missing_count),
            of_text=_length,
        ),
        Descriptor(
            name="out of vocabulary",
            baseline=_numbers(
                unknown_share,
                baseline.usable.iloc[np.sort(order[half:])],
                baseline.missing_count,
            ),
            of_text=unknown_share,
        ),
    ]
    sentiment = _sentiment()
    if sentiment is not None:
        found.append(
            Descriptor(
                name="sentiment",
                baseline=_numbers(sentiment, baseline.usable, baseline.missing_count),
                of_text=sentiment,
            )
        )
    return tuple(found)


def _numbers(
    of_text: Callable[[str], float], texts: "pd.Series[Any]", missing_count: int
) -> Values:
    numbers = np.fromiter((of_text(text) for text in texts), np.float64, len(texts))
    return Values(usable=pd.Series(numbers), missing_count=missing_count)


def _length(text: str) -> float:
    return float(len(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _sentiment() -> Callable[[str], float] | None:
    """VADER's compound score, which Evidently takes too, if its lexicon is here."""
    import nltk
    from nltk.sentiment.vader import (
        SentimentIntensityAnalyzer,
    )

    try:
        nltk.data.find("sentiment/vader_lexicon.zip")
    except LookupError:
        return None
    analyzer = SentimentIntensityAnalyzer()
    return lambda text: float(analyzer.polarity_scores(text)["compound"])
