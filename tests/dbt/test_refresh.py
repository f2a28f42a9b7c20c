"""After any sequence of events, the marts equal those of one full refresh."""

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from orchestration import warehouse
from orchestration.project import (
    DBT_EXECUTABLE,
    PROJECT_DIR,
    Dbt,
    DbtRun,
    NodeOutcome,
)
from orchestration.warehouse import ConnectionSettings
from tests.dbt.arrivals import (
    ARRIVALS,
    late_labels,
    later_predictions,
    more_of_the_baseline,
    predictions_out_of_order,
    rows_from_the_future,
    rows_without_a_version,
)
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import assert_same_marts, read_mart, read_marts
from tests.dbt.prediction_log import (
    START,
    draw_predictions,
    insert_labels,
    insert_predictions,
)

Build = Callable[..., DbtRun]


@pytest.mark.parametrize(
    "arrivals",
    ARRIVALS,
    ids=lambda arrivals: " ".join(each.__name__ for each in arrivals),
)
def test_what_arrives_later_leaves_the_marts_of_a_full_refresh(
    arrivals: tuple[Callable[[psycopg.Connection], None], ...],
    copied_log: ConnectionSettings,
    dbt: Dbt,
) -> None:
    with warehouse.connect(copied_log) as connection:
        for arrive in arrivals:
            arrive(connection)
            connection.commit()

    dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_late_day_changes_what_is_compared_with_it(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    """The scores of the next day, of the day a week later, and of the next week."""

    def arrive(start: timedelta, days: int, prefix: str, shift: float) -> None:
        with warehouse.connect(copied_log) as connection:
            insert_predictions(
                connection,
                draw_predictions(
                    np.random.default_rng(9),
                    model_name="flight_delay",
                    count=60 * days,
                    start=START + start,
                    days=days,
                    prefix=prefix,
                    shift=shift,
                ),
                loaded_at=None,
            )

    arrive(timedelta(days=7), 2, "week", 0)
    dbt.build(MODELS_ONLY)
    before = read_mart(copied_log, "drift")
    arrive(timedelta(0), 1, "late", 3)
    dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))
    for grain, days, compared_to in (
        ("day", 1, "previous"),
        ("day", 7, "last_week"),
        ("week", 7, "previous"),
    ):
        window = ("flight_delay", "all", "all", "all", grain)
        key = (*window, START + timedelta(days=days), "pressure", "psi", compared_to)
        assert (
            before[(*key, "sql")]["score"] != refreshed["drift"][(*key, "sql")]["score"]
        )
        untouched = (*key[:8], "baseline", "sql")
        assert before[untouched]["score"] == refreshed["drift"][untouched]["score"]


def test_retracted_rows_are_gone_after_a_run_that_reconciles(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    before = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        # Some rows of a day, all rows of another, and some labels.
        connection.execute(
            "delete from raw.prediction_logs where prediction_id ~ '[24]$'"
        )
        connection.execute(
            "delete from raw.prediction_logs where predicted_at >= %s",
            [START + timedelta(days=2)],
        )
        connection.execute("delete from raw.ground_truth where prediction_id ~ '6$'")
        connection.commit()

    dbt.build(MODELS_ONLY, variables={"reconcile": True})
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))
    assert len(refreshed["service_health"]) < len(before["service_health"])


def test_a_changed_monitor_block_is_applied_to_all_of_its_history(
    copied_log: ConnectionSettings, dbt: Dbt, monitor_blocks: list[dict[str, object]]
) -> None:
    monitor_blocks[0] |= {
        "segments": ["origin x carrier"],
        "fairness": [],
        "windows": {"traffic": "hour", "columns": "hour"},
        "features": {
            "dep_delay": "numerical",
            "origin": "categorical",
            "carrier": "categorical",
        },
    }
    changed = {"monitors": monitor_blocks}

    dbt.build(MODELS_ONLY, variables=changed)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"], variables=changed)

    assert_same_marts(refreshed, read_marts(copied_log))
    segments = {
        key[2] for key in refreshed["service_health"] if key[0] == "flight_delay"
    }
    assert segments == {"all", "origin x carrier"}


