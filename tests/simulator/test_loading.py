"""Loading into a real Postgres: what arrives, what is dropped, what is kept apart."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator import loading, reading
from simulator.loading import (
    LoadCounts,
    SimulatedIncident,
    create_raw_schema,
    load_lines,
    load_simulated_incidents,
)
from simulator.reading import BATCH_LINES
from simulator.records import Target

START = datetime(2026, 10, 31, 22, tzinfo=UTC)


def prediction(number: int, **changes: object) -> dict[str, Any]:
    """A prediction; every hour brings another, so they reach over a month's end."""
    return {
        "prediction_id": f"p{number}",
        "model_name": "churn",
        "model_version": "1",
        "predicted_at": (START + timedelta(hours=number)).isoformat(),
        "features": {"age": number, "city": "Oslo"},
        "prediction": {"label": "yes", "scores": {"yes": 0.75, "no": 0.25}},
        "latency_ms": 1.5,
        "status_code": 200,
        "error": None,
    } | changes


def label(identifier: str, actual: object, *, hours: int = 0) -> dict[str, Any]:
    return {
        "prediction_id": identifier,
        "actual": actual,
        "observed_at": (START + timedelta(days=1, hours=hours)).isoformat(),
    }


def as_stream(*lines: object) -> io.BufferedReader:
    """JSON lines of objects; bytes are taken as they are."""
    raw = [
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    ]
    return as_file(b"".join(line + b"\n" for line in raw))


def as_file(content: bytes) -> io.BufferedReader:
    # BytesIO can do all that a raw stream must.
    return io.BufferedReader(io.BytesIO(content))


def load(
    connection: psycopg.Connection,
    *lines: object,
    target: Target = Target.PREDICTION_LOGS,
    batch_lines: int = BATCH_LINES,
) -> LoadCounts:
    return load_lines(
        connection,
        as_stream(*lines),
        target=target,
        source="test",
        batch_lines=batch_lines,
    )


def labels_of(connection: psycopg.Connection, identifier: str) -> list[object]:
    """The labels of a prediction, oldest load first."""
    rows = connection.execute(
        "select actual from raw.ground_truth where prediction_id = %s"
        " order by loaded_at",
        [identifier],
    )
    return [actual for (actual,) in rows]


def count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from raw.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_predictions_arrive_as_they_were_sent(connection: psycopg.Connection) -> None:
    sent = prediction(
        0,
        prediction_id='🛫 "quoted" \\N \t it\'s',
        features={"big": 10**30, "huge": 10**308, "text": "ø\n\\.", "none": None},
        prediction=None,
        status_code=503,
        error="timed\tout\\",
    )

    assert load(connection, sent) == LoadCounts(loaded=1)

    row = connection.execute(
        "select prediction_id, model_name, model_version, predicted_at, features,"
        " prediction, latency_ms, status_code, error from raw.prediction_logs"
    ).fetchone()
    assert row is not None
    assert row[3] == START
    assert (*row[:3], *row[4:]) == (
        sent["prediction_id"],
        "churn",
        "1",
        sent["features"],
        None,
        1.5,
        503,
        "timed\tout\\",
    )


def test_nan_and_infinity_arrive_as_strings(connection: psycopg.Connection) -> None:
    features = {"a": float("nan"), "b": float("inf"), "c": float("-inf")}
    load(connection, prediction(0, features=features, prediction=float("nan")))

    row = connection.execute(
        "select features, prediction from raw.prediction_logs"
    ).fetchone()
    assert row == ({"a": "NaN", "b": "Infinity", "c": "-Infinity"}, "NaN")


def test_loading_a_file_again_adds_nothing(connection: psycopg.Connection) -> None:
    lines = [*map(prediction, range(9)), b"not json", prediction(9, latency_ms=-1)]

    first = load(connection, *lines)
    second = load(connection, *lines)

    assert first == LoadCounts(loaded=9, quarantined=2)
    assert second == LoadCounts(duplicates=11)
    assert count(connection, "prediction_logs") == 9
    assert count(connection, "quarantine") == 2


