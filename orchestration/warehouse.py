"""Which Postgres holds the data, how to connect to it, and the embedded server.

The warehouse is, in this order:

1. the one that ``DRIFTLINE_DATABASE_URL`` names;
2. the one that libpq's variables name, if any of ``PGHOST``, ``PGHOSTADDR``,
   ``PGPORT``, ``PGSERVICE`` or ``PGDATABASE`` is set;
3. the embedded server of this checkout, which :func:`start` starts.

What 1 and 2 leave open is as libpq has it, except that the database is ``driftline``
and the host ``localhost``. ``dbt_project/profiles.yml`` follows the same rules.
"""

import configparser
import contextlib
import fcntl
import getpass
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestration.embedded import (
    SOCKET_PORT,
    SUPERUSER,
    EmbeddedServer,
    socket_directory,
)
from orchestration.errors import WarehouseError as WarehouseError

DATABASE = "driftline"
MINIMUM_SERVER_VERSION = 15

_CHECKOUT = Path(__file__).resolve().parent.parent

# PGUSER and PGPASSWORD say who connects, not where to; alone they change nothing.
_SELECTING_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE")

_CONNECT_SECONDS = 10

# A server that crashed replays its log before it lets anybody in.
_RECOVERY_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """Where the warehouse is and who connects.

    ``host`` is a name, an address, or the absolute path of a socket's directory.
    ``source`` says where the settings came from, for messages: a variable's name, or
    ``"embedded"``. ``parameters`` are further libpq parameters of the URL, such as
    ``sslrootcert``. Secrets never show in the ``repr``.
    """

    host: str
    port: int
    user: str
    dbname: str
    password: str | None = field(default=None, repr=False)
    sslmode: str | None = None
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    source: str = field(default="embedded", compare=False)

    @property
    def is_embedded(self) -> bool:
        """Whether these settings point at the embedded server."""
        return self.source == "embedded"

    @property
    def place(self) -> str:
        """The server in words, without user or password."""
        if self.host.startswith("/"):
            return f"the socket {self.host}/.s.PGSQL.{self.port}"
        return f"{self.host}:{self.port}"

    def url(self, *, driver: str | None = "psycopg") -> str:
        """SQLAlchemy's URL, password included; a libpq URI if ``driver`` is None."""
        scheme = "postgresql" if driver is None else f"postgresql+{driver}"
        userinfo = quote(self.user, safe="")
        if self.password is not None:
            userinfo += ":" + quote(self.password, safe="")
        query = dict(self.parameters)
        if self.sslmode is not None:
            query["sslmode"] = self.sslmode
        if self.host.startswith("/"):
            netloc = ""
            query |= {"host": self.host, "port": str(self.port)}
        elif ":" in self.host:
            netloc = f"[{self.host}]:{self.port}"
        else:
            netloc = f"{quote(self.host, safe='')}:{self.port}"
        address = f"{scheme}://{userinfo}@{netloc}/{quote(self.dbname, safe='')}"
        # quote, not quote_plus: libpq takes a "+" for itself.
        return address + ("?" + urlencode(query, quote_via=quote) if query else "")

    def conninfo(self) -> str:
        """libpq's connection string, password included."""
        return make_conninfo(
            **dict(self.parameters),
            host=self.host,
            port=self.port,
            user=self.user,
            dbname=self.dbname,
            password=self.password,
            sslmode=self.sslmode,
        )

    def environ(self) -> dict[str, str]:
        """libpq's ``PG*`` variables, password included, for subprocesses and dbt."""
        variables = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.dbname,
            "PGSSLMODE": self.sslmode,
        }
        names = _variables_of_parameters()
        for parameter, value in self.parameters:
            if parameter in names:
                variables[names[parameter]] = value
        return {name: value for name, value in variables.items() if value is not None}


def home(environ: Mapping[str, str]) -> Path:
    """The state directory: ``DRIFTLINE_HOME``, or ``.driftline`` in the checkout."""
    chosen = environ.get("DRIFTLINE_HOME")
    return Path(chosen).expanduser().absolute() if chosen else _CHECKOUT / ".driftline"