def test_a_block_changed_back_after_an_unfinished_run_leaves_the_marts_as_before(
    copied_log: ConnectionSettings, dbt: Dbt, monitor_blocks: list[dict[str, object]]
) -> None:
    expected = read_marts(copied_log)
    monitor_blocks[0] |= {"segments": [], "fairness": []}

    dbt.build(
        [*MODELS_ONLY, "--exclude", "data_quality"],
        variables={"monitors": monitor_blocks},
    )
    first = dbt.build(MODELS_ONLY)
    second = dbt.build(MODELS_ONLY)

    assert_same_marts(read_marts(copied_log), expected)
    assert first.messages != second.messages
    assert second.messages == (
        "Driftline: nothing has arrived, no window was refreshed.",
    )


def test_a_monitor_whose_block_is_gone_leaves_the_marts(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    expected = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        # Its only run never came to the ledger.
        for relation in (
            "intermediate.int_traffic_stats",
            "intermediate.int_service_health",
        ):
            columns = connection.execute(
                """
                select string_agg(quote_ident(attname), ', ' order by attnum)
                from pg_attribute
                where attrelid = %s::regclass and attnum > 1 and not attisdropped
                """,
                [relation],
            ).fetchone()
            assert columns is not None
            connection.execute(
                f"insert into {relation} (monitor, {columns[0]}) "
                f"select 'former', {columns[0]} from {relation} "
                "where monitor = 'flight_delay'"
            )
        connection.commit()

    dbt.build(MODELS_ONLY)

    assert_same_marts(read_marts(copied_log), expected)


def test_a_run_killed_midway_is_made_good_by_the_next(
    copied_log: ConnectionSettings,
    dbt: Dbt,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        late_labels(connection)
        connection.commit()

    process = start_build(dbt_environment(copied_log), tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "OK created" in line and "intermediate.int_column_bins" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    with warehouse.connect(copied_log) as connection:
        unrecorded = connection.execute(
            """
            select count(*) from intermediate.int_stale_windows as stale
            where not exists (
                select 1 from intermediate.int_window_ledger as ledger
                where ledger.refreshed_by = stale.invocation_id
            )
            """
        ).fetchone()
    assert unrecorded is not None
    assert unrecorded[0] > 0
    assert copies_of_rows(copied_log) != []
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            "update intermediate.row_copies set copied_at = now() - interval '25 hours'"
        )
        connection.commit()

    dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))
    assert copies_of_rows(copied_log) == []


def test_two_runs_at_once_leave_the_marts_of_a_full_refresh(
    copied_log: ConnectionSettings,
    dbt: Dbt,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        late_labels(connection)
        connection.commit()
    environment = dbt_environment(copied_log)

    processes = [
        start_build(environment, tmp_path / str(number)) for number in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])
    assert_same_marts(refreshed, read_marts(copied_log))


