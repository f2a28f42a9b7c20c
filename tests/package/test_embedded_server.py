"""The embedded server: starting, stopping, and each way in which it can't."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from psycopg import sql

from orchestration import embedded, warehouse
from orchestration.embedded import Machine
from orchestration.warehouse import ConnectionSettings, WarehouseError

# The command: its arguments, then variables by name.
Driftline = Callable[..., subprocess.CompletedProcess[str]]

PASSWORD = "s3cret/of:ada@%"


@pytest.fixture
def home() -> Iterator[Path]:
    """A state directory that the server's user can reach, stopped at the end."""
    base = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        yield base / "home"
    finally:
        warehouse.stop(base / "home")
        shutil.rmtree(base)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Give up root's rights for a while: root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def postmaster(home: Path) -> psutil.Process:
    first_line = (home / "postgres" / "postmaster.pid").read_text().splitlines()[0]
    return psutil.Process(int(first_line))


def count_servers(home: Path) -> int:
    data = str(home / "postgres")
    return sum(
        data in (process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
    )


def test_it_starts_answers_and_stops(home: Path) -> None:
    settings = warehouse.start(home, durable=False)
    assert warehouse.is_running(home)
    with warehouse.connect(settings) as connection:
        row = connection.execute("select current_database(), current_user").fetchone()
    assert row == ("driftline", "postgres")

    assert warehouse.stop(home)
    assert not warehouse.is_running(home)
    assert not warehouse.stop(home)
    with pytest.raises(WarehouseError, match="start it with `driftline up`"):
        warehouse.connect(settings)


def test_its_data_outlives_a_restart(home: Path) -> None:
    settings = warehouse.start(home)
    with warehouse.connect(settings) as connection:
        connection.execute("create table kept as select 1 as one")
    warehouse.stop(home)
    warehouse.start(home)
    with warehouse.connect(settings) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_nobody_else_can_reach_it(home: Path) -> None:
    warehouse.start(home, durable=False)
    for directory in (home / "run", home / "postgres"):
        assert directory.stat().st_mode & 0o077 == 0
    assert not [
        connection
        for connection in postmaster(home).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def test_it_never_runs_as_root(home: Path) -> None:
    warehouse.start(home, durable=False)
    assert postmaster(home).uids().effective != 0


def test_it_inherits_none_of_the_callers_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", PASSWORD)
    warehouse.start(home, durable=False)
    assert "SOME_TOKEN" not in postmaster(home).environ()


def test_every_setting_is_accepted_and_in_force(home: Path) -> None:
    settings = warehouse.start(home)
    with warehouse.connect(settings) as connection:
        faults = connection.execute(
            "select name, error from pg_file_settings where error is not null"
        ).fetchall()
        overruled = connection.execute(
            "select name from pg_file_settings"
            " where sourcefile like '%driftline.conf' and not applied"
        ).fetchall()
        in_force = connection.execute(
            "select name, setting from pg_settings where name = any(%s)",
            [["jit", "work_mem", "fsync", "wal_level", "TimeZone"]],
        ).fetchall()
    assert faults == []
    assert overruled == []
    assert dict(in_force) == {
        "jit": "off",
        "work_mem": "65536",
        "fsync": "on",
        "wal_level": "minimal",
        "TimeZone": "UTC",
    }


@pytest.mark.parametrize(
    ("memory", "shared_buffers"),
    [(1 << 28, "65536kB"), (1 << 31, "524288kB"), (1 << 36, "1048576kB")],
)
def test_memory_is_fitted_to_the_machine(memory: int, shared_buffers: str) -> None:
    text = embedded.configuration(
        Machine(memory=memory, cores=2, shared_memory=None),
        sockets=Path("/run"),
        port=None,
        durable=True,
    )
    assert f"shared_buffers = {shared_buffers}\n" in text
    assert "fsync" not in text


def test_a_small_shared_memory_device_is_avoided() -> None:
    def settings_with(shared_memory: int) -> str:
        return embedded.configuration(
            Machine(memory=1 << 32, cores=2, shared_memory=shared_memory),
            sockets=Path("/run"),
            port=None,
            durable=True,
        )

    assert "dynamic_shared_memory_type = mmap" in settings_with(64 << 20)
    assert "dynamic_shared_memory_type" not in settings_with(1 << 30)


def test_starting_again_changes_nothing(home: Path) -> None:
    first = warehouse.start(home, durable=False)
    process = postmaster(home)
    assert warehouse.start(home, durable=False) == first
    assert postmaster(home) == process


def test_several_starts_at_once_make_one_server(home: Path) -> None:
    processes = [
        subprocess.Popen(
            [Path(sys.executable).with_name("driftline"), "up"],
            env={**os.environ, "DRIFTLINE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert count_servers(home) == 1


def test_a_path_too_long_for_a_socket_is_no_obstacle(
    home: Path, driftline: Driftline
) -> None:
    long_home = home.parent / ("long" * 30)
    try:
        settings = warehouse.start(long_home, durable=False)
        assert settings == warehouse.settings({"DRIFTLINE_HOME": str(long_home)})
        warehouse.connect(settings).close()
        sockets = Path(settings.host)
        assert sockets.stat().st_mode & 0o077 == 0
        # The same directory again, and not one more for each start.
        warehouse.stop(long_home)
        assert warehouse.start(long_home, durable=False) == settings
        shown = driftline("up", DRIFTLINE_HOME=str(long_home)).stdout
        assert 'eval "$(driftline env)"' in shown
    finally:
        warehouse.stop(long_home)
        shutil.rmtree(sockets)


def test_a_crashed_server_is_started_again(home: Path) -> None:
    settings = warehouse.start(home)
    with warehouse.connect(settings) as connection:
        connection.execute("create table kept as select 1 as one")
        connection.commit()
        # Commits are written within the second, or at the latest by this.
        connection.execute("checkpoint")
    process = postmaster(home)
    children = process.children()
    process.kill()
    psutil.wait_procs([process, *children], timeout=30)
    assert not warehouse.is_running(home)

    warehouse.start(home)
    with warehouse.connect(settings) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_lock_files_that_name_an_unrelated_process_are_stale(home: Path) -> None:
    warehouse.start(home, durable=False)
    pid_file = home / "postgres" / "postmaster.pid"
    lock_file = home / "run" / ".s.PGSQL.5432.lock"
    left_over = {
        path: re.sub(r"^\d+", str(os.getpid()), path.read_text())
        for path in (pid_file, lock_file)
    }
    warehouse.stop(home)
    for path, text in left_over.items():
        path.write_text(text)
    assert not warehouse.is_running(home)

    warehouse.connect(warehouse.start(home, durable=False)).close()


def test_on_a_port_it_asks_for_a_password_and_keeps_its_socket(
    home: Path, free_port: Callable[[], int], driftline: Driftline
) -> None:
    port = free_port()
    settings = warehouse.start(home, port=port, durable=False)
    assert warehouse.tcp_port(home) == port
    with warehouse.connect(settings, autocommit=True) as connection:
        # A statement with a parameter can't be prepared for this one.
        connection.execute(
            sql.SQL("create role ada login password {}").format(sql.Literal(PASSWORD))
        )
    ada = replace(
        settings, host="127.0.0.1", port=port, user="ada", source="PGHOST, PGPORT"
    )
    warehouse.connect(replace(ada, password=PASSWORD)).close()

    with pytest.raises(WarehouseError) as wrong:
        warehouse.connect(replace(ada, password="wrong-one"))
    assert str(wrong.value) == (
        f"The server at 127.0.0.1:{port} refused the password of user 'ada': correct "
        "PGPASSWORD, or the password in DRIFTLINE_DATABASE_URL."
    )
    with pytest.raises(WarehouseError, match="wants a password for user 'ada'"):
        warehouse.connect(ada)
    with pytest.raises(WarehouseError, match="has no database 'nothing'"):
        warehouse.connect(replace(ada, password=PASSWORD, dbname="nothing"))

    url = ada.url().replace("ada@", "ada:wrong-one@")
    refused = driftline("status", DRIFTLINE_DATABASE_URL=url)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"Error: The server at 127.0.0.1:{port} refused")
    assert refused.stderr.count("\n") == 1
    assert "wrong-one" not in refused.stderr

    with pytest.raises(WarehouseError, match="already runs, and not on port"):
        warehouse.start(home, port=free_port())


def test_the_password_of_a_role_stays_out_of_the_log(home: Path) -> None:
    settings = warehouse.start(home, durable=False)
    with (
        warehouse.connect(settings, autocommit=True) as connection,
        pytest.raises(Exception, match="does not exist"),
    ):
        connection.execute(f"alter role nobody_here password '{PASSWORD}'")
    assert PASSWORD not in (home / "postgres" / "server.log").read_text()


def test_a_taken_port_is_told(home: Path, taken_port: int) -> None:
    told = f"Port {taken_port} of 127.0.0.1 is taken"
    with pytest.raises(WarehouseError, match=told):
        warehouse.start(home, port=taken_port)
    assert not warehouse.is_running(home)
    # And nothing stands in the way of the next try.
    warehouse.start(home)


def test_a_socket_taken_by_another_server_is_told(home: Path) -> None:
    warehouse.start(home, durable=False)
    other = home.parent / "other"
    other.mkdir()
    (other / "run").symlink_to(home / "run")
    with pytest.raises(WarehouseError) as caught:
        warehouse.start(other)
    pid = postmaster(home).pid
    assert f"is taken by another Postgres (process {pid})" in str(caught.value)
    warehouse.connect(warehouse.embedded_settings(home)).close()


def test_data_of_another_major_version_is_told(home: Path) -> None:
    warehouse.start(home, durable=False)
    warehouse.stop(home)
    (home / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(WarehouseError) as caught:
        warehouse.start(home)
    assert str(caught.value) == (
        f"The data in {home}/postgres is of PostgreSQL 16, but the installed server is "
        f"PostgreSQL {embedded.SERVER_VERSION}: move that directory away, or set "
        "DRIFTLINE_HOME to another."
    )


def test_foreign_files_are_not_taken_for_data(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "thesis.txt").write_text("the only copy")
    with pytest.raises(WarehouseError, match="something else than Postgres data"):
        warehouse.start(home)
    assert (home / "postgres" / "thesis.txt").exists()


def test_a_killed_initialisation_leaves_nothing_half_made(home: Path) -> None:
    half = home / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    warehouse.connect(warehouse.start(home, durable=False)).close()
    assert not half.exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="make it writable, or set"):
        warehouse.start(tmp_path / "file" / "home")


def test_a_directory_of_someone_else_is_told(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    home.parent.chmod(0o755)
    with as_ordinary_user(), pytest.raises(WarehouseError) as caught:
        warehouse.start(home)
    assert str(caught.value) == (
        f"The directory {home} can't be used (Permission denied: {home}/lock): make it "
        "writable, or set DRIFTLINE_HOME to another."
    )


def test_a_server_that_is_too_old_is_told(
    postgres: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No such server can be installed here: only its answer is invented.
    monkeypatch.setattr(warehouse, "_server_version", lambda connection: 140_009)
    with pytest.raises(WarehouseError) as caught:
        warehouse.connect(postgres)
    assert str(caught.value) == (
        f"The server at {postgres.place} is PostgreSQL 14, but Driftline needs 15 or "
        "later."
    )


def test_the_oldest_supported_server_will_do(
    postgres: ConnectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "_server_version", lambda connection: 150_000)
    warehouse.connect(postgres).close()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PGHOST": "no-such-host.invalid"}, "'no-such-host.invalid' of PGHOST is not"),
        ({"PGHOST": "127.0.0.1", "PGPORT": "1"}, "No Postgres answers at 127.0.0.1:1"),
        ({"PGHOST": "/nowhere"}, "No Postgres answers at the socket /nowhere/"),
        ({"DRIFTLINE_DATABASE_URL": "mysql://root@host/x"}, "is not the address of"),
        ({"PGHOST": "h", "PGPORT": "x"}, "must be a number from 1 to 65535, not 'x'"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_sentence(
    variables: dict[str, str], told: str, driftline: Driftline
) -> None:
    completed = driftline("up", **variables)
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert completed.stderr.startswith("Error: ")
    assert told in completed.stderr
    assert completed.stderr.count("\n") == 1


def test_a_start_waits_for_a_server_that_recovers(home: Path) -> None:
    warehouse.start(home)
    process = postmaster(home)
    process.send_signal(signal.SIGSTOP)
    try:
        assert warehouse.is_running(home)
    finally:
        process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 30
    while process.status() == psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.05)
    warehouse.connect(warehouse.start(home)).close()
