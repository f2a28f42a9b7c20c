"""Which warehouse the environment chooses, and how its settings are written down."""

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from orchestration import warehouse
from orchestration.environment import NO_TELEMETRY, subprocess_environment
from orchestration.warehouse import ConnectionSettings, WarehouseError

# Neither libpq nor the environment can carry NUL or half of a surrogate pair.
_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)
_hosts = st.sampled_from(
    ["localhost", "db.example.com", "10.0.0.1", "::1", "/var/run/a b", "/t/é,%&?:"]
)
_settings = st.builds(
    ConnectionSettings,
    host=_hosts,
    port=st.integers(1, 65535),
    user=_text,
    dbname=_text,
    password=st.none() | _text,
    sslmode=st.none() | st.sampled_from(["disable", "require", "verify-full"]),
    parameters=st.just(()) | st.just((("sslrootcert", "/a b/root.crt"),)),
)


@given(_settings)
def test_the_url_leads_back_to_the_same_settings(settings: ConnectionSettings) -> None:
    for driver in ("psycopg", "psycopg2", None):
        variables = {"DRIFTLINE_DATABASE_URL": settings.url(driver=driver)}
        assert warehouse.settings(variables) == settings


@given(_settings.filter(lambda settings: not settings.parameters))
def test_the_variables_lead_back_to_the_same_settings(
    settings: ConnectionSettings,
) -> None:
    assert warehouse.settings(settings.environ()) == settings


@given(_settings)
def test_sqlalchemy_and_libpq_read_the_same_settings(
    settings: ConnectionSettings,
) -> None:
    url = make_url(settings.url())
    assert (url.username, url.password) == (settings.user, settings.password)
    assert url.database == settings.dbname
    assert settings.host in (url.host, url.query.get("host"))

    conninfo = conninfo_to_dict(settings.conninfo())
    assert (conninfo["user"], conninfo["dbname"]) == (settings.user, settings.dbname)
    assert conninfo.get("password") == settings.password


@given(_settings, _text)
def test_the_repr_does_not_depend_on_the_password(
    settings: ConnectionSettings, password: str
) -> None:
    other = replace(
        settings, password=password, parameters=(("sslpassword", password),)
    )
    assert repr(other) == repr(settings)


def test_without_variables_the_embedded_server_is_chosen(tmp_path: Path) -> None:
    found = warehouse.settings({"DRIFTLINE_HOME": str(tmp_path)})
    assert found.is_embedded
    assert found.host == str(tmp_path / "run")
    assert (found.port, found.user, found.dbname) == (5432, "postgres", "driftline")


def test_the_state_directory_is_in_the_checkout_unless_chosen() -> None:
    checkout = Path(__file__).parents[2]
    assert warehouse.home({}) == checkout / ".driftline"
    assert warehouse.home({"DRIFTLINE_HOME": "/var/lib/x"}) == Path("/var/lib/x")


def test_the_url_goes_before_the_variables() -> None:
    found = warehouse.settings(
        {"DRIFTLINE_DATABASE_URL": "postgres://ada@one/logs", "PGHOST": "two"}
    )
    assert (found.host, found.user, found.dbname) == ("one", "ada", "logs")
    assert found.source == "DRIFTLINE_DATABASE_URL"


def test_what_the_url_omits_comes_from_the_variables() -> None:
    found = warehouse.settings(
        {
            "DRIFTLINE_DATABASE_URL": "postgresql://one",
            "PGUSER": "ada",
            "PGPASSWORD": "secret",
            "PGDATABASE": "logs",
            "PGSSLMODE": "require",
        }
    )
    assert (found.user, found.password, found.dbname) == ("ada", "secret", "logs")
    assert (found.port, found.sslmode) == (5432, "require")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PGHOST", "h"),
        ("PGHOSTADDR", "10.0.0.1"),
        ("PGPORT", "5433"),
        ("PGDATABASE", "d"),
    ],
)
def test_a_variable_that_says_where_chooses_a_server(variable: str, value: str) -> None:
    assert not warehouse.settings({variable: value}).is_embedded