def start_build(
    environment: dict[str, str], target_path: Path
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            str(DBT_EXECUTABLE),
            "--no-use-colors",
            "build",
            *MODELS_ONLY,
            *("--project-dir", str(PROJECT_DIR)),
            *("--profiles-dir", str(PROJECT_DIR)),
            *("--target-path", str(target_path), "--log-path", str(target_path)),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_run_without_arrivals_refreshes_nothing_and_says_so(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    before = read_marts(copied_log)

    run = dbt.build(MODELS_ONLY)

    assert run.messages == ("Driftline: nothing has arrived, no window was refreshed.",)
    assert_same_marts(read_marts(copied_log), before)


def test_only_a_relation_whose_comments_differ_gets_them_again(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    # xmin is the transaction that wrote a comment.
    written = """
        select objoid::regclass::text, objsubid, description, xmin::text
        from pg_description
        where classoid = 'pg_class'::regclass
            and objoid in ('marts.drift'::regclass, 'marts.service_health'::regclass)
        order by 1, 2
    """
    with warehouse.connect(copied_log) as connection:
        before = connection.execute(written).fetchall()
        connection.execute("comment on column marts.drift.score is 'mine'")
        connection.commit()

        dbt.build([*MODELS_ONLY, "--select", "drift", "service_health"])
        after = connection.execute(written).fetchall()

    assert {table for table, *_ in before} == {"marts.drift", "marts.service_health"}
    assert [row[:3] for row in after] == [row[:3] for row in before]
    kept = [row for row in after if row[0] == "marts.service_health"]
    assert kept == [row for row in before if row[0] == "marts.service_health"]


def test_a_label_refreshes_only_the_window_of_its_prediction(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            insert into raw.ground_truth (prediction_id, actual, observed_at)
            select prediction_id, '1', predicted_at
            from raw.prediction_logs
            where model_name = 'flight_delay'
            order by predicted_at
            limit 1
            """
        )
        connection.commit()

    run = dbt.build(MODELS_ONLY)

    assert run.messages == (
        "Driftline: flight_delay: 1 windows refreshed, labels arrived.",
    )


def test_windows_can_be_refreshed_on_demand(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    expected = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute("delete from marts.data_quality")
        connection.commit()

    run = dbt.build(
        MODELS_ONLY,
        variables={
            "refresh_from": "2026-03-02",
            "refresh_to": "2026-03-10",
            "only_monitors": ["flight_delay"],
        },
    )

    assert len(run.messages) == 1
    assert run.messages[0].startswith("Driftline: flight_delay: ")
    quality = read_marts(copied_log)["data_quality"]
    assert_same_marts(
        {"data_quality": quality},
        {
            "data_quality": {
                key: row
                for key, row in expected["data_quality"].items()
                if key[0] == "flight_delay"
            }
        },
    )


def test_a_run_that_leaves_a_mart_out_leaves_its_windows_stale(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        connection.commit()

    dbt.build([*MODELS_ONLY, "--exclude", "data_quality"])
    run = dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert any("windows refreshed" in message for message in run.messages)
    assert_same_marts(refreshed, read_marts(copied_log))


def test_rows_that_arrive_after_one_from_the_future_are_seen(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        rows_from_the_future(connection)
        connection.commit()
    dbt.build(MODELS_ONLY)
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        late_labels(connection)
        connection.commit()

    dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_run_without_the_baselines_leaves_its_windows_stale(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        more_of_the_baseline(connection)
        connection.commit()

    dbt.build([*MODELS_ONLY, "--exclude", "int_baselines"])
    dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert_same_marts(refreshed, read_marts(copied_log))


def test_scattered_windows_are_looked_up_instead_of_listed(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    """Every other hour of ten days: more ranges than a condition should have."""
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            insert into raw.prediction_logs
            select
                'scattered-' || hours.hour, 'flight_delay', '1',
                timestamptz '2026-01-01 00:30:00+00' + hours.hour * interval '2 hours',
                '{"dep_delay": 3, "carrier": "AA"}', '4', 20, 200, null,
                clock_timestamp()
            from generate_series(0, 119) as hours (hour)
            """
        )
        connection.commit()

    run = dbt.build(MODELS_ONLY)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert run.messages == (
        "Driftline: flight_delay: 120 windows refreshed, new windows.",
    )
    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_table_that_was_dropped_is_built_whole(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    expected = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute("drop table marts.status_codes cascade")
        connection.execute("drop table intermediate.int_score_buckets cascade")
        connection.commit()

    dbt.build(MODELS_ONLY)

    assert_same_marts(read_marts(copied_log), expected)


def test_a_run_that_another_overtakes_reads_what_is_newest(
    copied_log: ConnectionSettings,
    dbt: Dbt,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    """Its copy of the rows is older than what the other run has already written."""
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        connection.commit()

    def overtake(node: NodeOutcome) -> None:
        if node.name != "int_refresh_windows":
            return
        with warehouse.connect(copied_log) as connection:
            late_labels(connection)
            predictions_out_of_order(connection)
            rows_without_a_version(connection)
            connection.commit()
        other = start_build(dbt_environment(copied_log), tmp_path)
        output = other.communicate()[0]
        assert other.returncode == 0, output

    dbt.build(MODELS_ONLY, on_node=overtake)
    refreshed = read_marts(copied_log)
    assert copies_of_rows(copied_log) == []
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    # The ledger, which it shows, may say less than was read: the next run sees that.
    del refreshed["monitors"]
    expected = read_marts(copied_log)
    del expected["monitors"]
    assert_same_marts(refreshed, expected)


def test_a_copy_of_rows_that_a_crash_of_the_server_emptied_is_not_read(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    with warehouse.connect(copied_log) as connection:
        later_predictions(connection)
        late_labels(connection)
        connection.commit()
    emptied = []

    def crash(node: NodeOutcome) -> None:
        if node.name != "int_refresh_windows":
            return
        with warehouse.connect(copied_log) as connection:
            for name in copies_of_rows(copied_log):
                emptied.append(name)
                connection.execute(f"truncate intermediate.{name}")
            connection.commit()

    dbt.build(MODELS_ONLY, on_node=crash)
    refreshed = read_marts(copied_log)
    dbt.build([*MODELS_ONLY, "--full-refresh"])

    assert len(emptied) == 3
    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_model_that_is_built_by_itself_reads_the_log(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    def contents() -> list[tuple[object, ...]]:
        with warehouse.connect(copied_log) as connection:
            return connection.execute(
                """
                select * from intermediate.int_column_bins
                order by 1, 2, 3, 4, 5, 6, 7, 8, 9
                """
            ).fetchall()

    expected = contents()
    with warehouse.connect(copied_log) as connection:
        connection.execute("drop table intermediate.int_column_bins cascade")
        connection.commit()

    dbt.build(["--select", "int_column_bins", *MODELS_ONLY])

    assert contents() == expected


def copies_of_rows(settings: ConnectionSettings) -> list[str]:
    with warehouse.connect(settings) as connection:
        found = connection.execute(
            """
            select relname::text from pg_class
            where relnamespace = 'intermediate'::regnamespace and relname ~ '^copy_'
                and relkind = 'r'
            """
        ).fetchall()
    return [name for (name,) in found]


KEPT = (
    "Driftline: warning: {}: rows of its baseline are gone from the log, so the"
    " baseline stays what it was; to compute it and all windows from what is left,"
    " run `dbt build --vars 'reconcile: true'`."
)
NOTHING = "Driftline: nothing has arrived, no window was refreshed."


@pytest.fixture
def build_of_first_day(
    copied_log: ConnectionSettings,
    monitor_blocks: list[dict[str, object]],
    tmp_path: Path,
) -> Build:
    """Builds the marts with the first day of each log as its baseline."""
    for block in monitor_blocks:
        block["baseline"] = {"first": "1 day"}
    variables: dict[str, object] = {"monitors": monitor_blocks}

    class DbtOfFirstDay(Dbt):
        """dbt that knows the blocks when it parses: they depend on other models."""

        def parse(self) -> None:
            if self._manifest is None:
                command = ["parse", "--vars", json.dumps(variables)]
                self._manifest = self._invoke(command, []).result

    dbt = DbtOfFirstDay(copied_log, target_path=tmp_path)

    def build(*selection: str, **others: object) -> DbtRun:
        return dbt.build([*MODELS_ONLY, *selection], variables=variables | others)

    build()
    return build


def test_days_that_retention_drops_stay_in_the_marts_and_in_the_baseline(
    copied_log: ConnectionSettings, build_of_first_day: Build
) -> None:
    before = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            create table dropped as
            select * from raw.prediction_logs where predicted_at < %s
            """,
            [START + timedelta(days=1)],
        )
        connection.execute(
            "delete from raw.prediction_logs where predicted_at < %s",
            [START + timedelta(days=1)],
        )
        connection.commit()

    run = build_of_first_day()

    names = ("flight_delay", "flight_delay_band", "flight_delayed")
    kept = tuple(KEPT.format(name) for name in names)
    assert run.messages == (*kept, NOTHING)
    assert_same_marts(read_marts(copied_log), before)

    later = draw_predictions(
        np.random.default_rng(8),
        model_name="flight_delay",
        count=150,
        start=START + timedelta(days=2),
        days=2,
        version="2",
        shift=1,
    )
    with warehouse.connect(copied_log) as connection:
        insert_predictions(connection, later, loaded_at=None)
        insert_labels(connection, later[::2], loaded_at=None)

    run = build_of_first_day()

    refreshed = read_marts(copied_log)
    assert run.messages[:3] == kept
    assert len(refreshed["drift"]) > len(before["drift"])
    # As if nothing had been dropped.
    with warehouse.connect(copied_log) as connection:
        connection.execute("insert into raw.prediction_logs select * from dropped")
        connection.commit()
    build_of_first_day("--full-refresh")
    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_row_long_before_all_others_is_not_the_baseline_but_earlier_days_are(
    copied_log: ConnectionSettings, build_of_first_day: Build
) -> None:
    def baseline_rows() -> list[tuple[object, ...]]:
        with warehouse.connect(copied_log) as connection:
            return connection.execute(
                "select monitor, baseline_row_count, definition_hash "
                "from marts.monitors order by monitor"
            ).fetchall()

    before = baseline_rows()
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            insert into raw.prediction_logs
            select
                'old-' || prediction_id, model_name, model_version,
                timestamptz '2000-01-01 00:00:00+00', features, prediction, latency_ms,
                status_code, error, clock_timestamp()
            from raw.prediction_logs
            where prediction_id ~ '-1$'
            """
        )
        connection.commit()

    build_of_first_day()

    assert baseline_rows() == before

    # So many that the day before becomes the first, though it holds fewer rows.
    with warehouse.connect(copied_log) as connection:
        insert_predictions(
            connection,
            draw_predictions(
                np.random.default_rng(3),
                model_name="flight_delay",
                count=60,
                start=START - timedelta(days=1),
                days=1,
                prefix="early",
            ),
            loaded_at=None,
        )

    run = build_of_first_day()

    refreshed = read_marts(copied_log)
    after = baseline_rows()
    assert any("flight_delay: 7" in message for message in run.messages), run.messages
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    build_of_first_day("--full-refresh")
    assert_same_marts(refreshed, read_marts(copied_log))


def test_a_baseline_takes_rows_that_come_at_once_and_gives_up_others_when_it_is_told(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    before = read_marts(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute("delete from raw.baseline_logs where prediction_id ~ '7$'")
        connection.commit()

    run = dbt.build(MODELS_ONLY)

    assert len(run.messages) == 4
    assert run.messages[-1] == NOTHING
    assert_same_marts(read_marts(copied_log), before)

    with warehouse.connect(copied_log) as connection:
        more_of_the_baseline(connection)
        connection.commit()
    only = {"reconcile": True, "only_monitors": ["flight_delayed"]}
    run = dbt.build(MODELS_ONLY, variables=only)

    # That rows of flight_delay have gone as well, more of which came, no count tells.
    assert [message for message in run.messages if "warning" in message] == [
        KEPT.format("flight_delay_band")
    ]

    run = dbt.build(MODELS_ONLY, variables={"reconcile": True})

    refreshed = read_marts(copied_log)
    assert not any("warning" in message for message in run.messages)
    dbt.build([*MODELS_ONLY, "--full-refresh"])
    assert_same_marts(refreshed, read_marts(copied_log))