def settings(environ: Mapping[str, str]) -> ConnectionSettings:
    """The warehouse that the variables in ``environ`` choose.

    Nothing is connected to. Raises ``WarehouseError`` if a variable can't be read.
    """
    local = embedded_settings(home(environ))
    url = environ.get("DRIFTLINE_DATABASE_URL")
    chosen = [name for name in _SELECTING_VARIABLES if environ.get(name)]
    if url:
        found = _settings_of_url(url, environ)
    elif chosen:
        found = _settings_of_parameters(
            _parameters_of_service(environ), environ, source=", ".join(chosen)
        )
    else:
        return local
    # As after `eval "$(driftline env)"`: named or not, it is the embedded server.
    same = (found.host, found.port, found.dbname) == (local.host, local.port, DATABASE)
    return replace(found, source=local.source) if same else found


def embedded_settings(home: Path) -> ConnectionSettings:
    """How to reach the embedded server of a state directory, running or not."""
    with _usable(home):
        sockets = socket_directory(home)
    return ConnectionSettings(
        host=str(sockets),
        port=SOCKET_PORT,
        user=SUPERUSER,
        dbname=DATABASE,
    )


def connect(
    settings: ConnectionSettings, *, autocommit: bool = False
) -> psycopg.Connection:
    """An open connection whose session is in UTC.

    Raises ``WarehouseError`` if the server can't be reached, refuses the user, or is
    older than PostgreSQL 15.
    """
    parameters = {
        "connect_timeout": str(_CONNECT_SECONDS),
        "application_name": "driftline",
        **dict(settings.parameters),
    }
    conninfo = make_conninfo(settings.conninfo(), **parameters)
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise WarehouseError(_refusal(settings, str(error))) from error
    version = _server_version(connection)
    if version // 10_000 < MINIMUM_SERVER_VERSION:
        connection.close()
        raise WarehouseError(
            f"The server at {settings.place} is PostgreSQL {version // 10_000}, but "
            f"Driftline needs {MINIMUM_SERVER_VERSION} or later."
        )
    # A server of someone else's may have any zone as its default.
    connection.execute("set time zone 'UTC'")
    connection.autocommit = autocommit
    return connection


def start(
    home: Path, *, port: int | None = None, durable: bool = True
) -> ConnectionSettings:
    """Start the embedded server if need be, and create its database.

    It listens on a Unix socket that only its own user and root can open, and with
    ``port`` on 127.0.0.1 too, where a password is asked for. ``durable=False`` is for
    servers that are thrown away: a crash of the machine may corrupt the data.

    Safe to call twice, and from several processes at once. Raises ``WarehouseError``
    if the server can't be started.
    """
    server = EmbeddedServer(home)
    with _locked(home):
        running = server.postmaster()
        if running is None:
            server.initialise(durable=durable)
            server.configure(port=port, durable=durable)
            server.start(port=port)
        elif port not in (None, running.tcp_port):
            raise WarehouseError(
                f"The server already runs, and not on port {port}: run `driftline "
                f"down`, then `driftline up --port {port}`."
            )
        settings = embedded_settings(home)
        _create_database(settings)
    return settings


def stop(home: Path) -> bool:
    """Stop the embedded server; false if it was not running.

    Open sessions are ended and their transactions rolled back. Raises
    ``WarehouseError`` if it does not stop.
    """
    if not is_running(home):
        return False
    with _locked(home):
        server = EmbeddedServer(home)
        # Someone else may have stopped it while we waited for the lock.
        if server.postmaster() is None:
            return False
        server.stop()
    return True


def is_running(home: Path) -> bool:
    """Whether the embedded server of this state directory is running."""
    with _usable(home):
        return EmbeddedServer(home).postmaster() is not None


def tcp_port(home: Path) -> int | None:
    """The port of 127.0.0.1 that the running embedded server listens on, if any."""
    with _usable(home):
        running = EmbeddedServer(home).postmaster()
    return running.tcp_port if running else None


