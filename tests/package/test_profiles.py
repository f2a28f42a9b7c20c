"""dbt finds the same warehouse as Python: dbt_project/profiles.yml."""

import os
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from dbt import flags
from dbt.config.renderer import ProfileRenderer
from dbt.exceptions import EnvVarMissingError
from dbt_common.context import set_invocation_context
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from orchestration import warehouse
from orchestration.environment import NO_TELEMETRY
from orchestration.warehouse import ConnectionSettings

DBT = Path(sys.executable).with_name("dbt")
PROFILES = Path(__file__).parents[2] / "dbt_project" / "profiles.yml"
PASSWORD = "s3cret/of:ada@%41é{{ 1 }}"


def render(
    variables: Mapping[str, str], directory: str = "/checkout/dbt_project"
) -> dict[str, object]:
    """The profile's output as dbt reads it with these variables."""
    set_invocation_context(dict(variables))
    flags.set_from_args(Namespace(PROFILES_DIR=directory), None)
    profile = yaml.safe_load(PROFILES.read_text())
    output = profile["driftline"]["outputs"]["default"]
    rendered: dict[str, object] = ProfileRenderer({}).render_data(output)
    return rendered


def assert_same(variables: Mapping[str, str]) -> None:
    expected = warehouse.settings(variables)
    output = render(variables)
    assert output["host"] == expected.host
    assert output["port"] == expected.port
    assert output["user"] == expected.user
    assert output["dbname"] == expected.dbname
    assert (output["password"] or None) == expected.password
    assert (output["sslmode"] or None) == expected.sslmode


_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)


@given(
    st.builds(
        ConnectionSettings,
        host=st.sampled_from(["localhost", "10.0.0.1", "::1", "/var/run/a é&?%:"]),
        port=st.integers(1, 65535),
        user=_text,
        dbname=_text,
        password=st.none() | _text,
        sslmode=st.none() | st.sampled_from(["disable", "verify-full"]),
    )
)
def test_dbt_reads_every_url_as_python_does(settings: ConnectionSettings) -> None:
    for driver in ("psycopg", None):
        assert_same({"DRIFTLINE_DATABASE_URL": settings.url(driver=driver)})


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PGUSER": "ada", "PGSSLMODE": "disable"},
    ],
)
def test_dbt_looks_beside_its_folder_when_nothing_is_set(
    variables: dict[str, str],
) -> None:
    for directory in ("/checkout/dbt_project", "/checkout/dbt_project/"):
        output = render(variables, directory)
        assert output["host"] == "/checkout/.driftline/run"
        assert (output["port"], output["user"]) == (5432, "postgres")
        assert (output["dbname"], output["threads"]) == ("driftline", 4)


@pytest.mark.parametrize(
    "variables",
    [
        {"DRIFTLINE_HOME": "/var/lib/driftline"},
        {"DRIFTLINE_DATABASE_URL": "postgresql://ada@/logs", "PGHOST": "one"},
        {"DRIFTLINE_DATABASE_URL": "postgresql://ada@one", "PGDATABASE": "logs"},
        {
            "DRIFTLINE_DATABASE_URL": "postgresql://one/logs",
            "PGUSER": "ada",
            "PGPASSWORD": PASSWORD,
            "PGPORT": "77",
            "PGSSLMODE": "require",
        },
        {"DRIFTLINE_DATABASE_URL": "postgresql://ada@?host=/run&port=77"},
        {"DRIFTLINE_DATABASE_URL": "postgresql://ada@/?sslmode=disable&host=%2Frun"},
        {"PGHOST": "one", "PGUSER": "ada", "PGDATABASE": "logs", "PGPASSWORD": "1234"},
        {"PGHOSTADDR": "10.0.0.1", "PGUSER": "ada", "PGDATABASE": "logs"},
        {"PGPORT": "77", "PGUSER": "ada"},
        {"PGDATABASE": "logs", "PGUSER": "ada"},
        {"PGHOST": "one", "PGUSER": "ada"},
    ],
)
def test_dbt_and_python_agree(variables: dict[str, str]) -> None:
    assert_same(variables)