def test_only_the_first_of_the_same_prediction_in_a_file_is_loaded(
    connection: psycopg.Connection,
) -> None:
    same_instant = START.astimezone().isoformat()
    counts = load(
        connection,
        prediction(0, latency_ms=1),
        prediction(0, latency_ms=2, predicted_at=same_instant),
    )

    assert counts == LoadCounts(loaded=1, duplicates=1)
    latency = connection.execute("select latency_ms from raw.prediction_logs")
    assert latency.fetchall() == [(1.0,)]


def test_duplicates_are_found_across_batches(connection: psycopg.Connection) -> None:
    lines = [prediction(number % 5) for number in range(12)]

    counts = load(connection, *lines, batch_lines=3)

    assert counts == LoadCounts(loaded=5, duplicates=7)
    assert count(connection, "loads") == 4


def test_a_bad_line_is_quarantined_whole_and_the_rest_is_loaded(
    connection: psycopg.Connection,
) -> None:
    broken = json.dumps(prediction(1)).encode()[:-1] + b"  "
    counts = load(connection, prediction(0), b"", broken, b"  ", prediction(2))

    assert counts == LoadCounts(loaded=2, quarantined=1)
    row = connection.execute(
        "select target, line_number, payload, reason, load_id from raw.quarantine"
    ).fetchone()
    assert row is not None
    assert row[:3] == ("prediction_logs", 3, broken.decode())
    assert row[3].startswith("the line is not JSON")
    assert connection.execute("select load_id from raw.loads").fetchall() == [(row[4],)]


def test_a_file_of_bad_lines_only_is_no_failure(connection: psycopg.Connection) -> None:
    assert load(connection, b"{", b"[]") == LoadCounts(quarantined=2)


def test_bytes_that_postgres_cannot_store_are_quarantined_as_escapes(
    connection: psycopg.Connection,
) -> None:
    load(connection, b"zero \x00 and \xff")

    payload = connection.execute("select payload from raw.quarantine").fetchone()
    assert payload == (r"zero \x00 and \xff",)


@pytest.mark.parametrize("target", list(Target))
def test_every_line_is_accounted_for(
    connection: psycopg.Connection, target: Target
) -> None:
    lines = [
        prediction(number % 4) | label(f"p{number % 4}", number % 2)
        for number in range(9)
    ]

    counts = load(connection, *lines, b"bad", b"bad", b"", target=target)

    assert counts.received == 11
    stored = connection.execute(
        "select received_count, loaded_count, duplicate_count, quarantined_count"
        " from raw.loads"
    ).fetchall()
    assert stored == [
        (counts.received, counts.loaded, counts.duplicates, counts.quarantined)
    ]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update raw.loads set received_count = received_count + 1")


def test_all_rows_of_a_load_have_its_time(connection: psycopg.Connection) -> None:
    load(connection, *map(prediction, range(5)))

    times = connection.execute(
        "select distinct prediction_logs.loaded_at, loads.loaded_at, loads.started_at"
        " from raw.prediction_logs cross join raw.loads"
    ).fetchall()
    assert len(times) == 1
    assert times[0][0] == times[0][1] > times[0][2]


def test_months_get_their_partitions_in_utc_whatever_the_session_thinks(
    connection: psycopg.Connection,
) -> None:
    connection.execute("set timezone to 'Pacific/Kiritimati'")
    load(connection, *map(prediction, range(4)), prediction(24 * 45))

    partitions = connection.execute(
        "select tableoid::regclass::text, count(*) from raw.prediction_logs"
        " group by 1 order by 1"
    ).fetchall()
    assert partitions == [
        ("raw.prediction_logs_2026_10", 2),
        ("raw.prediction_logs_2026_11", 2),
        ("raw.prediction_logs_2026_12", 1),
    ]


def test_rows_that_others_wrote_into_a_month_to_come_are_moved_to_its_partition(
    connection: psycopg.Connection,
) -> None:
    create_raw_schema(connection)
    connection.execute(
        "insert into raw.prediction_logs"
        " (prediction_id, model_name, model_version, predicted_at, features)"
        " values ('direct', 'churn', '1', %s, '{}'), ('p1', 'churn', '1', %s, '{}')",
        [START, START + timedelta(hours=1)],
    )
    assert count(connection, "prediction_logs_default") == 2

    counts = load(connection, prediction(0), prediction(1))

    assert counts == LoadCounts(loaded=1, duplicates=1)
    assert count(connection, "prediction_logs_default") == 0
    assert count(connection, "prediction_logs_2026_10") == 3


