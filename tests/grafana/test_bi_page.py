"""The page for other BI tools: its SQL runs as the reader, and comments are there."""

import re
from pathlib import Path

import psycopg
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "bi.md").read_text()
# Each query, and the header of what it printed on the demo, if that is shown.
BLOCKS = re.findall(r"```sql\n(.*?)```(?:\n+```\n([^\n]*)\n-)?", PAGE, flags=re.DOTALL)
QUESTIONS = [(query, header) for query, header in BLOCKS if header]


def test_the_page_answers_three_questions() -> None:
    assert len(QUESTIONS) == 3


@pytest.mark.parametrize(("query", "header"), QUESTIONS)
def test_the_reader_gets_the_columns_that_the_page_shows(
    reader: psycopg.Connection, query: str, header: str
) -> None:
    cursor = reader.execute(query.encode())
    assert cursor.description is not None
    shown = [name.strip() for name in header.split("|")]
    assert [column.name for column in cursor.description] == shown
    assert cursor.fetchall()


def test_every_mart_and_every_column_has_its_comment(
    reader: psycopg.Connection,
) -> None:
    [comments] = [query for query, _ in BLOCKS if "col_description" in query]
    rows = reader.execute(comments.encode()).fetchall()
    marts = {mart for mart, *_ in rows}
    assert {"monitors", "drift", "metric_values", "incidents"} <= marts
    assert all(description for *_, description in rows)
    without = reader.execute(
        """
        select relname from pg_class
        where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v')
            and obj_description(oid, 'pg_class') is null
        """
    ).fetchall()
    assert without == []
