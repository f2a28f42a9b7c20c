"""compose.yaml and the Dockerfile, as far as that goes without a container engine."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from orchestration import warehouse
from orchestration.cli.init import PASSWORD_VARIABLES
from orchestration.embedded import programs
from orchestration.roles import LOADER, READER, TRANSFORMER
from orchestration.warehouse import ConnectionSettings

CHECKOUT = Path(__file__).parents[2]
COMPOSE_TEXT = (CHECKOUT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
DAGSTER = yaml.safe_load((CHECKOUT / "deploy" / "dagster.yaml").read_text())
WORKSPACE = yaml.safe_load((CHECKOUT / "deploy" / "workspace.yaml").read_text())
DEPLOYMENT_PAGE = (CHECKOUT / "docs" / "deployment.md").read_text()

# What ends by itself, and what is started by hand.
ONE_SHOT = {"init", "loader"}
LASTING = SERVICES.keys() - ONE_SHOT
OURS = {name for name in SERVICES if SERVICES[name]["image"].startswith("driftline:")}
DAGSTER_SERVICES = {"code", "webserver", "daemon"}

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def referenced(value: object) -> set[str]:
    """The variables that Compose takes from the environment."""
    return set(re.findall(r"\$\{(\w+)", json.dumps(value)))


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[name].get("environment", {})
    return found


def test_compose_is_valid_by_the_schema_of_the_specification() -> None:
    # compose-spec.json is that of the Compose Specification, Apache-2.0.
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_the_services_are_those_of_the_stack() -> None:
    assert {"postgres", "grafana", "init", "loader"} | DAGSTER_SERVICES == set(SERVICES)
    assert {"init", "loader"} | DAGSTER_SERVICES == OURS


@each_service
def test_images_are_pinned(name: str) -> None:
    tag = SERVICES[name]["image"].partition(":")[2]
    assert re.match(r"\d+\.\d+", tag)
    assert ("build" in SERVICES[name]) == (name in OURS)


def test_our_image_has_the_version_of_the_package() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert {SERVICES[name]["image"] for name in OURS} == {
        f"driftline:{project['version']}"
    }


@each_service
def test_ports_are_on_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port)


@pytest.mark.parametrize("name", sorted(LASTING))
def test_what_lasts_is_watched_and_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


def test_nobody_starts_before_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            expected = (
                "service_completed_successfully"
                if other == "init"
                else "service_healthy"
            )
            assert how == {"condition": expected}, name
    assert {name for name in SERVICES if not SERVICES[name].get("depends_on")} == {
        "postgres"
    }


@each_service
def test_volumes_are_declared_and_files_are_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, *_, mode = volume.split(":")
        if source.startswith("."):
            assert (CHECKOUT / source).exists()
            assert mode == "ro"
        else:
            assert source in COMPOSE["volumes"]


def test_every_declared_volume_is_used() -> None:
    used = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= used


def test_passwords_come_from_the_environment_and_have_no_default() -> None:
    passwords = {name for name in referenced(COMPOSE) if "PASSWORD" in name}
    assert len(passwords) == 6
    for name in passwords:
        assert len(re.findall(rf"\$\{{{name}\b", COMPOSE_TEXT)) == 1
        assert f"${{{name}:?" in COMPOSE_TEXT
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert value.startswith("${")


def test_every_variable_is_in_the_page_on_deployment() -> None:
    for name in referenced(COMPOSE):
        assert f"`{name}`" in DEPLOYMENT_PAGE, name


@pytest.mark.parametrize(
    ("name", "role"),
    [("code", TRANSFORMER), ("loader", LOADER), ("init", "driftline")],
)
def test_a_service_connects_as_its_role(name: str, role: str) -> None:
    connection = environment(name)
    assert connection["PGUSER"] == role
    assert connection["PGHOST"] in SERVICES
    settings = warehouse.settings({**connection, "PGPASSWORD": "secret"})
    assert (settings.dbname, settings.port) == ("driftline", 5432)
    assert not settings.is_embedded


def test_only_who_needs_the_warehouse_can_reach_it() -> None:
    assert {name for name in SERVICES if "PGUSER" in environment(name)} == {
        "code",
        "loader",
        "init",
    }
    for name in ("webserver", "daemon"):
        assert not referenced(SERVICES[name]["environment"]) - {
            "DAGSTER_POSTGRES_PASSWORD"
        }


def test_init_gets_the_passwords_that_the_command_reads() -> None:
    for role, variable in PASSWORD_VARIABLES.items():
        assert variable in environment("init"), role


def test_dagster_gets_the_variables_that_its_settings_name() -> None:
    named = set(re.findall(r"env: (\w+)", json.dumps(DAGSTER).replace('"', "")))
    assert named
    for name in DAGSTER_SERVICES:
        assert named <= environment(name).keys()
    assert DAGSTER["telemetry"] == {"enabled": False}


def test_the_workspace_leads_to_the_code() -> None:
    [location] = WORKSPACE["load_from"]
    server = location["grpc_server"]
    command = SERVICES["code"]["command"]
    assert server["host"] == "code"
    assert command[command.index("--port") + 1] == str(server["port"])
    assert SERVICES["code"]["healthcheck"]["test"][-1] == str(server["port"])
    module = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["dagster"]
    assert command[command.index("--module-name") + 1] == module["module_name"]
    assert server["location_name"] == module["code_location_name"] == command[-1]


def test_the_dagster_services_share_their_storage() -> None:
    mounts = {tuple(SERVICES[name]["volumes"])[-1] for name in DAGSTER_SERVICES}
    assert mounts == {"dagster:/var/lib/dagster/storage"}
    assert "DAGSTER_HOME=/var/lib/dagster\n" in DOCKERFILE
    assert "driftline:/var/lib/driftline" in SERVICES["code"]["volumes"]
    assert "DRIFTLINE_HOME=/var/lib/driftline " in DOCKERFILE


def commands() -> Iterator[list[str]]:
    """What our image is asked to run, health checks too."""
    for name in sorted(OURS):
        yield SERVICES[name]["command"]
        check = SERVICES[name].get("healthcheck", {}).get("test", ["CMD"])[1:]
        if check and check[0] != "python":
            yield check


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_commands_exist_with_their_options(command: list[str]) -> None:
    program, *arguments = command
    options = [word for word in arguments if word.startswith("--")]
    first_option = next((i for i, w in enumerate(arguments) if w.startswith("--")), 99)
    subcommands = arguments[:first_option]
    completed = subprocess.run(
        [Path(sys.executable).with_name(program), *subcommands, "--help"],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    for option in options:
        assert option in completed.stdout


def test_grafana_asks_for_a_password_and_tells_nobody_anything() -> None:
    settings = environment("grafana")
    for name in (
        "GF_AUTH_ANONYMOUS_ENABLED",
        "GF_USERS_ALLOW_SIGN_UP",
        "GF_ANALYTICS_REPORTING_ENABLED",
        "GF_ANALYTICS_CHECK_FOR_UPDATES",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
        "GF_NEWS_NEWS_FEED_ENABLED",
    ):
        assert settings[name] == "false"
    assert settings["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_PASSWORD:?")
    assert settings["DRIFTLINE_READER_USER"] == READER
    home = Path(settings["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (CHECKOUT / "grafana" / "dashboards" / home.name).exists()
    provisioned = "".join(
        path.read_text() for path in (CHECKOUT / "grafana/provisioning").rglob("*.yaml")
    )
    for name in set(re.findall(r"\$(DRIFTLINE_\w+)", provisioned)):
        assert name in settings


# The image


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [
        line.partition(" ")[2] for line in joined.splitlines() if line.startswith(name)
    ]


def test_the_image_is_pinned_and_not_run_by_root() -> None:
    [base] = instructions("FROM ")
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base)
    [user] = instructions("USER ")
    assert int(user.split(":")[0]) > 0
    assert DOCKERFILE.index("\nUSER ") > DOCKERFILE.rindex("pip install")


def test_only_bytes_with_a_known_hash_are_installed() -> None:
    installs = re.findall(r"pip install[^&]*", " && ".join(instructions("RUN ")))
    assert len(installs) == 3
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes" in install or "--editable ." in install


def test_what_is_copied_is_there_and_in_the_build_context() -> None:
    ignore = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    for line in instructions("COPY "):
        for source in line.split()[:-1]:
            assert (CHECKOUT / source).exists()
            top = Path(source).parts[0]
            assert any(fnmatch.fnmatch(f"!{top}", pattern) for pattern in ignore)


def test_no_secret_and_no_state_is_in_the_build_context() -> None:
    ignore = (CHECKOUT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert kept == {
        "LICENSE",
        "README.md",
        "deploy",
        "dbt_project",
        "orchestration",
        "pyproject.toml",
        "simulator",
    }


def pins(lock: Path) -> dict[str, str]:
    found = re.findall(
        r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", lock.read_text(), flags=re.MULTILINE
    )
    return {canonicalize_name(name): version for name, version in found}


def test_the_image_has_the_tested_versions_and_no_more_than_it_needs() -> None:
    tested = pins(CHECKOUT / "requirements.lock")
    image = pins(CHECKOUT / "deploy" / "requirements.lock")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert image.items() <= tested.items(), "run `make lock`"
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(
            image[canonicalize_name(requirement.name)]
        )
    assert "setuptools" in image
    assert not {"pytest", "mypy", "playwright"} & image.keys()


# Dagster's storage, on a real server


@pytest.fixture(scope="module")
def server(free_port: Callable[[], int]) -> Iterator[ConnectionSettings]:
    """A Postgres with TCP, on which the script of compose.yaml has run."""
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    port = free_port()
    try:
        settings = warehouse.start(home, port=port, durable=False)
        subprocess.run(
            [programs() / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet"],
            input=(CHECKOUT / "deploy" / "dagster_database.sql").read_bytes(),
            env={
                **os.environ,
                **settings.environ(),
                "DAGSTER_POSTGRES_PASSWORD": "it's 100 % secret",
            },
            check=True,
            timeout=60,
        )
        yield replace(settings, host="127.0.0.1", port=port)
    finally:
        warehouse.stop(home)
        shutil.rmtree(home)


_INSTANCE = """
import dagster as dg

