"""A small warehouse as dbt leaves it, without dbt."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from orchestration import warehouse
from orchestration.evaluation.results import Column
from orchestration.monitors import BaselineSource, Monitor, Relation
from orchestration.warehouse import ConnectionSettings

DAY = datetime(2026, 3, 1, tzinfo=UTC)

COLUMNS = (
    Column(name="distance", role="feature", kind="numerical"),
    Column(name="carrier", role="feature", kind="categorical"),
    Column(name="prediction", role="prediction", kind="categorical"),
    Column(name="score", role="score", kind="numerical"),
    Column(name="actual", role="actual", kind="categorical"),
)

_WAREHOUSE = """
    create schema staging;
    create schema intermediate;
    create schema evidently;

    create table staging.predictions (
        prediction_id text primary key,
        predicted_at timestamptz,
        distance double precision,
        carrier text,
        prediction text,
        score double precision,
        actual text
    );
    create table staging.predictions_baseline (like staging.predictions including all);

    create table intermediate.int_window_ledger (
        monitor text,
        grain text,
        window_start timestamptz,
        prediction_count bigint,
        prediction_checksum numeric,
        label_count bigint,
        label_checksum numeric,
        definition_hash text
    );

    create table evidently.drift_results (
        monitor text not null,
        model_version text not null,
        segment text not null,
        segment_value text not null,
        grain text not null,
        window_start timestamptz not null,
        window_end timestamptz not null,
        column_name text not null,
        method text not null,
        role text not null,
        score double precision,
        p_value double precision,
        threshold double precision,
        is_drifted boolean,
        sample_count bigint not null,
        baseline_sample_count bigint not null,
        status text not null,
        reason text,
        evaluated_at timestamptz not null,
        unique (
            monitor, model_version, segment, segment_value, grain, window_start,
            column_name, method
        )
    );
"""

_ROWS = """
    insert into {relation}
    select
        %(prefix)s || number,
        %(start)s + number * interval '1 minute',
        1000 + 100 * sin(number),
        (array['UA', 'DL', 'it''s "O''Hare" 🛫'])[1 + number %% 3],
        (number %% 4 = 0)::text,
        (number %% 97) / 97.0,
        (number %% 5 = 0)::text
    from generate_series(0, %(count)s - 1) as number
"""


class SmallWarehouse:
    """Predictions of one relation, its baseline, and the ledger about them."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        with self.connect() as connection:
            connection.execute(_WAREHOUSE)

    def connect(self) -> psycopg.Connection:
        return warehouse.connect(self.settings, autocommit=True)

    def execute(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def add_predictions(
        self, start: datetime, count: int, *, relation: str = "staging.predictions"
    ) -> None:
        """One prediction a minute."""
        with self.connect() as connection:
            connection.execute(
                _ROWS.format(relation=relation),
                {"prefix": f"{start:%m%d%H%M}-", "start": start, "count": count},
            )

    def add_baseline(self, count: int) -> None:
        self.add_predictions(
            DAY - timedelta(days=60),
            count,
            relation="staging.predictions_baseline",
        )

    def refresh_ledger(self, monitor: str = "flights") -> None:
        """What dbt does: the ledger then holds the hours of the log."""
        self.execute(
            "delete from intermediate.int_window_ledger where monitor = %s", monitor
        )
        self.execute(
            """
            insert into intermediate.int_window_ledger
            select
                %s,
                'hour',
                date_trunc('hour', predicted_at, 'UTC'),
                count(*),
                sum(hashtext(prediction_id)),
                count(actual),
                sum(hashtext(actual)),
                'definition'
            from staging.predictions
            group by 3
            """,
            monitor,
        )

    def results(self, columns: str) -> list[tuple[object, ...]]:
        return self.execute(
            f"select {columns} from evidently.drift_results "
            "order by monitor, window_start, column_name, method"
        )


def monitor(
    name: str = "flights",
    *,
    predictions: str = "predictions",
    baseline: str = "predictions_baseline",
) -> Monitor:
    return Monitor(
        name=name,
        task="binary",
        predictions=Relation(schema="staging", name=predictions),
        columns=COLUMNS,
        baseline=BaselineSource(relation=Relation(schema="staging", name=baseline)),
        minimum_sample_count=50,
        owner="team-flights",
    )


@pytest.fixture
def small_warehouse(database: ConnectionSettings) -> SmallWarehouse:
    return SmallWarehouse(database)


@pytest.fixture
def connection(small_warehouse: SmallWarehouse) -> Iterator[psycopg.Connection]:
    with small_warehouse.connect() as opened:
        yield opened


@pytest.fixture(scope="session")
def definitions() -> dg.Definitions:
    """All that Dagster shows, as for the embedded warehouse."""
    from orchestration.definitions import defs

    return defs()
