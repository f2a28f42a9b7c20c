"""A warehouse with small marts, built once for all tests of the dashboards."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from orchestration import warehouse
from orchestration.project import Dbt
from orchestration.roles import LOADER, READER, TRANSFORMER, create_roles
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.prediction_log import (
    MODELS,
    draw_predictions,
    insert_labels,
    insert_predictions,
    write_small_log,
)

_DEPLOYMENTS = """
    insert into raw.deployments (model_name, model_version, deployed_at, note)
    select model_name, '1', timestamptz '2026-03-02 00:00Z', 'It''s the first.'
    from
        unnest(array['flight_delay', 'flight_delayed', 'flight_delay_band'])
            as model_name
"""

# A fault that alert rules find: on one day all flights go to where none ever went.
_FAULT = """
    update raw.prediction_logs
    set features = features || '{"destination": "XXX"}'
    where
        predicted_at >= timestamptz '2026-03-04 00:00Z'
        and predicted_at < timestamptz '2026-03-05 00:00Z'
"""

# Around the time of each incident, as a run of then would have written it.
_FAILED_TESTS = """
    insert into operations.failed_tests (
        invocation_id, test_name, failed_at, status, failure_count, message
    )
    select 'then', 'assert_' || incident_id, opened_at, 'warn', 3, 'It''s odd.'
    from marts.incidents
"""

# What the Evidently step would write, in its table's shape.
_EVIDENTLY = """
    insert into evidently.drift_results (
        monitor, model_version, segment, segment_value, grain, window_start, window_end,
        column_name, method, role, score, p_value, threshold, is_drifted, sample_count,
        baseline_sample_count, status, reason, evaluated_at
    )
    select
        monitor, 'all', 'all', 'all', 'day', day, day + interval '1 day', column_name,
        method, role, score, p_value, 0.1, true, 100, 100, 'warning', 'drifted', now()
    from
        unnest(array['flight_delay', 'flight_delayed', 'flight_delay_band']) as monitor,
        generate_series(
            timestamptz '2026-03-02 00:00Z', '2026-03-04 00:00Z', interval '1 day'
        ) as day,
        (values
            ('dep_delay', 'wasserstein', 'feature', 0.2, null),
            ('carrier', 'chi_squared', 'feature', 0.2, 0.03),
            ('(dataset)', 'drifted_columns', 'dataset', 0.4, null)
        ) as results (column_name, method, role, score, p_value)
"""


@pytest.fixture(scope="session")
def built_marts(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ConnectionSettings]:
    """Marts of three days long ago and of the last ones, whose labels are to come.

    Only to be read. Each part was done by its role, as when a server is set up.
    """
    with fresh_database() as settings:
        with warehouse.connect(settings, autocommit=True) as connection:
            create_raw_schema(connection)
            create_roles(connection, passwords={})
        loader = replace(settings, user=LOADER)
        transformer = replace(settings, user=TRANSFORMER)
        write_small_log(loader)
        with warehouse.connect(loader) as connection:
            connection.execute(_DEPLOYMENTS)
            generator = np.random.default_rng(5)
            for model_name in MODELS:
                # A day with predictions enough to compare the groups of a segment.
                crowd = draw_predictions(
                    generator,
                    model_name=model_name,
                    count=900,
                    start=datetime(2026, 3, 3, tzinfo=UTC),
                    days=1,
                    prefix="crowd",
                )
                insert_predictions(connection, crowd)
                insert_labels(connection, crowd)
                recent = draw_predictions(
                    generator,
                    model_name=model_name,
                    count=150,
                    start=datetime.now(UTC) - timedelta(hours=12),
                    days=0.5,
                    prefix="recent",
                )
                insert_predictions(connection, recent, loaded_at=None)
                insert_labels(connection, recent[:120], loaded_at=None)
        with warehouse.connect(settings) as connection:
            # No loader may change what is there.
            connection.execute(_FAULT)
        target_path = tmp_path_factory.mktemp("grafana-dbt")
        models = ("--exclude-resource-type", "test")
        Dbt(transformer, target_path=target_path).build(models)
        with warehouse.connect(transformer) as connection:
            connection.execute(_EVIDENTLY)
            connection.execute(_FAILED_TESTS)
        yield settings


@pytest.fixture(scope="session")
def reader(built_marts: ConnectionSettings) -> Iterator[psycopg.Connection]:
    """The connection that Grafana would have."""
    settings = replace(built_marts, user=READER)
    with warehouse.connect(settings, autocommit=True) as connection:
        yield connection
