"""Texts and vectors: SQL counts what is missing of them and skips the rest."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from orchestration import warehouse
from orchestration.drift import evaluate_days
from orchestration.evaluation.results import Column
from orchestration.monitors import BaselineSource, Monitor, Relation
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings
from tests.dbt.conftest import MODELS_ONLY

DAY = "2026-03-03"

# By the last digit of a number drawn from the identifier: what JSON can hold.
FEATURES = """
    update raw.{table}
    set features = features || jsonb_build_object(
        'note', case abs(hashtext(prediction_id)) % 10
            when 0 then null
            else to_jsonb(concat_ws(
                ' ',
                (array['boarding', 'delayed', 'closed'])[
                    1 + abs(hashtext(prediction_id)) / 10 % 3
                ],
                left(md5(prediction_id), 2)
            ))
        end,
        'vector', case abs(hashtext(prediction_id)) % 10
            when 0 then null
            when 1 then '[]'::jsonb
            when 2 then '"no vector"'::jsonb
            when 3 then '[1, "two", 3]'::jsonb
            when 4 then '[1, null, 3]'::jsonb
            when 5 then '[[1, 2], [3]]'::jsonb
            when 6 then '[1e300, 2, 3]'::jsonb
            when 7 then '[1e-320, 2, 3]'::jsonb
            else jsonb_build_array(abs(hashtext(prediction_id)) / 2e9, 0.5, -1)
        end
    )
    where model_name = 'flight_delay'
"""
INVALID = range(1, 7)


@pytest.fixture
def blocks(monitor_blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The flights' blocks, one of them with a text and an embedding."""
    first = monitor_blocks[0]
    first["features"] = first["features"] | {"note": "text", "vector": "embedding"}
    return monitor_blocks


@pytest.mark.parametrize("whole_build", [True, False])
def test_nulls_and_invalid_vectors_are_counted_and_nothing_is_measured(
    copy_of_log: Callable[[], AbstractContextManager[ConnectionSettings]],
    dbt_for: Callable[[ConnectionSettings], Dbt],
    blocks: list[dict[str, Any]],
    whole_build: bool,
) -> None:
    with copy_of_log() as settings:
        with warehouse.connect(settings, autocommit=True) as connection:
            for table in ("prediction_logs", "baseline_logs"):
                connection.execute(FEATURES.format(table=table))
        # A build of a selection reads the log itself, a whole one its copy.
        selection = (
            []
            if whole_build
            else ["--select", "+data_quality", "+drift", "+distributions"]
        )
        dbt_for(settings).build(
            [*MODELS_ONLY, *selection],
            variables={"monitors": blocks, "only_monitors": ["flight_delay"]},
        )
        with warehouse.connect(settings, autocommit=True) as connection:

            def query(statement: str) -> list[tuple[Any, ...]]:
                return connection.execute(statement).fetchall()

            quality = query(
                f"""
                select
                    column_name, row_count, null_count, invalid_count, unseen_count,
                    mean, minimum, median, distinct_count is null
                from marts.data_quality
                where monitor = 'flight_delay' and model_version = 'all'
                    and segment = 'all' and grain = 'day'
                    and window_start = '{DAY} 00:00+00'
                    and column_name in ('note', 'vector')
                order by column_name
                """
            )
            digits = [
                digit
                for (digit,) in query(
                    f"""
                    select abs(hashtext(prediction_id)) % 10
                    from staging.stg_flights__flight_delay
                    where predicted_at >= '{DAY} 00:00+00'
                        and predicted_at < timestamptz '{DAY} 00:00+00' + interval '1d'
                    """
                )
            ]
            nulls = sum(digit == 0 for digit in digits)
            invalid = sum(digit in INVALID for digit in digits)
            assert nulls > 0
            assert invalid > 0
            assert quality == [
                ("note", len(digits), nulls, 0, 0, None, None, None, False),
                ("vector", len(digits), nulls, invalid, 0, None, None, None, True),
            ]
            assert (
                query(
                    "select 1 from marts.drift where column_name in ('note', 'vector')"
                )
                == []
            )
            labels = query(
                "select distinct column_name, label from marts.distributions "
                "where column_name in ('note', 'vector') order by 1, 2"
            )
            assert labels == [
                ("note", "any text"),
                ("note", "null"),
                ("vector", "any vector"),
                ("vector", "invalid"),
                ("vector", "null"),
            ]
        _evaluate_with_evidently(settings)


def _evaluate_with_evidently(settings: ConnectionSettings) -> None:
    monitor = Monitor(
        name="flight_delay",
        task="regression",
        predictions=Relation(schema="staging", name="stg_flights__flight_delay"),
        columns=(
            Column(name="distance", role="feature", kind="numerical"),
            Column(name="note", role="feature", kind="text"),
            Column(name="vector", role="feature", kind="embedding"),
        ),
        baseline=BaselineSource(
            relation=Relation(
                schema="staging", name="stg_flights__flight_delay_baseline"
            )
        ),
        minimum_sample_count=20,
        owner=None,
    )
    with warehouse.connect(settings, autocommit=True) as connection:
        ((day,),) = connection.execute(f"select date '{DAY}'").fetchall()
        evaluate_days(settings, {"flight_delay": [day]}, [monitor])
        results = connection.execute(
            "select column_name, reason from evidently.drift_results "
            "where monitor = 'flight_delay' and role = 'feature' "
            "and status not in ('ok', 'warning')"
        ).fetchall()
    assert results == []
