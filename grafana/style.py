"""Colours, thresholds and value mappings that all dashboards share."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

# Few colours, each with one meaning on every dashboard.
GOOD = "semi-dark-green"
WARNING = "semi-dark-orange"
CRITICAL = "semi-dark-red"
UNKNOWN = "#73767f"
MEASURED = "blue"
PROVISIONAL = "super-light-blue"
REFERENCE = "#9fa3ad"
SECONDARY = "purple"
ESTIMATED = "yellow"

# The panels that show a status as a number: see `status_code`.
_STATUSES = (
    ("not_computable", "not computable", UNKNOWN),
    ("ok", "ok", GOOD),
    ("warning", "warning", WARNING),
    ("critical", "critical", CRITICAL),
)
_STATES = (
    ("open", CRITICAL),
    ("acknowledged", WARNING),
    ("pending", WARNING),
    ("muted", UNKNOWN),
    ("resolved", GOOD),
)

_RESULTS = (
    ("error", CRITICAL),
    ("fail", CRITICAL),
    ("critical", CRITICAL),
    ("warn", WARNING),
    ("warning", WARNING),
)

# Thresholds are steps: from this value on, this colour; None is minus infinity.
Steps = Sequence[tuple[float | None, str]]
NO_THRESHOLD: Steps = [(None, MEASURED)]
# Of what there should be none.
NONE_EXPECTED: Steps = [(None, GOOD), (1, CRITICAL)]
STATUS_CODES: Steps = [
    (None if code == 0 else code, colour)
    for code, (_, _, colour) in enumerate(_STATUSES)
]


def thresholds(steps: Steps) -> builders.ThresholdsConfig:
    """Absolute thresholds of ascending steps, the first from minus infinity."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value, colour) for value, colour in steps])
    )


def status_code(column: str) -> str:
    """SQL for the number of a status: 0 not computable, 1 ok, 2 warning, 3 critical.

    A state timeline can't show text: in time series, text becomes a label.
    """
    names = ", ".join(f"'{name}'" for name, _, _ in _STATUSES)
    return f"array_position(array[{names}], {column}) - 1"


def status_mappings() -> list[models.ValueMapping]:
    """Name and colour of each status, given as the mart's text or as its number."""
    results = {
        key: models.ValueMappingResult(text=text, color=colour, index=code)
        for code, (name, text, colour) in enumerate(_STATUSES)
        for key in (name, str(code))
    }
    return [models.ValueMap(options=results)]


def result_mappings() -> list[models.ValueMapping]:
    """Colour of each result of a data test by dbt, and of freshness."""
    return _colour_mappings(_RESULTS)


def state_mappings() -> list[models.ValueMapping]:
    """Colour of each state of incidents and alerts."""
    return _colour_mappings(_STATES)


def _colour_mappings(colours: Sequence[tuple[str, str]]) -> list[models.ValueMapping]:
    results = {
        name: models.ValueMappingResult(text=name, color=colour, index=position)
        for position, (name, colour) in enumerate(colours)
    }
    return [models.ValueMap(options=results)]
