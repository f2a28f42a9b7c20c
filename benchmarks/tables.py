"""The rows of a log as bytes for COPY, and the tables that take them."""

import io
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from benchmarks.generate import (
    CATEGORIES,
    FEATURES,
    MODEL,
    NUMBERS,
    Log,
    midnight,
)

BLOCK_BYTES = 1 << 20

_NUMBERS = ", ".join(f"{name} double precision" for name in NUMBERS)
_CATEGORIES = ", ".join(f"{name} text" for name in CATEGORIES)
_PREDICTION_COLUMNS = f"""
    id bigint primary key, model_version text, predicted_at timestamptz,
    {_NUMBERS}, {_CATEGORIES},
    prediction text, score double precision, latency_ms double precision,
    status_code integer
"""

# As docs/monitors.md advises: an index on the time that decides the window, and one on
# when the row arrived.
WIDE_TABLES = f"""
    create schema bench;
    create table bench.predictions (
        {_PREDICTION_COLUMNS}, loaded_at timestamptz not null default now()
    );
    create index on bench.predictions (predicted_at);
    create index on bench.predictions using brin (loaded_at);
    create table bench.outcomes (
        id bigint primary key, actual text, observed_at timestamptz,
        loaded_at timestamptz not null default now()
    );
    create index on bench.outcomes using brin (loaded_at);
    create table bench.baseline (
        {_PREDICTION_COLUMNS}, actual text, observed_at timestamptz,
        loaded_at timestamptz not null default now()
    );
"""


def load_history(connection: psycopg.Connection, log: Log) -> None:
    """Fill the wide tables as live traffic would: each row a minute after it happened.

    Were all of it loaded now, a build would look at all of it again for an hour, in
    case of transactions that commit late.
    """
    predictions, labels = log.predictions, log.labels
    delay = pd.Timedelta(minutes=1)
    with connection.transaction():
        copy_frame(
            connection,
            "bench.predictions",
            predictions.assign(loaded_at=predictions["predicted_at"] + delay),
        )
        copy_frame(
            connection,
            "bench.outcomes",
            labels.assign(loaded_at=labels["observed_at"] + delay),
        )


def fill_day(connection: psycopg.Connection, day: date, *, copies: int) -> None:
    """Put all predictions of the wide table into one more day, ``copies`` times.

    Their indexes go, since filling them would take longer than all that is measured.
    """
    columns = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attnum > 0 and not attisdropped"
            " and attrelid = 'bench.predictions'::regclass order by attnum"
        )
    ]
    values = {
        "id": sql.SQL("number * (select max(id) + 1 from bench.predictions) + id"),
        "predicted_at": sql.SQL(
            "{} + (predicted_at - date_trunc('day', predicted_at, 'UTC'))"
        ).format(sql.Literal(midnight(day))),
    }
    connection.execute("alter table bench.predictions drop constraint predictions_pkey")
    connection.execute("drop index bench.predictions_predicted_at_idx")
    connection.execute(
        sql.SQL(
            "insert into bench.predictions ({}) select {} from bench.predictions"
            " cross join generate_series(1, {}) as copies (number)"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(
                values.get(name, sql.Identifier(name)) for name in columns
            ),
            sql.Literal(copies),
        )
    )
    analyze(connection)


def load_now(connection: psycopg.Connection, log: Log) -> None:
    """Add to the wide tables what arrives at this moment."""
    with connection.transaction():
        copy_frame(connection, "bench.predictions", log.predictions)
        copy_frame(connection, "bench.outcomes", log.labels)


def load_wide_baseline(connection: psycopg.Connection, log: Log) -> None:
    """Add validation data, labels beside the predictions."""
    with connection.transaction():
        copy_frame(
            connection,
            "bench.baseline",
            log.predictions.merge(log.labels, on="id", how="left"),
        )


def analyze(connection: psycopg.Connection) -> None:
    """Do now what autovacuum does soon after a big load, so that all runs have it."""
    connection.execute(
        "vacuum (analyze) bench.predictions, bench.outcomes, bench.baseline"
    )


def copy_frame(connection: psycopg.Connection, table: str, frame: pd.DataFrame) -> None:
    """COPY a frame into a table with columns of the same names."""
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
    )
    text = io.BytesIO()
    pyarrow.csv.write_csv(
        pa.Table.from_pandas(frame, preserve_index=False),
        text,
        pyarrow.csv.WriteOptions(include_header=False),
    )
    view = text.getbuffer()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(view), BLOCK_BYTES):
            copy.write(view[start : start + BLOCK_BYTES])


def write_prediction_lines(log: Log, path: Path) -> None:
    """Write a log's predictions as a service sends them, one JSON object a line."""
    with path.open("wb") as file:
        for prediction in _prediction_objects(log.predictions):
            file.write(orjson.dumps(prediction, option=orjson.OPT_APPEND_NEWLINE))


def write_baseline_lines(log: Log, path: Path) -> None:
    """Write validation data, labels within the predictions."""
    actual = dict(zip(log.labels["id"], log.labels["actual"], strict=True))
    with path.open("wb") as file:
        for identifier, prediction in zip(
            log.predictions["id"], _prediction_objects(log.predictions), strict=True
        ):
            # Of another name than any served prediction.
            prediction["prediction_id"] = f"baseline-{identifier}"
            prediction["actual"] = actual.get(identifier)
            file.write(orjson.dumps(prediction, option=orjson.OPT_APPEND_NEWLINE))


def write_label_lines(log: Log, path: Path) -> None:
    """Write a log's labels."""
    with path.open("wb") as file:
        for identifier, actual, observed_at in zip(
            log.labels["id"],
            log.labels["actual"],
            _iso_times(log.labels["observed_at"]),
            strict=True,
        ):
            label = {
                "prediction_id": str(identifier),
                "actual": actual,
                "observed_at": observed_at,
            }
            file.write(orjson.dumps(label, option=orjson.OPT_APPEND_NEWLINE))


def _prediction_objects(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    features = zip(*(_json_values(frame[name]) for name in FEATURES), strict=True)
    rest = zip(
        frame["id"].tolist(),
        frame["model_version"].tolist(),
        _iso_times(frame["predicted_at"]),
        frame["prediction"].tolist(),
        frame["score"].tolist(),
        frame["latency_ms"].tolist(),
        frame["status_code"].tolist(),
        strict=True,
    )
    for values, others in zip(features, rest, strict=True):
        identifier, version, predicted_at, label, score, latency, status = others
        yield {
            "prediction_id": str(identifier),
            "model_name": MODEL,
            "model_version": version,
            "predicted_at": predicted_at,
            "features": dict(zip(FEATURES, values, strict=True)),
            "prediction": {"label": label, "scores": {"true": score}},
            "latency_ms": latency,
            "status_code": status,
            "error": "the model failed" if status >= 500 else None,
        }


def _json_values(column: "pd.Series[Any]") -> Iterable[object]:
    """Null for what is missing, text for what can't be read as a number."""
    if column.dtype != "float64":
        return column.astype(object).where(column.notna(), None).tolist()
    values = column.astype(object)
    return (
        values.where(column.notna(), None).where(column != float("inf"), "n/a").tolist()
    )


def _iso_times(column: "pd.Series[pd.Timestamp]") -> list[str]:
    return column.dt.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00").tolist()
