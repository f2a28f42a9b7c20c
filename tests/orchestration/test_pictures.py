"""The picture of a day: small, well-formed, and drifted columns first."""

import base64
from xml.etree import ElementTree

from orchestration.pictures import Bin, as_markdown, picture

EVEN = [Bin(share=0.25, baseline_share=0.25)] * 4
SVG = "{http://www.w3.org/2000/svg}"


def titles(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_drifted_columns_come_first_and_no_more_than_nine_are_shown() -> None:
    columns = {f"c{number:02}": EVEN for number in range(20)}

    svg = picture(columns, ["c17", "c05", "not_there"])

    assert svg is not None
    assert titles(svg) == ["c17", "c05", *(f"c{n:02}" for n in (0, 1, 2, 3, 4, 6, 7))]
    assert len(svg) < 8000


def test_names_are_only_text_and_shares_may_be_missing_or_nought() -> None:
    svg = picture(
        {
            '<b>&"': [Bin(share=0.0, baseline_share=0.0)],
            "no_baseline": [Bin(share=1.0, baseline_share=None)],
        },
        [],
    )

    assert svg is not None
    assert titles(svg) == ['<b>&"', "no_baseline"]


def test_without_columns_there_is_none() -> None:
    assert picture({}, ["distance"]) is None


def test_the_picture_is_in_the_text_itself() -> None:
    text = as_markdown("<svg/>", "a day")

    assert text == "![a day](data:image/svg+xml;base64," + (
        base64.b64encode(b"<svg/>").decode() + ")"
    )