def test_partitions_made_by_another_rule_are_used(
    connection: psycopg.Connection,
) -> None:
    create_raw_schema(connection)
    connection.execute(
        "create table raw.of_2026 partition of raw.prediction_logs"
        " for values from ('2026-01-01 00:00+00') to ('2027-01-01 00:00+00')"
    )

    assert load(connection, prediction(0)) == LoadCounts(loaded=1)
    assert count(connection, "of_2026") == 1


def test_a_label_sent_again_is_a_duplicate_and_a_restated_one_a_new_row(
    connection: psycopg.Connection,
) -> None:
    target = Target.GROUND_TRUTH
    assert load(connection, label("p1", "no"), target=target).loaded == 1
    assert load(connection, label("p1", "no"), target=target).duplicates == 1
    assert load(connection, label("p1", "yes"), target=target).loaded == 1
    # The old one arriving once more, say from a replayed file, changes nothing.
    assert load(connection, label("p1", "no"), target=target).duplicates == 1

    assert labels_of(connection, "p1") == ["no", "yes"]


def test_of_several_labels_in_a_batch_the_last_observed_wins(
    connection: psycopg.Connection,
) -> None:
    counts = load(
        connection,
        label("p1", "late", hours=5),
        label("p1", "early", hours=1),
        label("p2", "first"),
        label("p2", "last"),
        target=Target.GROUND_TRUTH,
    )

    assert counts == LoadCounts(loaded=2, duplicates=2)
    assert labels_of(connection, "p1") == ["late"]
    assert labels_of(connection, "p2") == ["last"]


def test_labels_restated_in_later_batches_of_a_file_are_kept_in_order(
    connection: psycopg.Connection,
) -> None:
    states = [label("p1", state, hours=state) for state in range(5)]

    load(connection, *states, target=Target.GROUND_TRUTH, batch_lines=1)
    again = load(connection, *states, target=Target.GROUND_TRUTH, batch_lines=1)

    assert labels_of(connection, "p1") == [0, 1, 2, 3, 4]
    assert again == LoadCounts(duplicates=5)


@pytest.mark.parametrize(
    "text", ["tab\t", "line\nend\r\n", "\\", "\\N", "\\.", "\\t", "'\"", "\x01", "🛩 é"]
)
def test_texts_arrive_as_they_were_sent(
    connection: psycopg.Connection, text: str
) -> None:
    sent = prediction(0, prediction_id=text, error=text, features={text: text})

    load(connection, sent)
    # A second batch of the same is staged, as one of its rows is there already.
    load(connection, sent, prediction(1, error=text))

    rows = connection.execute(
        "select prediction_id, error, features from raw.prediction_logs"
        " order by predicted_at"
    ).fetchall()
    assert rows == [
        (text, text, {text: text}),
        ("p1", text, {"age": 1, "city": "Oslo"}),
    ]


def test_a_gzipped_file_is_read_like_a_plain_one(
    connection: psycopg.Connection,
) -> None:
    plain = as_stream(*map(prediction, range(3))).read()
    counts = load_lines(
        connection,
        as_file(gzip.compress(plain[:200]) + gzip.compress(plain[200:])),
        target=Target.PREDICTION_LOGS,
        source="test",
    )

    assert counts == LoadCounts(loaded=3)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda packed: packed[:-200], id="truncated"),
        pytest.param(lambda packed: packed[:-8] + b"\0" * 8, id="wrong checksum"),
        pytest.param(lambda packed: packed + b"garbage", id="garbage behind"),
    ],
)
def test_of_a_damaged_file_all_that_can_be_read_is_loaded_and_the_end_is_one_entry(
    connection: psycopg.Connection, damage: Callable[[bytes], bytes]
) -> None:
    plain = as_stream(
        *(prediction(0, prediction_id=f"p{number}") for number in range(20_000))
    ).read()
    damaged = damage(gzip.compress(plain))

    def load_it() -> LoadCounts:
        return load_lines(
            connection,
            as_file(damaged),
            target=Target.PREDICTION_LOGS,
            source="test",
        )

    counts = load_it()

    assert counts.quarantined == 1
    assert 15_000 < counts.loaded <= 20_000
    reason = connection.execute("select reason from raw.quarantine").fetchone()
    assert reason is not None
    assert reason[0].startswith("the file cannot be read beyond this line: ")
    assert load_it() == LoadCounts(duplicates=counts.received)