@contextlib.contextmanager
def _usable(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WarehouseError(
            f"The directory {home} can't be used ({error.strerror}: "
            f"{error.filename}): make it writable, or set DRIFTLINE_HOME to another."
        ) from error


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold a state directory against other processes; made if there is none."""
    with _usable(home):
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _create_database(settings: ConnectionSettings) -> None:
    with _connect_when_recovered(replace(settings, dbname="postgres")) as connection:
        found = connection.execute(
            "select 1 from pg_database where datname = %s", [settings.dbname]
        ).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("create database {}").format(sql.Identifier(settings.dbname))
            )


def _connect_when_recovered(settings: ConnectionSettings) -> psycopg.Connection:
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while True:
        try:
            return connect(settings, autocommit=True)
        except WarehouseError as error:
            if "starting up" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _settings_of_url(url: str, environ: Mapping[str, str]) -> ConnectionSettings:
    variable = "DRIFTLINE_DATABASE_URL"
    if not re.match(r"postgres(ql)?(\+\w+)?://", url):
        raise WarehouseError(_unreadable(variable))
    # SQLAlchemy's driver is no business of libpq's.
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    try:
        parameters = conninfo_to_dict(plain)
    except psycopg.ProgrammingError:
        # libpq's message, and with it the traceback, would quote the password.
        raise WarehouseError(_unreadable(variable)) from None
    found = {name: str(value) for name, value in parameters.items()}
    # A password with a bare "@" or "/" spills into the host and the port.
    if "@" in found.get("host", "") or not _is_port(found.get("port", "5432")):
        raise WarehouseError(_unreadable(variable))
    return _settings_of_parameters(found, environ, source=variable)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _unreadable(variable: str) -> str:
    return (
        f"{variable} is not the address of a Postgres database: it must look like "
        "postgresql://user:password@host:5432/database, with special characters "
        "percent-encoded."
    )


def _settings_of_parameters(
    parameters: Mapping[str, str], environ: Mapping[str, str], *, source: str
) -> ConnectionSettings:
    """Explicit libpq parameters first, then the ``PG*`` variables, then defaults."""

    def chosen(parameter: str, variable: str) -> str | None:
        return parameters.get(parameter) or environ.get(variable) or None

    port = chosen("port", "PGPORT") or "5432"
    if not _is_port(port):
        raise WarehouseError(
            f"The port in {source} must be a number from 1 to 65535, not {port!r}."
        )
    known = {"host", "hostaddr", "port", "user", "dbname", "password", "sslmode"}
    return ConnectionSettings(
        host=(
            parameters.get("host")
            or parameters.get("hostaddr")
            or environ.get("PGHOST")
            or environ.get("PGHOSTADDR")
            or "localhost"
        ),
        port=int(port),
        user=chosen("user", "PGUSER") or getpass.getuser(),
        dbname=chosen("dbname", "PGDATABASE") or DATABASE,
        password=chosen("password", "PGPASSWORD"),
        sslmode=chosen("sslmode", "PGSSLMODE"),
        parameters=tuple(
            (name, value)
            for name, value in sorted(parameters.items())
            if name not in known
        ),
        source=source,
    )


def _parameters_of_service(environ: Mapping[str, str]) -> dict[str, str]:
    """What the service file says of ``PGSERVICE``; it outranks the variables."""
    service = environ.get("PGSERVICE")
    if not service:
        return {}
    path = Path(environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text())
        found = dict(parser.items(service))
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise WarehouseError(
            f"PGSERVICE names the service {service!r}, which can't be read from {path}."
        ) from None
    return found


def _variables_of_parameters() -> dict[str, str]:
    """libpq's environment variable of each parameter that has one."""
    return {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar
    }


def _server_version(connection: psycopg.Connection) -> int:
    """The server's version as libpq gives it, such as 150004 for 15.4."""
    return connection.info.server_version


def _refusal(settings: ConnectionSettings, message: str) -> str:
    """One sentence for libpq's message about a connection that failed."""
    where = settings.place
    if "password authentication failed" in message:
        return (
            f"The server at {where} refused the password of user {settings.user!r}: "
            "correct PGPASSWORD, or the password in DRIFTLINE_DATABASE_URL."
        )
    if "no password supplied" in message:
        return (
            f"The server at {where} wants a password for user {settings.user!r}: set "
            "PGPASSWORD, or put it into DRIFTLINE_DATABASE_URL."
        )
    if f'database "{settings.dbname}" does not exist' in message:
        return f"The server at {where} has no database {settings.dbname!r}: create it."
    if f'role "{settings.user}" does not exist' in message:
        return f"The server at {where} has no user {settings.user!r}."
    nobody_listens = "Connection refused" in message or "No such file" in message
    if nobody_listens and settings.is_embedded:
        return "The embedded Postgres is not running: start it with `driftline up`."
    if nobody_listens:
        return (
            f"No Postgres answers at {where}: start it, or correct {settings.source}."
        )
    if re.search("translate host name|name resolution|Name or service", message):
        return f"The host {settings.host!r} of {settings.source} is not known."
    if re.search("timeout expired|timed out|unreachable|No route", message):
        return f"The server at {where} can't be reached from here: it does not answer."
    reason = message.strip().splitlines()[-1] if message.strip() else "no reason given"
    reason = re.sub(r"^.*?(FATAL|failed|error):\s+", "", reason)
    return f"The server at {where} refused the connection: {reason}"
