"""``python -m simulator`` as a person meets it, and the files it writes."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestration import warehouse
from orchestration.warehouse import ConnectionSettings
from simulator.__main__ import app
from simulator.exporting import export_replay
from simulator.flights import FlightHistory
from simulator.loading import LoadCounts, load_lines, load_records
from simulator.records import Target
from simulator.replay import Plan, replay

CHECKOUT = Path(__file__).parents[2]


def simulator(
    *arguments: str,
    database: ConnectionSettings | None = None,
    **environment: str,
) -> Result:
    settings = {} if database is None else database.environ()
    return CliRunner().invoke(
        app,
        arguments,
        env={"COLUMNS": "100", **settings, **environment},
    )


def one_line(error: str) -> str:
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1, error
    return error


@pytest.fixture(scope="module")
def two_days(week: Plan) -> Plan:
    """The first two days of the week: an amount of rows that loads in no time."""
    return replace(week, served_until=week.served_from + timedelta(days=2))


@pytest.fixture(scope="module")
def exported(
    two_days: Plan, history: FlightHistory, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    export_replay(two_days, history, directory)
    return directory


@pytest.mark.parametrize("command", [[], ["run"], ["load"], ["export"]])
def test_help_says_what_a_command_does(command: list[str]) -> None:
    result = simulator(*command, "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_it_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "simulator", "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
        timeout=120,
    )

    assert b"Usage: python -m simulator" in result.stdout


def test_exported_files_load_to_the_same_rows_as_the_replay(
    exported: Path,
    two_days: Plan,
    history: FlightHistory,
    fresh_database: Any,
    collected: Callable[..., Any],
) -> None:

    rows = collected(replay(two_days, history))
    with (
        fresh_database() as database,
        warehouse.connect(database, autocommit=True) as connection,
    ):
        for target, expected in (
            (Target.PREDICTION_LOGS, rows.predictions),
            (Target.GROUND_TRUTH, rows.labels),
            (Target.BASELINE_LOGS, rows.baseline),
        ):
            with (exported / f"{target}.jsonl.gz").open("rb") as stream:
                counts = load_lines(connection, stream, target=target, source="test")
            assert counts == LoadCounts(loaded=len(expected))
            # The same from the replay itself is a duplicate, row for row.
            again = load_records(connection, expected, target=target, source="test")
            assert again == LoadCounts(duplicates=len(expected))


def test_the_same_replay_is_exported_to_the_same_bytes(
    exported: Path, two_days: Plan, history: FlightHistory, tmp_path: Path
) -> None:
    written = export_replay(two_days, history, tmp_path)

    assert {path.name for path in written} == {
        f"{table}.jsonl.gz"
        for table in (
            "prediction_logs",
            "ground_truth",
            "baseline_logs",
            "deployments",
            "simulated_incidents",
        )
    }
    for path, count in written.items():
        assert path.read_bytes() == (exported / path.name).read_bytes()
        assert gzip.decompress(path.read_bytes()).count(b"\n") == count


def test_a_file_is_loaded_and_its_lines_are_accounted_for(
    exported: Path, database: ConnectionSettings, tmp_path: Path
) -> None:
    lines = gzip.decompress((exported / "ground_truth.jsonl.gz").read_bytes())
    some = b"".join(lines.splitlines(keepends=True)[:100]) + b"oops\n"

    file = tmp_path / "labels.jsonl"
    file.write_bytes(some)

    first = simulator("load", str(file), "--target", "ground_truth", database=database)
    second = subprocess.run(
        [sys.executable, "-m", "simulator", "load", "-", "--target", "ground_truth"],
        cwd=CHECKOUT,
        env=os.environ | database.environ(),
        input=some,
        capture_output=True,
        check=True,
        timeout=120,
    )

    assert first.exit_code == 0, first.stderr
    assert "raw.ground_truth │      101 │    100 │          0 │           1" in (
        first.stdout
    )
    assert "raw.ground_truth │      101 │      0 │        101 │           0" in (
        second.stdout.decode()
    )
    assert "rows per second" in first.stdout
    assert "raw.quarantine holds" in first.stdout


def test_a_whole_run_from_the_command_line(database: ConnectionSettings) -> None:
    arguments = ("run", "--weeks", "1", "--no-shift", "--scenario", "none")
    first = simulator(*arguments, database=database)
    other = simulator(*arguments, "--seed", "14", database=database)

    assert first.exit_code == 0, first.stderr
    output = first.stdout
    assert "raw.prediction_logs" in output
    assert "2013-02-19" in output
    assert other.exit_code == 1
    assert "already holds an unshifted simulation with seed 13" in one_line(
        other.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["load", "/nowhere.jsonl", "--target", "ground_truth"], "/nowhere.jsonl"),
        (["load", "/tmp", "--target", "ground_truth"], "/tmp"),
        (["run", "--scenario", "/nowhere.yml"], "/nowhere.yml cannot be read"),
        (["run", "--end-date", "2999-01-01"], "--end-date 2999-01-01 is not over yet"),
    ],
)
def test_what_a_user_can_put_right_is_told_in_a_sentence(
    arguments: list[str], message: str, database: ConnectionSettings
) -> None:
    result = simulator(*arguments, database=database)

    assert result.exit_code == 1
    assert message in one_line(result.stderr)


def test_a_warehouse_out_of_reach_is_told_in_a_sentence(tmp_path: Path) -> None:
    result = simulator(
        "load", "-", "--target", "ground_truth", PGHOST=str(tmp_path), PGUSER="nobody"
    )

    assert result.exit_code == 1
    assert str(tmp_path) in one_line(result.stderr)


def test_modules_other_than_the_command_know_no_clock_and_no_environment() -> None:
    for path in (CHECKOUT / "simulator").glob("*.py"):
        source = path.read_text()
        if path.name == "__main__.py":
            continue
        for forbidden in ("datetime.now", "os.environ", "sys.argv", "orchestration"):
            assert forbidden not in source, f"{path.name}: {forbidden}"