@pytest.mark.parametrize("url", ["mysql://ada:secret@one/logs", "one"])
def test_a_url_that_dbt_cannot_read_is_told_without_its_password(url: str) -> None:
    with pytest.raises(EnvVarMissingError) as caught:
        render({"DRIFTLINE_DATABASE_URL": url})
    assert "like postgresql://user:password@host/db" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_service_leads_dbt_to_the_command_that_resolves_it() -> None:
    with pytest.raises(EnvVarMissingError, match=r'eval "\$\(driftline env\)"'):
        render({"PGSERVICE": "prod"})


def test_without_a_working_directory_dbt_names_what_is_missing() -> None:
    with pytest.raises(EnvVarMissingError, match="'PWD'"):
        render({}, directory="dbt_project")


@pytest.fixture(scope="module")
def checkout(free_port: Callable[[], int]) -> Iterator[Path]:
    """A checkout with the profile and a running embedded server, but no models."""
    base = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    project = base / "dbt_project"
    project.mkdir()
    shutil.copy(PROFILES, project)
    (project / "dbt_project.yml").write_text("name: empty\nprofile: driftline\n")
    try:
        warehouse.start(base / ".driftline", port=free_port(), durable=False)
        yield base
    finally:
        warehouse.stop(base / ".driftline")
        shutil.rmtree(base)


def dbt(checkout: Path, *arguments: str, **variables: str) -> str:
    """What dbt prints in the checkout with just these variables; it must succeed."""
    completed = subprocess.run(
        [DBT, *(arguments or ["debug", "--connection"])],
        cwd=checkout / "dbt_project",
        env={**NO_TELEMETRY, "PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_dbt_connects_in_a_plain_shell_after_the_server_is_up(checkout: Path) -> None:
    output = dbt(checkout)
    assert f"host: {checkout}/.driftline/run" in output
    assert "OK connection ok" in output


def test_dbt_connects_from_any_directory(checkout: Path) -> None:
    output = dbt(
        checkout,
        *("debug", "--connection", "--project-dir", "."),
        *("--profiles-dir", str(checkout / "dbt_project")),
    )
    assert "OK connection ok" in output


@pytest.fixture(scope="module")
def ada(checkout: Path) -> ConnectionSettings:
    """A role with a difficult password, and a database of its own, over TCP."""
    embedded = warehouse.embedded_settings(checkout / ".driftline")
    port = warehouse.tcp_port(checkout / ".driftline")
    assert port is not None
    with warehouse.connect(embedded, autocommit=True) as connection:
        for statement in (
            sql.SQL("create role {} login password {}").format(
                sql.Identifier("ada l@velace"), sql.Literal(PASSWORD)
            ),
            sql.SQL("create database {} owner {}").format(
                sql.Identifier("the logs/%"), sql.Identifier("ada l@velace")
            ),
        ):
            connection.execute(statement)
    return replace(
        embedded,
        host="127.0.0.1",
        port=port,
        user="ada l@velace",
        password=PASSWORD,
        dbname="the logs/%",
    )


@pytest.mark.parametrize("way", ["url", "variables"])
def test_dbt_connects_to_a_server_of_the_users(
    checkout: Path, ada: ConnectionSettings, way: str
) -> None:
    variables = {"DRIFTLINE_DATABASE_URL": ada.url()} if way == "url" else ada.environ()
    output = dbt(checkout, **variables)
    assert f"port: {ada.port}" in output
    assert "OK connection ok" in output


def test_the_password_is_in_nothing_that_dbt_leaves_behind(
    checkout: Path, ada: ConnectionSettings
) -> None:
    url = ada.url()
    output = dbt(checkout, "--debug", "compile", DRIFTLINE_DATABASE_URL=url)
    left_behind = [
        path for path in (checkout / "dbt_project").rglob("*") if path.is_file()
    ]
    assert "dbt.log" in {path.name for path in left_behind}
    secrets = {PASSWORD, PASSWORD.split("@")[0], url.split("@")[0].split(":")[-1]}
    for secret in secrets:
        assert secret not in output
        for path in left_behind:
            assert secret.encode() not in path.read_bytes(), path
