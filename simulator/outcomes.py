"""What really happened to each flight, and when it could be known."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.randomness import Floats, Indices
from simulator.records import Label

LATE_AFTER_MINUTES = 15
BANDS = ("early", "on_time", "late", "very_late")
# The last minute of each band but the last: more than ten minutes early, up to a
# quarter of an hour late, up to an hour late.
_BAND_ENDS = (-11, LATE_AFTER_MINUTES, 60)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What came true of each request to one model, and when that is known.

    ``flight`` is the position of the flight that each request is about, ``since_start``
    the time of the request since the first served instant. ``arrival_delay`` is NaN,
    and ``known_at`` (UTC) NaT, where it never is.
    """

    model_name: str
    flight: Indices
    prediction_id: npt.NDArray[np.object_]
    since_start: npt.NDArray[np.timedelta64]
    arrival_delay: Floats
    known_at: npt.NDArray[np.datetime64]


def is_late(arrival_delay: Floats) -> list[str]:
    """``"true"`` for an arrival more than 15 minutes late, else ``"false"``."""
    return ["true" if late else "false" for late in arrival_delay > LATE_AFTER_MINUTES]


def band(arrival_delay: Floats) -> list[str]:
    """The band of each arrival, by its delay in minutes."""
    return [BANDS[index] for index in np.searchsorted(_BAND_ENDS, arrival_delay)]


def _minutes(arrival_delay: Floats) -> list[str]:
    return [str(int(minutes)) for minutes in arrival_delay]


def _quoted(outcome: Callable[[Floats], list[str]]) -> Callable[[Floats], list[str]]:
    return lambda arrival_delay: [f'"{label}"' for label in outcome(arrival_delay)]


_ACTUAL_AS_JSON: dict[str, Callable[[Floats], list[str]]] = {
    "flight_delay": _minutes,
    "flight_delayed": _quoted(is_late),
    "flight_delay_band": _quoted(band),
}


def actuals(model_name: str, arrival_delay: Floats) -> list[str | None]:
    """The outcome that a model predicts, as JSON; None where the delay is NaN."""
    landed = ~np.isnan(arrival_delay)
    outcomes = np.full(len(arrival_delay), None, dtype=object)
    outcomes[landed] = _ACTUAL_AS_JSON[model_name](arrival_delay[landed])
    return outcomes.tolist()


def labels(
    outcomes: Outcomes, *, shift: timedelta, known_until: datetime
) -> list[Label]:
    """The labels that are known before ``known_until``, one a request.

    ``known_until`` is on the clock of ``outcomes``, before the shift. Cancelled and
    diverted flights have no outcome and so never a label.
    """
    # NaT is before nothing.
    end = np.datetime64(known_until.astimezone(UTC).replace(tzinfo=None))
    known = outcomes.known_at < end
    observed_at = pd.to_datetime(outcomes.known_at[known], utc=True) + shift
    return [
        Label(*row)
        for row in zip(
            outcomes.prediction_id[known].tolist(),
            _ACTUAL_AS_JSON[outcomes.model_name](outcomes.arrival_delay[known]),
            observed_at.to_pydatetime(),
            strict=True,
        )
    ]