def test_what_a_corrupt_file_unpacks_to_is_accounted_for_and_its_end_says_so(
    connection: psycopg.Connection,
) -> None:
    packed = gzip.compress(as_stream(*map(prediction, range(5_000))).read())
    half = len(packed) // 2
    corrupt = packed[:half] + b"\xff" * 100 + packed[half + 100 :]

    counts = load_lines(
        connection, as_file(corrupt), target=Target.PREDICTION_LOGS, source="test"
    )

    assert counts.loaded > 1_000
    assert counts.quarantined > 0
    ends = connection.execute(
        "select count(*) from raw.quarantine where starts_with(reason, %s)",
        ["the file cannot be read beyond this line: "],
    ).fetchone()
    assert ends == (1,)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(
    connection: psycopg.Connection,
) -> None:
    plain = as_stream(prediction(0), prediction(1)).read()
    windows = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n").removesuffix(b"\r\n")

    counts = load_lines(
        connection, as_file(windows), target=Target.PREDICTION_LOGS, source="test"
    )

    assert counts == LoadCounts(loaded=2)


def test_a_line_without_end_is_cut_and_the_next_one_is_loaded(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "KEPT_LINE_BYTES", 2_000_000)
    endless = b"x" * 3_000_000

    counts = load(connection, prediction(0), endless, prediction(1))

    assert counts == LoadCounts(loaded=2, quarantined=1)
    kept = connection.execute(
        "select line_number, length(payload), reason from raw.quarantine"
    ).fetchone()
    assert kept == (
        2,
        2_000_000,
        "the line is longer than 2000000 bytes; its end is left out",
    )


def test_an_empty_file_loads_nothing(connection: psycopg.Connection) -> None:
    assert load(connection) == LoadCounts()


def test_progress_counts_the_lines_done(connection: psycopg.Connection) -> None:
    done: list[int] = []

    load_lines(
        connection,
        as_stream(*map(prediction, range(5))),
        target=Target.PREDICTION_LOGS,
        source="test",
        progress=done.append,
        batch_lines=2,
    )

    assert done == [2, 4, 5]