@dg.asset
def stored(): pass

with dg.DagsterInstance.get() as instance:
    result = dg.materialize([stored], instance=instance)
    print(type(instance.run_storage).__name__, type(instance.run_coordinator).__name__)
    print(instance.get_runs_count(), len(instance.all_logs(result.run_id)) > 5)
    print(instance.telemetry_enabled, instance.run_monitoring_enabled)
"""


def test_dagster_keeps_its_runs_in_its_own_database(
    server: ConnectionSettings, tmp_path: Path
) -> None:
    shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", tmp_path)
    completed = subprocess.run(
        [sys.executable, "-c", _INSTANCE],
        env={
            **os.environ,
            "DAGSTER_HOME": str(tmp_path),
            "DAGSTER_POSTGRES_HOST": server.host,
            "DAGSTER_POSTGRES_PORT": str(server.port),
            "DAGSTER_POSTGRES_USER": "dagster",
            "DAGSTER_POSTGRES_PASSWORD": "it's 100 % secret",
            "DAGSTER_POSTGRES_DB": "dagster",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    assert "Error" not in completed.stderr
    assert completed.stdout.splitlines() == [
        "PostgresRunStorage QueuedRunCoordinator",
        "1 True",
        "False True",
    ]


def test_dagster_cannot_enter_the_warehouse(server: ConnectionSettings) -> None:
    dagster = replace(server, user="dagster", password="it's 100 % secret")
    warehouse.connect(replace(dagster, dbname="dagster")).close()
    with pytest.raises(
        warehouse.WarehouseError, match="does not have CONNECT privilege"
    ):
        warehouse.connect(dagster)
