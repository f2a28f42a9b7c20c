"""Numbers in words: what a reader must not misread."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestration.reporting.wording import (
    chart_text,
    day,
    duration,
    number,
    percent,
    plural,
    shortened,
)


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.577, "57.7 %"),
        (0.0, "0.0 %"),
        (0.00001, "< 0.1 %"),
        (0.99999, "> 99.9 %"),
        (1.0, "100.0 %"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_a_small_rate_is_not_shown_as_none_nor_a_great_one_as_all(
    rate: float | None, shown: str
) -> None:
    assert percent(rate) == shown.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (12.53, "12.5"),
        (1234567.0, "1,234,567"),
        (0.000123, "0.000123"),
        (0.00000123, "1.23e−06"),
        (-3.4, "−3.4"),
        (1e12, "1.00e+12"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_a_number_keeps_its_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (timedelta(seconds=42), "42 s"),
        (timedelta(minutes=90), "1 h"),
        (timedelta(hours=18.6), "18 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_a_duration_has_one_unit(span: timedelta, shown: str) -> None:
    assert duration(span) == shown.replace(" ", "\N{NO-BREAK SPACE}")


def test_days_and_amounts_read_as_words() -> None:
    assert day(datetime(2026, 10, 3, 23, 59, tzinfo=UTC)) == "3 Oct 2026"
    assert day(None) == "–"
    assert [plural(1, "incident"), plural(1200, "row")] == ["1 incident", "1,200 rows"]
    assert shortened("carrier", 7) == "carrier"
    assert shortened("carrier code", 8) == "carrier…"


def test_a_text_for_a_chart_has_no_markup_and_no_control_characters() -> None:
    assert chart_text('<a href="x">&amp;</a>\n\u2028\u202e🛫') == (
        '&lt;a href="x"&gt;&amp;amp;&lt;/a&gt;   🛫'
    )
