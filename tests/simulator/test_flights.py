"""Reading the flights: clocks, weather and landings."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.flights import (
    FEATURES,
    FlightDataError,
    FlightHistory,
    read_flights,
)


def flight(history: FlightHistory, code: str, day: str) -> Any:
    """The only flight of a code that was scheduled on a UTC day."""
    of_code = history.frame[history.frame["flight_code"] == code]
    days = of_code["scheduled_at"].dt.strftime("%Y-%m-%d")
    chosen = of_code[days == day]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_every_flight_of_the_year_is_read_in_order_of_departure(
    history: FlightHistory,
) -> None:
    assert len(history.frame) == 336_776
    assert history.frame["departed_at"].is_monotonic_increasing
    assert set(FEATURES) <= set(history.frame.columns)


def test_times_are_utc_and_landings_use_the_clock_of_the_destination(
    history: FlightHistory,
) -> None:
    # Left Newark at 5:17 Eastern (UTC-5), reached Houston at 8:30 Central (UTC-6).
    to_houston = flight(history, "UA1545", "2013-01-01")

    assert to_houston["departed_at"] == pd.Timestamp("2013-01-01 10:17", tz="UTC")
    assert to_houston["landed_at"] == pd.Timestamp("2013-01-01 14:30", tz="UTC")


def test_a_flight_over_midnight_lands_on_the_next_day(history: FlightHistory) -> None:
    frame = history.frame
    landed = frame[frame["landed_at"].notna()]
    took = (landed["landed_at"] - landed["departed_at"]).dt.total_seconds() / 60

    # The shortest hop and the longest way, to Honolulu: none is a day off.
    assert took.min() == 33
    assert took.max() == 738


def test_summer_time_moves_departures_by_an_hour_of_utc(history: FlightHistory) -> None:
    frame = history.frame
    at_six = frame.loc[frame["scheduled_hour"] == 6, "scheduled_at"]

    def hours_of(month: int, day: int) -> set[int]:
        dates = at_six.dt.date
        return set(at_six[dates == date(2013, month, day)].dt.hour)

    # In 2013 the clocks of New York changed on March 10 and November 3.
    assert hours_of(3, 9) == hours_of(11, 4) == {11}
    assert hours_of(3, 11) == hours_of(11, 2) == {10}


def test_a_landing_after_the_clocks_changed_in_the_air_is_exact(
    history: FlightHistory,
) -> None:
    # Across the change the scheduled duration still adds up in UTC: what was scheduled
    # plus the delay is the landing, whatever the clock on the wall did.
    frame = history.frame
    night = frame[
        (frame["departed_at"] > pd.Timestamp("2013-03-10 02:00", tz="UTC"))
        & (frame["departed_at"] < pd.Timestamp("2013-03-10 08:00", tz="UTC"))
        & frame["landed_at"].notna()
    ]
    took = (night["landed_at"] - night["departed_at"]).dt.total_seconds() / 60

    assert len(night) > 20
    assert took.between(30, 480).all()


def test_cancelled_flights_leave_on_schedule_without_delay_or_landing(
    history: FlightHistory,
) -> None:
    cancelled = history.frame[history.frame["dep_delay"].isna()]

    assert len(cancelled) == 8_255
    assert (cancelled["departed_at"] == cancelled["scheduled_at"]).all()
    assert cancelled["landed_at"].isna().all()
    assert cancelled["arrival_delay"].isna().all()


def test_weather_is_that_of_the_origin_in_the_scheduled_hour(
    history: FlightHistory,
) -> None:
    to_houston = flight(history, "UA1545", "2013-01-01")

    # Newark, 10:00 UTC.
    assert to_houston["temperature"] == 39.02
    assert to_houston["dew_point"] == 28.04
    assert to_houston["wind_speed"] == pytest.approx(12.65858)


def test_between_is_half_open(history: FlightHistory) -> None:
    instant = history.frame["departed_at"].iloc[1000].to_pydatetime()
    later = datetime(2013, 2, 1, tzinfo=UTC)

    assert (history.between(instant, later)["departed_at"] >= instant).all()
    assert (history.between(instant, instant)).empty
    before = history.between(datetime(2013, 1, 1, tzinfo=UTC), instant)
    assert (before["departed_at"] < instant).all()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlightDataError, match=r"flights\.csv\.zip"):
        read_flights(tmp_path)
