"""What really happened to each flight, and when it could be known."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd

from simulator.randomness import Floats
from simulator.records import Label

LATE_AFTER_MINUTES = 15
BANDS = ("early", "on_time", "late", "very_late")
# The last minute of each band but the last: more than ten minutes early, up to a
# quarter of an hour late, up to an hour late.
_BAND_ENDS = (-11, LATE_AFTER_MINUTES, 60)


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


def actuals(model_name: str, flights: pd.DataFrame) -> list[str | None]:
    """The outcome that a model predicts, as JSON; None where there is none."""
    landed = flights["landed_at"].notna().to_numpy()
    outcomes = np.full(len(flights), None, dtype=object)
    outcomes[landed] = _ACTUAL_AS_JSON[model_name](
        flights.loc[landed, "arrival_delay"].to_numpy()
    )
    return outcomes.tolist()


def labels(
    model_name: str,
    flights: pd.DataFrame,
    prediction_ids: list[str],
    *,
    shift: pd.Timedelta,
    known_until: datetime,
) -> list[Label]:
    """The labels of predictions, one a flight that landed before ``known_until``.

    ``known_until`` is on the clock of ``flights``, before the shift. Cancelled and
    diverted flights have no outcome and so never a label.
    """
    # NaT is before nothing.
    known = (flights["landed_at"] < pd.Timestamp(known_until)).to_numpy()
    outcomes = np.array(actuals(model_name, flights), dtype=object)[known]
    observed_at = (flights.loc[known, "landed_at"] + shift).dt.to_pydatetime()
    ids = np.array(prediction_ids, dtype=object)[known]
    return [
        Label(*row)
        for row in zip(ids.tolist(), outcomes.tolist(), observed_at, strict=True)
    ]
