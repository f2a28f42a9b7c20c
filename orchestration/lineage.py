"""Which columns a model's columns are made of, read from its compiled SQL.

dagster-dbt can tell, too, and parses the SQL once for each column: minutes for this
project, in every run. Here it is parsed once for each text, and the answer is kept.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

# Schema and table, with their columns and types.
Tables = Mapping[tuple[str, str], Mapping[str, str]]

# By column, the schema, table and column of what it is made of.
Lineage = dict[str, list[tuple[str, str, str]]]

# Change it when the same SQL would give another answer.
_VERSION = "1"

# What the parser and the optimizer raise of SQL that they don't know.
_FAILURES = (
    SqlglotError,
    RecursionError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
)


def column_lineage(sql: str, tables: Tables) -> Lineage:
    """The columns of Postgres's ``tables`` that each column of a query rests on.

    Raises ``ValueError`` if the SQL can't be understood.
    """
    schema: dict[str, Any] = {}
    for (schema_name, table_name), columns in tables.items():
        schema.setdefault(schema_name, {})[table_name] = dict(columns)
    try:
        query = qualify(
            parse_one(sql, dialect="postgres"),
            schema=schema,
            dialect="postgres",
            # Some names are only the database's to know.
            validate_qualify_columns=False,
        )
        scope = build_scope(query)
        if not isinstance(query, exp.Query) or scope is None:
            raise ValueError("this is no query")
        return {name: _origins(name, query, scope) for name in query.named_selects}
    except _FAILURES as error:
        raise ValueError(f"this SQL can't be understood: {error}") from error


def _origins(name: str, query: exp.Query, scope: Scope) -> list[tuple[str, str, str]]:
    root = lineage(
        name,
        query,
        # With the scope, there is nothing to look up in a schema.
        schema={},
        scope=scope,
        dialect="postgres",
        # For pictures of the nodes' SQL, which take most of the time.
        trim_selects=False,
    )
    found = {
        (table.db, table.name, node.name.rpartition(".")[2].strip('"'))
        for node in root.walk()
        if not node.downstream and (table := node.expression.find(exp.Table))
    }
    # To count rows is to read no column.
    return sorted(each for each in found if each[2] != "*")


def kept_lineage(
    directory: Path, sql: str, read_tables: Callable[[], Tables]
) -> Lineage:
    """The lineage of a query, kept in the ``directory``; empty if it can't be told.

    ``read_tables`` is called only for SQL that was not seen before.
    """
    digest = hashlib.sha256(f"{_VERSION}|{sql}".encode()).hexdigest()[:32]
    path = directory / f"{digest}.json"
    with suppress(OSError, ValueError):
        return {
            name: [(schema, table, column) for schema, table, column in origins]
            for name, origins in json.loads(path.read_bytes()).items()
        }
    try:
        found = column_lineage(sql, read_tables())
    except ValueError:
        found = {}
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return found