def test_variables_that_only_say_who_leave_the_embedded_server() -> None:
    found = warehouse.settings({"PGUSER": "ada", "PGPASSWORD": "secret"})
    assert found.is_embedded
    assert (found.user, found.password) == ("postgres", None)


def test_variables_that_lead_to_the_embedded_server_are_no_other_warehouse() -> None:
    embedded = warehouse.settings({})
    for variables in (
        embedded.environ(),
        {"DRIFTLINE_DATABASE_URL": embedded.url()},
    ):
        assert warehouse.settings(variables).is_embedded
    elsewhere = replace(embedded, dbname="logs")
    assert not warehouse.settings(elsewhere.environ()).is_embedded


def test_empty_variables_count_as_unset() -> None:
    assert warehouse.settings({"DRIFTLINE_DATABASE_URL": "", "PGHOST": ""}).is_embedded


def test_a_service_file_is_read_and_outranks_the_variables(tmp_path: Path) -> None:
    services = tmp_path / "services.conf"
    services.write_text("[prod]\nhost=one\nport=5433\nuser=ada\ndbname=logs\n")
    found = warehouse.settings(
        {"PGSERVICE": "prod", "PGSERVICEFILE": str(services), "PGHOST": "two"}
    )
    assert (found.host, found.port, found.user) == ("one", 5433, "ada")


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="PGSERVICE names the service 'prod'"):
        warehouse.settings(
            {"PGSERVICE": "prod", "PGSERVICEFILE": str(tmp_path / "none.conf")}
        )


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "mysql://ada:secret@host/logs",
        "postgresql://ada:sec%zzret@host/logs",
        "postgresql://ada:secret@host/logs?colour=blue",
        "postgresql://ada:@secret@host/logs",
        "postgresql://ada:se@cret@host/logs",
        "postgresql://ada:secret@host:port/logs",
        "postgresql://ada:secret@host:70000/logs",
        "postgresql://ada:se/cret@host/logs",
        "postgresql://[::1/logs",
        "://",
    ],
)
def test_a_url_that_cannot_be_read_is_told_without_its_password(url: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        warehouse.settings({"DRIFTLINE_DATABASE_URL": url})
    assert "DRIFTLINE_DATABASE_URL" in str(caught.value)
    assert "cret" not in str(caught.value)
    # The cause would show it in a traceback.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("port", ["0", "65536", "five", "-1", "5432,5433"])
def test_a_port_that_is_no_port_is_told(port: str) -> None:
    with pytest.raises(WarehouseError, match="from 1 to 65535"):
        warehouse.settings({"PGHOST": "host", "PGPORT": port})


def test_a_subprocess_finds_the_chosen_warehouse_and_no_other() -> None:
    chosen = ConnectionSettings(host="h", port=1, user="u", dbname="d")
    environment = subprocess_environment(
        chosen,
        {
            "HOME": "/home/ada",
            "DRIFTLINE_DATABASE_URL": "postgresql://elsewhere",
            "PGSERVICE": "elsewhere",
            "PGHOSTADDR": "10.0.0.1",
            "PGPASSWORD": "of another server",
        },
    )
    assert warehouse.settings(environment) == chosen
    assert environment["HOME"] == "/home/ada"
    assert "PGHOSTADDR" not in environment
    assert environment.items() >= NO_TELEMETRY.items()


def test_every_parameter_with_a_variable_reaches_a_subprocess() -> None:
    settings = warehouse.settings(
        {"DRIFTLINE_DATABASE_URL": "postgresql://u@h/d?sslrootcert=/root.crt"}
    )
    assert settings.environ()["PGSSLROOTCERT"] == "/root.crt"


def test_a_connection_is_in_utc_and_in_no_transaction(
    database: ConnectionSettings,
) -> None:
    with warehouse.connect(database) as connection:
        idle = psycopg.pq.TransactionStatus.IDLE
        assert connection.info.transaction_status == idle
        assert not connection.autocommit
        assert connection.execute("show timezone").fetchone() == ("UTC",)
