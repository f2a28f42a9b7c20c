"""What can arrive in the log after its marts were built."""

import json
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg

from simulator.loading import load_lines
from simulator.records import Target
from tests.dbt.prediction_log import (
    START,
    draw_predictions,
    insert_baseline,
    insert_labels,
    insert_predictions,
)


def later_predictions(connection: psycopg.Connection) -> None:
    insert_predictions(
        connection,
        draw_predictions(
            np.random.default_rng(2),
            model_name="flight_delay",
            count=80,
            start=START + timedelta(days=3),
            days=1,
            prefix="later",
            shift=1.0,
        ),
        loaded_at=None,
    )


def predictions_out_of_order(connection: psycopg.Connection) -> None:
    """They fall into windows that have long been refreshed, and before all of them."""
    insert_predictions(
        connection,
        draw_predictions(
            np.random.default_rng(3),
            model_name="flight_delayed",
            count=60,
            start=START - timedelta(days=1),
            days=2,
            prefix="early",
        ),
        loaded_at=None,
    )


def late_labels(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        insert into raw.ground_truth (prediction_id, actual, observed_at, loaded_at)
        select
            prediction_id,
            case model_name
                when 'flight_delay' then '12.5'
                when 'flight_delayed' then '"true"'
                else '"late"'
            end::jsonb,
            predicted_at + interval '2 days',
            clock_timestamp()
        from raw.prediction_logs
        where prediction_id not in (select prediction_id from raw.ground_truth)
        """
    )


def restated_labels(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        insert into raw.ground_truth (prediction_id, actual, observed_at, loaded_at)
        select
            prediction_id,
            case when prediction_id like '%delayed%' then '"false"'
                when prediction_id like '%band%' then '"early"' else '-3' end::jsonb,
            observed_at + interval '1 day',
            clock_timestamp()
        from raw.ground_truth
        where prediction_id ~ '[37]$'
        """
    )


def replayed_file(connection: psycopg.Connection) -> None:
    """The same lines twice more, and twice within one file."""
    rows = connection.execute(
        """
        select prediction_id, model_name, model_version, predicted_at, features,
            prediction, latency_ms, status_code, error
        from raw.prediction_logs where model_name = 'flight_delay_band'
        """
    )
    names = [column.name for column in rows.description or ()]
    lines = [
        json.dumps(
            dict(zip(names, row, strict=True)), default=lambda at: at.isoformat()
        )
        for row in rows.fetchall()
    ]
    connection.commit()
    for _ in range(2):
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_text("\n".join(lines * 2))
            with Path(file.name).open("rb") as stream:
                counts = load_lines(
                    connection, stream, target=Target.PREDICTION_LOGS, source="replay"
                )
        assert counts.received == 2 * len(lines)
        assert counts.loaded == 0


def first_rows_of_a_new_version(connection: psycopg.Connection) -> None:
    generator = np.random.default_rng(4)
    predictions = draw_predictions(
        generator,
        model_name="flight_delayed",
        count=150,
        start=START + timedelta(days=1),
        days=2,
        version="2",
    )
    insert_predictions(connection, predictions, loaded_at=None)
    insert_labels(connection, predictions, loaded_at=None)


def baseline_of_a_new_version(connection: psycopg.Connection) -> None:
    first_rows_of_a_new_version(connection)
    insert_baseline(
        connection,
        draw_predictions(
            np.random.default_rng(5),
            model_name="flight_delayed",
            count=120,
            version="2",
            prefix="b2",
            shift=0.5,
        ),
        loaded_at=None,
    )


def more_of_the_baseline(connection: psycopg.Connection) -> None:
    insert_baseline(
        connection,
        draw_predictions(
            np.random.default_rng(6),
            model_name="flight_delay",
            count=90,
            prefix="b3",
            shift=2.0,
        ),
        loaded_at=None,
    )


def a_transaction_that_commits_late(connection: psycopg.Connection) -> None:
    """Its rows were stamped just before the newest row that was already seen."""
    connection.execute(
        """
        insert into raw.prediction_logs
        select
            'slow-' || prediction_id, model_name, model_version, predicted_at, features,
            prediction, latency_ms, status_code, error,
            loaded_at - interval '59 minutes'
        from raw.prediction_logs
        where prediction_id ~ '5$'
        """
    )


def rows_without_a_version(connection: psycopg.Connection) -> None:
    """A version may be called 'all', which is also the name of the sum."""
    connection.execute(
        """
        insert into raw.prediction_logs
        select
            'all-' || prediction_id, model_name, 'all', predicted_at, features,
            prediction, latency_ms, status_code, error, clock_timestamp()
        from raw.prediction_logs
        where prediction_id ~ '1$'
        """
    )


def rows_from_the_future(connection: psycopg.Connection) -> None:
    """They must not hide what arrives until then."""
    connection.execute(
        """
        insert into raw.prediction_logs
        select
            'future-' || prediction_id, model_name, model_version, predicted_at,
            features, prediction, latency_ms, status_code, error,
            now() + interval '90 days'
        from raw.prediction_logs
        where prediction_id ~ '1$'
        """
    )


def times_that_no_window_can_hold(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        insert into raw.prediction_logs
        select
            'odd-' || model_name || times.at::text, model_name, '1', times.at, '{}',
            null, null, null, null, clock_timestamp()
        from (select distinct model_name from raw.prediction_logs) as models
        cross join (
            values ('infinity'::timestamptz), ('-infinity'), ('20260-01-01 00:00+00')
        ) as times (at)
        """
    )


# Together what touches different windows, since each takes a build and a full refresh.
ARRIVALS = [
    (rows_from_the_future, times_that_no_window_can_hold),
    (later_predictions, predictions_out_of_order, a_transaction_that_commits_late),
    (late_labels, first_rows_of_a_new_version),
    (restated_labels, replayed_file),
    (baseline_of_a_new_version, more_of_the_baseline),
    (rows_without_a_version,),
]
