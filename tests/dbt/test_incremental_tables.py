"""Tables that a run leaves alone, and tables that are of another version."""

import pytest

from orchestration import warehouse
from orchestration.project import Dbt, DbtError, NodeOutcome
from orchestration.warehouse import ConnectionSettings
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import assert_same_marts, read_marts


def test_a_build_with_nothing_new_writes_no_table_of_windows(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log, autocommit=True) as connection:
        # Who writes nevertheless fails instead of waiting.
        connection.execute(
            f"alter database {copied_log.dbname} set lock_timeout = '5 s'"
        )
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            "lock table marts.fairness, intermediate.int_row_stats, "
            "intermediate.int_burn_rates, intermediate.int_window_ledger "
            "in exclusive mode"
        )

        run = dbt.build(MODELS_ONLY)

    assert len(run.outcomes) > 60


def test_a_full_refresh_by_another_run_leaves_nothing_to_be_written_twice(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    before = read_marts(copied_log)
    taken = []

    def refresh_fully(outcome: NodeOutcome) -> None:
        # Of what it does, all that the run which goes on can notice.
        if outcome.name == "int_outcome_stats":
            with warehouse.connect(copied_log) as connection:
                for table in ("int_refresh_windows", "int_stale_windows"):
                    deleted = connection.execute(f"delete from intermediate.{table}")
                    taken.append(deleted.rowcount)
                connection.commit()

    dbt.build(
        MODELS_ONLY, variables={"refresh_from": "2000-01-01"}, on_node=refresh_fully
    )

    assert all(taken)
    assert_same_marts(read_marts(copied_log), before)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("add column extra text", "it has the unknown column extra"),
        ("drop column row_count cascade", "it lacks column row_count"),
    ],
)
def test_columns_of_another_version_stop_the_model_before_it_is_stale(
    copied_log: ConnectionSettings, dbt: Dbt, change: str, told: str
) -> None:
    before = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute(f"alter table intermediate.int_row_stats {change}")
        connection.commit()

    with pytest.raises(DbtError) as error:
        dbt.build(MODELS_ONLY)

    assert told in str(error.value)
    assert "dbt build --full-refresh" in str(error.value)
    dbt.build([*MODELS_ONLY, "--full-refresh"])
    assert_same_marts(read_marts(copied_log), before)


def test_a_column_of_another_type_stops_a_model_that_is_stale(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            "alter table intermediate.int_latency_buckets "
            "alter column bucket_count type text"
        )
        connection.execute("delete from intermediate.int_window_ledger")
        connection.commit()

    with pytest.raises(DbtError) as error:
        dbt.build(MODELS_ONLY)

    assert "it has column bucket_count as text, not bigint" in str(error.value)
