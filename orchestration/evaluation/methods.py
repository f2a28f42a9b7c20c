"""Evidently's drift tests by our names, and which of them a monitor chooses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestration.evaluation.results import Kind

DATASET_METHOD = "drifted_share"
DOMAIN_CLASSIFIER = "domain_classifier"
PCA_RECONSTRUCTION = "pca_reconstruction"

# What looks at all numerical and categorical features together, and the score above
# which it counts as drift: Evidently's own for the area under a classifier's curve, and
# Cohen's small effect (Statistical Power Analysis, 1988).
MULTIVARIATE: Mapping[str, float] = {DOMAIN_CLASSIFIER: 0.55, PCA_RECONSTRUCTION: 0.2}

# Evidently's own default for dataset drift.
DRIFTED_SHARE_THRESHOLD = 0.5

# The method of a column for which Evidently had nothing to choose by.
NO_METHOD = "default"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A drift test of Evidently.

    ``test`` is its registered name, or that of its method for embeddings. ``row_limit``
    bounds tests whose time or memory grows with the square of the rows, and
    ``equal_sizes`` marks those that take no others.
    """

    test: str
    kinds: tuple[Kind, ...]
    threshold: float
    is_p_value: bool = False
    row_limit: int | None = None
    equal_sizes: bool = False


_NUMERICAL: tuple[Kind, ...] = ("numerical",)
_CATEGORICAL: tuple[Kind, ...] = ("categorical",)
_BOTH: tuple[Kind, ...] = ("numerical", "categorical")
_TEXT: tuple[Kind, ...] = ("text",)
_EMBEDDING: tuple[Kind, ...] = ("embedding",)

# Thresholds are Evidently's defaults; a test of ours holds them against its registry.
METHODS: Mapping[str, Method] = {
    "ks": Method(test="ks", kinds=_NUMERICAL, threshold=0.05, is_p_value=True),
    "wasserstein_normed": Method(test="wasserstein", kinds=_NUMERICAL, threshold=0.1),
    "energy_distance": Method(test="ed", kinds=_NUMERICAL, threshold=0.1),
    "anderson_darling": Method(
        test="anderson", kinds=_NUMERICAL, threshold=0.1, is_p_value=True
    ),
    "cramer_von_mises": Method(
        test="cramer_von_mises", kinds=_NUMERICAL, threshold=0.1, is_p_value=True
    ),
    "epps_singleton": Method(
        test="es", kinds=_NUMERICAL, threshold=0.05, is_p_value=True
    ),
    "mann_whitney": Method(
        test="mannw", kinds=_NUMERICAL, threshold=0.05, is_p_value=True
    ),
    "t_test": Method(test="t_test", kinds=_NUMERICAL, threshold=0.05, is_p_value=True),
    "empirical_mmd": Method(
        test="empirical_mmd",
        kinds=_NUMERICAL,
        threshold=0.1,
        is_p_value=True,
        row_limit=500,
    ),
    "jensen_shannon": Method(test="jensenshannon", kinds=_BOTH, threshold=0.1),
    "kullback_leibler": Method(test="kl_div", kinds=_BOTH, threshold=0.1),
    "hellinger": Method(test="hellinger", kinds=_BOTH, threshold=0.1),
    "psi": Method(test="psi", kinds=_BOTH, threshold=0.1),
    "chi_squared": Method(
        test="chisquare", kinds=_CATEGORICAL, threshold=0.05, is_p_value=True
    ),
    "z_test": Method(test="z", kinds=_CATEGORICAL, threshold=0.05, is_p_value=True),
    "fisher_exact": Method(
        test="fisher_exact",
        kinds=_CATEGORICAL,
        threshold=0.1,
        is_p_value=True,
        equal_sizes=True,
    ),
    "g_test": Method(
        test="g_test",
        kinds=_CATEGORICAL,
        threshold=0.1,
        is_p_value=True,
        equal_sizes=True,
    ),
    "total_variation": Method(
        test="TVD",
        kinds=_CATEGORICAL,
        threshold=0.1,
        is_p_value=True,
        row_limit=500,
    ),
    "text_classifier": Method(
        test="abs_text_content_drift", kinds=_TEXT, threshold=0.55
    ),
    "text_classifier_percentile": Method(
        test="perc_text_content_drift", kinds=_TEXT, threshold=0.95
    ),
    "embedding_classifier": Method(
        test="model", kinds=_EMBEDDING, threshold=0.55, row_limit=5000
    ),
    "embedding_mmd": Method(
        test="mmd", kinds=_EMBEDDING, threshold=0.015, row_limit=1000
    ),
    "embedding_ratio": Method(
        test="ratio", kinds=_EMBEDDING, threshold=0.2, row_limit=5000
    ),
    "euclidean": Method(
        test="euclidean", kinds=_EMBEDDING, threshold=0.2, row_limit=5000
    ),
    "cosine": Method(test="cosine", kinds=_EMBEDDING, threshold=0.2, row_limit=5000),
    "cityblock": Method(
        test="cityblock", kinds=_EMBEDDING, threshold=0.2, row_limit=5000
    ),
    "chebyshev": Method(
        test="chebyshev", kinds=_EMBEDDING, threshold=0.2, row_limit=5000
    ),
}

NAMES: Mapping[str, str] = {method.test: name for name, method in METHODS.items()}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a monitor chooses for a column; None leaves it to Evidently."""

    method: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class EvidentlySettings:
    """What a monitor has Evidently do.

    ``columns`` and ``thresholds``, by method, hold only what was chosen.
    """

    columns: Mapping[str, Choice] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    drifted_share: float = DRIFTED_SHARE_THRESHOLD
    multivariate: tuple[str, ...] = tuple(MULTIVARIATE)
    reports: bool = True

    def method(self, column_name: str) -> str | None:
        """The method that was chosen for a column."""
        return self.columns.get(column_name, Choice()).method

    def threshold(self, column_name: str, method: str) -> float:
        """The threshold of a column by one of ``METHODS``."""
        chosen = self.columns.get(column_name, Choice()).threshold
        if chosen is not None:
            return chosen
        return self.thresholds.get(method, METHODS[method].threshold)

    def multivariate_threshold(self, method: str) -> float:
        """The threshold of one of ``MULTIVARIATE``."""
        return self.thresholds.get(method, MULTIVARIATE[method])

    @property
    def decisive(self) -> str:
        """What decides the results, as text: reports do not."""
        columns = sorted(
            (name, choice.method, choice.threshold)
            for name, choice in self.columns.items()
        )
        return repr(
            (
                columns,
                sorted(self.thresholds.items()),
                self.drifted_share,
                sorted(self.multivariate),
            )
        )


DEFAULT_SETTINGS = EvidentlySettings()
