"""The figures of the marts once more, from the raw rows, by the libraries' formulas.

Nothing here follows the SQL: no statistics that add up, no buckets but where a figure
is defined on buckets. Rows come by pandas, metrics from scikit-learn, SciPy and NumPy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestration.warehouse import ConnectionSettings
from tests.dbt.recomputed.burn_rates import burn_rates
from tests.dbt.recomputed.calibration import calibration
from tests.dbt.recomputed.data_quality import data_quality
from tests.dbt.recomputed.distributions import distributions
from tests.dbt.recomputed.drift import drift
from tests.dbt.recomputed.fairness import fairness
from tests.dbt.recomputed.model_performance import model_performance
from tests.dbt.recomputed.model_performance_by_class import (
    model_performance_by_class,
)
from tests.dbt.recomputed.rows import Between, Figures, Monitor, read_monitor
from tests.dbt.recomputed.service_health import service_health
from tests.dbt.recomputed.status_codes import status_codes
from tests.dbt.recomputed.version_comparison import version_comparison

MARTS: Mapping[str, Callable[[Monitor], dict[tuple[object, ...], Figures]]] = {
    "service_health": service_health,
    "status_codes": status_codes,
    "burn_rates": burn_rates,
    "data_quality": data_quality,
    "model_performance": model_performance,
    "model_performance_by_class": model_performance_by_class,
    "calibration": calibration,
    "fairness": fairness,
    "version_comparison": version_comparison,
    "drift": drift,
    "distributions": distributions,
}


def recompute(
    settings: ConnectionSettings, blocks: Sequence[Mapping[str, Any]], mart: str
) -> dict[tuple[object, ...], Figures]:
    """All rows of a mart."""
    found: dict[tuple[object, ...], Figures] = {}
    for block in blocks:
        found |= MARTS[mart](read_monitor(settings, block))
    return found


def differences(
    stored: Mapping[tuple[object, ...], Mapping[str, object]],
    expected: Mapping[tuple[object, ...], Mapping[str, object]],
) -> list[str]:
    """What a mart says otherwise, in words; empty if nothing."""
    found = [f"missing {key}" for key in expected.keys() - stored.keys()]
    found += [f"extra {key}" for key in stored.keys() - expected.keys()]
    for key in expected.keys() & stored.keys():
        found += [
            f"{key}: {name} is {stored[key][name]!r}, not {value!r}"
            for name, value in expected[key].items()
            if not agrees(stored[key][name], value)
        ]
    return found


def agrees(stored: object, expected: object) -> bool:
    """Whether a stored figure is the expected one: 1e-9 for floats, else exactly."""
    if isinstance(expected, Between):
        if not isinstance(stored, int | float):
            return False
        return expected.lower <= stored <= expected.upper
    if isinstance(expected, float):
        return isinstance(stored, float) and math.isclose(
            stored, float(expected), rel_tol=1e-9, abs_tol=1e-12
        )
    return stored == expected