def test_the_process_that_reads_ends_with_the_loader(
    database: ConnectionSettings, tmp_path: Path
) -> None:
    fifo = tmp_path / "lines"
    os.mkfifo(fifo)
    loader = subprocess.Popen(
        [
            *(sys.executable, "-m", "simulator"),
            *("load", str(fifo), "--target", Target.PREDICTION_LOGS),
        ],
        env=os.environ | database.environ(),
    )
    line = json.dumps(prediction(0)).encode() + b"\n"
    with fifo.open("wb") as file:
        # Two batches and a half: the loader waits for more.
        file.write(line * (BATCH_LINES * 5 // 2))
        file.flush()
        children = psutil.Process(loader.pid).children(recursive=True)
        loader.kill()
        loader.wait()
        _, alive = psutil.wait_procs(children, timeout=30)
    assert children
    assert not alive


@pytest.mark.parametrize("target", list(Target))
def test_loaders_at_once_neither_fail_nor_double(
    database: ConnectionSettings, target: Target
) -> None:
    lines = [prediction(number) | label(f"p{number}", "yes") for number in range(2_000)]
    results: list[LoadCounts] = []

    def load_all() -> None:
        with warehouse.connect(database, autocommit=True) as connection:
            results.append(
                load(connection, *lines, b"bad", target=target, batch_lines=300)
            )

    loaders = [threading.Thread(target=load_all) for _ in range(4)]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()

    total = sum(results, LoadCounts())
    assert len(results) == 4
    assert total == LoadCounts(loaded=2_000, duplicates=3 * 2_001, quarantined=1)
    with warehouse.connect(database) as connection:
        assert count(connection, target.value) == 2_000


def test_a_row_that_appears_while_loading_is_a_duplicate(
    connection: psycopg.Connection,
    database: ConnectionSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(connection, prediction(0))
    insertion = loading._insertion

    def beaten_to_it(*arguments: Any) -> Any:
        statement = insertion(*arguments)
        # Between the two, as the statement sees only what was there when it began.
        return psycopg.sql.SQL("{} union all {}").format(
            statement,
            psycopg.sql.SQL("select *, now() from staged where prediction_id = 'p1'"),
        )

    monkeypatch.setattr(loading, "_insertion", beaten_to_it)

    counts = load(connection, prediction(0), prediction(1), prediction(2))

    assert counts == LoadCounts(loaded=2, duplicates=1)


def test_a_connection_inside_a_transaction_is_refused(
    connection: psycopg.Connection,
) -> None:
    with connection.transaction(), pytest.raises(ValueError, match="transaction"):
        create_raw_schema(connection)


def test_a_failure_leaves_nothing_of_its_batch(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_raw_schema(connection)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "_record_load", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(connection, prediction(0), b"bad")

    assert count(connection, "prediction_logs") == 0
    assert count(connection, "quarantine") == 0
    assert load(connection, prediction(0), b"bad").received == 2


def test_the_schema_can_be_made_again_and_by_several_at_once(
    database: ConnectionSettings,
) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            with warehouse.connect(database, autocommit=True) as connection:
                create_raw_schema(connection)
                create_raw_schema(connection)
        except psycopg.Error as error:
            failures.append(error)

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()

    assert not failures


def test_a_schema_of_an_earlier_version_gets_the_columns_that_it_lacks(
    connection: psycopg.Connection,
) -> None:
    create_raw_schema(connection)
    earlier = SimulatedIncident(
        incident_id="earlier",
        scenario="default",
        kind="outage",
        model_name=None,
        model_version=None,
        column_name=None,
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        ended_at=datetime(2026, 3, 2, tzinfo=UTC),
        family="service_health",
        size="90% of requests",
        description="90% of requests fail with status 503.",
        level="obvious",
    )
    load_simulated_incidents(connection, [earlier], source="test")
    connection.execute("alter table raw.simulated_incidents drop column level")

    create_raw_schema(connection)

    later = earlier._replace(incident_id="later")
    load_simulated_incidents(connection, [later], source="test")
    levels = connection.execute(
        "select incident_id, level from raw.simulated_incidents order by 1"
    ).fetchall()
    assert levels == [("earlier", None), ("later", "obvious")]
    with pytest.raises(psycopg.errors.CheckViolation):
        load_simulated_incidents(
            connection, [later._replace(incident_id="x", level="huge")], source="test"
        )


def test_a_schema_of_before_there_were_functions_gets_them(
    connection: psycopg.Connection,
) -> None:
    create_raw_schema(connection)
    connection.execute(
        "drop function raw.make_month(timestamptz);"
        " drop function raw.analyze_table(text)"
    )

    assert load(connection, prediction(0)) == LoadCounts(loaded=1)
    assert count(connection, "prediction_logs_2026_10") == 1


def test_every_table_and_column_of_the_raw_schema_is_described(
    connection: psycopg.Connection,
) -> None:
    create_raw_schema(connection)

    undescribed = connection.execute(
        "select relname, attname from pg_class"
        " join pg_attribute on attrelid = pg_class.oid and attnum > 0"
        " where relnamespace = 'raw'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition and (col_description(attrelid, attnum) is null"
        " or obj_description(pg_class.oid) is null)"
    ).fetchall()
    assert undescribed == []


_text = st.text(max_size=20)
_value = st.none() | st.booleans() | st.integers() | st.floats() | _text


@pytest.fixture(scope="module")
def module_connection(module_database: ConnectionSettings) -> Any:
    with warehouse.connect(module_database, autocommit=True) as connection:
        yield connection


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    sent=st.lists(
        st.fixed_dictionaries(
            {
                "prediction_id": _text,
                "features": st.dictionaries(_text, _value, max_size=4),
                "prediction": _value,
                "actual": _value,
                "latency_ms": st.none() | st.floats() | st.integers(),
                "error": st.none() | _text,
                "predicted_at": st.datetimes(timezones=st.timezones()).map(
                    datetime.isoformat
                ),
            }
        ),
        max_size=8,
    ),
    target=st.sampled_from(Target),
)
def test_whatever_passes_the_checks_is_accepted_by_postgres(
    module_connection: psycopg.Connection, sent: list[dict[str, Any]], target: Target
) -> None:
    lines = [
        prediction(0) | {"observed_at": content["predicted_at"]} | content
        for content in sent
    ]

    assert load(module_connection, *lines, target=target).received == len(lines)
