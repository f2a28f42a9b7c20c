"""Bounded, seeded, uniform samples out of the warehouse, as typed frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql
from psycopg.adapt import Loader
from psycopg.pq import Format

from orchestration.days import SAMPLE_LIMIT
from orchestration.evaluation.results import Column
from orchestration.monitors import Relation

_BATCH_ROWS = 10_000
# A vector or a text can take as much as a thousand numbers.
_BATCH_LONG_ROWS = 500
TEXT_LIMIT = 5000
_SMALLEST_HASH = -(2**63)
_HASH_COUNT = 2**64


@dataclass(frozen=True, kw_only=True)
class Sample:
    """``frame`` has at most ``limit`` of the ``row_count`` rows asked for.

    ``read_at`` is the server's clock just before the snapshot was taken.
    """

    frame: pd.DataFrame
    row_count: int
    read_at: datetime


def read_sample(
    connection: psycopg.Connection,
    relation: Relation,
    columns: Sequence[Column],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = SAMPLE_LIMIT,
    seed: int = 0,
) -> Sample:
    """A uniform sample of the rows predicted from ``start`` until before ``end``.

    Every row has the same chance, and the same rows and seed give the same sample,
    whatever their order: it is the ``limit`` rows whose hashed ``prediction_id`` is
    smallest. Numerical columns are float64, with NaN for null; categorical ones hold
    text, or None; of texts the first 5,000 characters are read; embeddings are float32
    arrays, or None. ``connection`` must be in autocommit mode; the sample is read in
    one snapshot, through a server-side cursor, and only its ``columns``.

    Raises ``psycopg.Error`` if the relation or a column does not exist, or a value is
    not of its column's kind.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    table = sql.Identifier(relation.schema, relation.name)
    in_range, parameters = _range_condition(start, end)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        counted = connection.execute(
            sql.SQL("select now(), count(*) from {} where {}").format(table, in_range),
            parameters,
        ).fetchone()
        assert counted is not None  # An aggregate always has a row.
        read_at, row_count = counted
        query = sql.SQL("select {} from {} where {}").format(
            sql.SQL(", ").join(map(_typed, columns)), table, in_range
        )
        if row_count > limit:
            query, parameters = _sampled(
                query, parameters, share=limit / row_count, limit=limit, seed=seed
            )
        frame = _frame(connection, query, parameters, columns)
    return Sample(frame=frame, row_count=row_count, read_at=read_at)


def _range_condition(
    start: datetime | None, end: datetime | None
) -> tuple[sql.Composable, dict[str, Any]]:
    conditions: list[sql.Composable] = []
    parameters: dict[str, Any] = {}
    if start is not None:
        conditions.append(sql.SQL("predicted_at >= %(start)s"))
        parameters["start"] = start
    if end is not None:
        conditions.append(sql.SQL("predicted_at < %(end)s"))
        parameters["end"] = end
    return sql.SQL(" and ").join(conditions or [sql.SQL("true")]), parameters


def _sampled(
    query: sql.Composed,
    parameters: dict[str, Any],
    *,
    share: float,
    limit: int,
    seed: int,
) -> tuple[sql.Composed, dict[str, Any]]:
    """Limit the query to the rows with the smallest hashes.

    Sorting a whole table would spill to disk, so a threshold on the hash first lets
    through little more than the ``share`` asked for: six standard deviations more, so
    that too few pass once in a billion times, and then a few rows less are as uniform.
    """
    margin = 1 + 6 / math.sqrt(limit)
    threshold = _SMALLEST_HASH + int(min(share * margin, 1.0) * (_HASH_COUNT - 1))
    hashed = sql.SQL("hashtextextended(prediction_id, %(seed)s)")
    return (
        sql.SQL(
            "{query} and {hashed} <= %(threshold)s order by {hashed} limit %(limit)s"
        ).format(query=query, hashed=hashed),
        parameters | {"seed": seed, "threshold": threshold, "limit": limit},
    )


def _typed(column: Column) -> sql.Composable:
    if column.kind == "text":
        return sql.SQL("left({}::text, {})").format(
            sql.Identifier(column.name), sql.Literal(TEXT_LIMIT)
        )
    kind = {"numerical": "double precision", "embedding": "double precision[]"}
    return sql.SQL("{}::{}").format(
        sql.Identifier(column.name), sql.SQL(kind.get(column.kind, "text"))
    )


# Of Postgres: the type double precision[].
_DOUBLES_OID = 1022

# An element of a binary array: its length in bytes, then itself.
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f8")])
_HEADER_BYTES = 20


class _VectorLoader(Loader):
    """A ``double precision[]`` as a float32 array, without a Python object for each.

    Arrays of several dimensions, or with nulls, are no vectors: they come out empty.
    """

    format = Format.BINARY

    def load(self, data: Any) -> "np.ndarray[Any, np.dtype[np.float32]]":
        header = np.frombuffer(data, ">i4", 2)
        if header[0] != 1 or header[1]:
            return np.empty(0, dtype=np.float32)
        elements = np.frombuffer(data, _ELEMENT, offset=_HEADER_BYTES)
        with np.errstate(over="ignore"):
            return elements["value"].astype(np.float32)


def _frame(
    connection: psycopg.Connection,
    query: sql.Composed,
    parameters: dict[str, Any],
    columns: Sequence[Column],
) -> pd.DataFrame:
    parts: list[list[Any]] = [[] for _ in columns]
    # Categories repeat: one object for each, not one for each row.
    texts: dict[str | None, str | None] = {}
    is_long = any(column.kind in ("text", "embedding") for column in columns)
    batch_rows = _BATCH_LONG_ROWS if is_long else _BATCH_ROWS
    with connection.cursor(name="driftline_sample", binary=True) as cursor:
        cursor.adapters.register_loader(_DOUBLES_OID, _VectorLoader)
        cursor.execute(query, parameters)
        while rows := cursor.fetchmany(batch_rows):
            for part, column, values in zip(
                parts, columns, zip(*rows, strict=True), strict=True
            ):
                if column.kind == "numerical":
                    part.append(np.array(values, dtype=np.float64))
                elif column.kind == "categorical":
                    part.extend(texts.setdefault(value, value) for value in values)
                else:
                    part.extend(values)
    return pd.DataFrame(
        {
            column.name: (
                np.concatenate(part) if part else np.empty(0, dtype=np.float64)
            )
            if column.kind == "numerical"
            else pd.Series(part, dtype=object)
            for part, column in zip(parts, columns, strict=True)
        }
    )
