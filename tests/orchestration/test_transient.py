"""What passes by itself is tried again; what is wrong is not."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orchestration import warehouse
from orchestration.errors import WarehouseError
from orchestration.transient import are_transient, is_transient
from orchestration.warehouse import ConnectionSettings

DEADLOCK = "Database Error in model drift (models/marts/drift.sql)\n  deadlock detected"
WRONG = "Database Error in model drift (models/marts/drift.sql)\n  column x is unknown"


def error_of(settings: ConnectionSettings, statement: str) -> psycopg.Error:
    with (
        pytest.raises(psycopg.Error) as caught,
        warehouse.connect(settings, autocommit=True) as connection,
    ):
        connection.execute(statement)
    return caught.value


def test_a_connection_that_is_cut_is_tried_again(database: ConnectionSettings) -> None:
    cut = error_of(database, "select pg_terminate_backend(pg_backend_pid())")

    assert is_transient(cut)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from no_such_table",
        "select 1 / 0",
        "set statement_timeout = 10; select pg_sleep(5)",
    ],
)
def test_a_wrong_or_a_slow_query_is_not(
    database: ConnectionSettings, statement: str
) -> None:
    assert not is_transient(error_of(database, statement))


def test_a_server_that_is_away_is_tried_again_and_a_missing_database_is_not(
    database: ConnectionSettings,
) -> None:
    def refusal(**changes: Any) -> WarehouseError:
        with pytest.raises(WarehouseError) as caught:
            warehouse.connect(replace(database, **changes))
        return caught.value

    assert is_transient(refusal(host="127.0.0.1", port=1))
    assert not is_transient(refusal(dbname="no_such_database"))
    assert not is_transient(refusal(user="nobody_at_all"))


def test_an_error_of_ours_is_not() -> None:
    assert not is_transient(ValueError("connection refused"))


def test_all_that_failed_in_dbt_must_be_transient() -> None:
    assert are_transient([DEADLOCK, "server closed the connection unexpectedly"])
    assert not are_transient([DEADLOCK, WRONG])
    assert not are_transient(["Got 3 results, configured to fail if != 0"])
    assert not are_transient([])
