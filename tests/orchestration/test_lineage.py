"""Columns are traced through the SQL, once for each text."""

from pathlib import Path

import pytest

from orchestration.lineage import Tables, column_lineage, kept_lineage

TABLES: Tables = {
    ("raw", "trips"): {"id": "text", "delay": "integer", "taxi": "integer"},
    ("raw", "planes"): {"id": "text", "seats": "integer"},
}
SQL = """
    with late as (select *, delay - taxi as air from raw.trips)
    select late.id, sum(air) over () as total, planes.seats, 1 as one
    from late join raw.planes on planes.id = late.id
"""


def test_columns_are_traced_to_the_tables_that_they_are_made_of() -> None:
    assert column_lineage(SQL, TABLES) == {
        "id": [("raw", "trips", "id")],
        "total": [("raw", "trips", "delay"), ("raw", "trips", "taxi")],
        "seats": [("raw", "planes", "seats")],
        "one": [],
    }


def test_what_is_no_query_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be understood"):
        column_lineage("select from where", TABLES)


def test_the_same_sql_is_looked_at_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def read() -> Tables:
        reads.append(1)
        return TABLES

    first = kept_lineage(tmp_path, SQL, read)
    assert kept_lineage(tmp_path, SQL, read) == first == column_lineage(SQL, TABLES)
    assert len(reads) == 1
    assert kept_lineage(tmp_path, "select from where", read) == {}
    assert len(reads) == 2
