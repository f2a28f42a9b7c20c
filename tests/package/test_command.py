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
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orchestration import warehouse
from orchestration.cli import app
from orchestration.embedded import programs
from orchestration.roles import LOADER, READER, ROLES, TRANSFORMER
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


PASSWORDS = {
    LOADER: ("DRIFTLINE_LOADER_PASSWORD", "one secret"),
    TRANSFORMER: ("DRIFTLINE_TRANSFORMER_PASSWORD", "another' secret"),
    READER: ("DRIFTLINE_READER_PASSWORD", "100 % secret"),
}


@pytest.fixture
def powerless(
    postgres: ConnectionSettings, database: ConnectionSettings
) -> Iterator[ConnectionSettings]:
    """The database's owner, who may make schemas but no roles."""
    with warehouse.connect(postgres, autocommit=True) as connection:
        connection.execute("create role powerless login")
        connection.execute(f"alter database {database.dbname} owner to powerless")
        yield replace(database, user="powerless")
        connection.execute(f"alter database {database.dbname} owner to current_user")
    with warehouse.connect(database, autocommit=True) as connection:
        connection.execute("drop owned by powerless cascade; drop role powerless")


def test_init_makes_the_raw_schema_and_the_roles_with_their_passwords(
    database: ConnectionSettings, driftline: Driftline
) -> None:
    variables = dict(PASSWORDS.values())
    try:
        result = driftline("init", **variables, **database.environ())
        again = driftline("init", **database.environ())

        assert result.returncode == 0, result.stderr
        assert "no new password" not in result.stdout
        for secret in variables.values():
            assert secret not in result.stdout + result.stderr
        assert again.returncode == 0, again.stderr
        for role, (variable, _) in PASSWORDS.items():
            assert f"{role} has no new password: {variable}" in again.stdout
        with warehouse.connect(database) as connection:
            assert connection.execute(
                "select to_regclass('raw.prediction_logs') is not null, array_agg("
                "rolpassword like 'SCRAM%%') from pg_authid where rolname = any(%s)",
                [list(ROLES)],
            ).fetchone() == (True, [True, True, True])
    finally:
        # Roles of the whole server, which other tests use too.
        with warehouse.connect(database, autocommit=True) as connection:
            for role in ROLES:
                connection.execute(f"alter role {role} password null")


def test_init_without_the_right_to_make_roles_says_what_to_do(
    powerless: ConnectionSettings, driftline: Driftline
) -> None:
    refused = driftline("init", **powerless.environ())
    assert refused.returncode == 1
    assert "powerless may not make roles" in refused.stderr
    assert "`driftline init --print-sql`" in refused.stderr
    with warehouse.connect(powerless) as connection:
        assert connection.execute(
            "select to_regnamespace('raw') is null"
        ).fetchone() == (True,)

    without = driftline("init", "--no-roles", **powerless.environ())
    assert without.returncode == 0, without.stderr
    with warehouse.connect(powerless) as connection:
        assert connection.execute(
            "select to_regclass('raw.prediction_logs') is not null"
        ).fetchone() == (True,)


def test_init_prints_sql_that_an_administrator_can_run(
    powerless: ConnectionSettings, database: ConnectionSettings, driftline: Driftline
) -> None:
    secret = "never printed"
    # No warehouse is needed.
    result = driftline("init", "--print-sql", DRIFTLINE_READER_PASSWORD=secret)
    assert result.returncode == 0, result.stderr
    assert secret not in result.stdout

    psql = subprocess.run(
        [programs() / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet"],
        input=result.stdout,
        env={**os.environ, **database.environ()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert psql.returncode == 0, psql.stderr
    with warehouse.connect(database) as connection:
        assert connection.execute(
            "select has_table_privilege(%s, 'raw.prediction_logs', 'insert'),"
            " has_table_privilege(%s, 'raw.prediction_logs', 'select')",
            [LOADER, TRANSFORMER],
        ).fetchone() == (True, True)


def test_init_tells_of_tables_that_others_built_and_hands_them_over(
    database: ConnectionSettings, driftline: Driftline
) -> None:
    with warehouse.connect(database, autocommit=True) as connection:
        connection.execute("create schema marts; create table marts.monitors ()")

    told = driftline("init", **database.environ())
    assert "1 that postgres built stay its own" in told.stdout
    assert "`driftline init --hand-over`" in told.stdout

    handed_over = driftline("init", "--hand-over", **database.environ())
    assert handed_over.returncode == 0, handed_over.stderr
    assert "stay its own" not in handed_over.stdout
    with warehouse.connect(database) as connection:
        assert connection.execute(
            "select tableowner from pg_tables where schemaname = 'marts'"
        ).fetchall() == [(TRANSFORMER,)]
