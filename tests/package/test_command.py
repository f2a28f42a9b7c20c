"""The ``driftline`` command, as a person uses it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orchestration import warehouse
from orchestration.cli import app
from orchestration.roles import READER
from orchestration.warehouse import ConnectionSettings

Driftline = Callable[..., subprocess.CompletedProcess[str]]

PASSWORD = 'it\'s a $(secret) `of` "ada"'
SERVER = ConnectionSettings(
    host="127.0.0.1", port=1, user="ada", dbname="logs", password=PASSWORD
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        yield base
    finally:
        subprocess.run(
            [Path(sys.executable).with_name("driftline"), "down"],
            env={**os.environ, "DRIFTLINE_HOME": str(base)},
            check=True,
        )
        shutil.rmtree(base)


def test_help_lists_every_command_with_one_line(driftline: Driftline) -> None:
    shown = driftline("--help").stdout
    for command in ("up", "down", "status", "url", "env", "ui", "incidents", "deliver"):
        assert f"│ {command} " in shown
    assert "Warehouse" in shown
    assert "Pipeline" in shown


@pytest.mark.parametrize("command", ["up", "down", "status", "url", "env", "ui"])
def test_every_command_has_help(command: str, driftline: Driftline) -> None:
    completed = driftline(command, "--help")
    assert completed.returncode == 0
    assert f"Usage: driftline {command}" in completed.stdout


def test_without_arguments_the_help_is_shown(driftline: Driftline) -> None:
    assert "Usage: driftline" in driftline().stdout


def test_a_warehouse_goes_up_and_down(driftline: Driftline, home: Path) -> None:
    place = {"DRIFTLINE_HOME": str(home)}
    shown = driftline("up", **place)
    assert shown.returncode == 0, shown.stderr
    assert "started" in shown.stdout
    assert str(home / "run" / ".s.PGSQL.5432") in shown.stdout
    assert "driftline demo" in shown.stdout

    assert "already running" in driftline("up", **place).stdout
    assert driftline("status", **place).returncode == 0
    assert driftline("down", **place).stdout.startswith("Stopped")
    assert "was not running" in driftline("down", **place).stdout

    stopped = driftline("status", **place)
    assert stopped.returncode == 1
    assert stopped.stderr == (
        "Error: The embedded Postgres is not running: start it with `driftline up`.\n"
    )


def test_the_url_is_all_that_url_prints(driftline: Driftline) -> None:
    variables = SERVER.environ()
    assert driftline("url", **variables).stdout == SERVER.url() + "\n"
    libpq = driftline("url", "--libpq", **variables).stdout
    assert libpq == SERVER.url(driver=None) + "\n"


def test_a_shell_takes_in_what_env_prints(driftline: Driftline) -> None:
    printed = driftline("env", DRIFTLINE_DATABASE_URL=SERVER.url()).stdout
    shell = subprocess.run(
        ["sh", "-c", 'eval "$1"; env', "sh", printed],
        env={"PATH": os.environ["PATH"], "DRIFTLINE_DATABASE_URL": "postgresql://x"},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    assert variables.items() >= SERVER.environ().items()


def test_a_failure_that_nobody_expected_shows_no_local_variables() -> None:
    assert app.pretty_exceptions_show_locals is False


def test_an_unexpected_error_is_not_disguised() -> None:
    broken = typer.Typer(cls=app.info.cls)

    @broken.command()
    def first() -> None:
        raise ZeroDivisionError

    @broken.command()
    def second() -> None: ...

    result = CliRunner().invoke(broken, ["first"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_taken_port_for_the_interface_is_told(driftline: Driftline) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        completed = driftline("ui", "--port", str(port))
    assert completed.returncode == 1
    assert completed.stderr == (
        f"Error: Port {port} of 127.0.0.1 is taken by another program: choose another "
        "with `driftline ui --port`.\n"
    )


def test_the_interface_answers_on_loopback_and_stops_on_ctrl_c(
    home: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("driftline"), "ui", "--port", str(port)],
            env={**os.environ, "DRIFTLINE_HOME": str(home)},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        answer = b""
        deadline = time.monotonic() + 120
        while not answer and process.poll() is None and time.monotonic() < deadline:
            try:
                address = f"http://127.0.0.1:{port}/server_info"
                with urllib.request.urlopen(address) as response:
                    answer = response.read()
            except urllib.error.URLError:
                time.sleep(0.5)
        assert b"dagster_webserver_version" in answer, output.read_text()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
    finally:
        # Dagster's code server outlives it by up to 45 seconds.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
    assert f"Dagster at http://127.0.0.1:{port}" in output.read_text()
    telemetry = (home / "dagster" / "dagster.yaml").read_text()
    assert "telemetry:\n  enabled: false\n" in telemetry


def test_init_makes_the_raw_schema_and_the_reader_with_its_password(
    database: ConnectionSettings, driftline: Driftline
) -> None:
    password = "a secret"
    try:
        result = driftline(
            "init", DRIFTLINE_READER_PASSWORD=password, **database.environ()
        )

        assert result.returncode == 0, result.stderr
        assert password not in result.stdout + result.stderr
        with warehouse.connect(database) as connection:
            assert connection.execute(
                "select to_regclass('raw.prediction_logs') is not null, rolpassword"
                " like 'SCRAM%%' from pg_authid where rolname = %s",
                [READER],
            ).fetchone() == (True, True)
    finally:
        # A role of the whole server, which other tests use too.
        with warehouse.connect(database, autocommit=True) as connection:
            connection.execute(f"alter role {READER} password null")
