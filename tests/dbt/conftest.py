"""A small log whose marts are built once, and copies of it to change."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql

from orchestration import warehouse
from orchestration.project import PROJECT_DIR, Dbt, DbtRun, NodeOutcome
from orchestration.warehouse import ConnectionSettings
from tests.dbt.big_log import big_blocks, write_big_log
from tests.dbt.prediction_log import write_small_log

MODELS_ONLY = ("--exclude-resource-type", "test")


class DbtOfBlocks(Dbt):
    """dbt that parses with the monitor blocks of a run, and anew when they change.

    What a monitor's models depend on is decided when dbt parses: a baseline that is no
    relation of its own, or a second monitor, needs others than the project's blocks do.
    """

    _blocks: object = None

    def parse(self) -> None:
        """Parse the project with the blocks of the last run. Raises ``DbtError``."""
        if self._manifest is None:
            arguments = ["parse"]
            if self._blocks is not None:
                arguments += ["--vars", json.dumps({"monitors": self._blocks})]
            self._manifest = self._invoke(arguments, []).result

    def build(
        self,
        selection: Sequence[str] = (),
        *,
        variables: Mapping[str, object] | None = None,
        on_node: Callable[[NodeOutcome], None] | None = None,
    ) -> DbtRun:
        """As that of ``Dbt``."""
        blocks = (variables or {}).get("monitors")
        if blocks != self._blocks:
            self._blocks = copy.deepcopy(blocks)
            self._manifest: Any = None
        return super().build(selection, variables=variables, on_node=on_node)


@pytest.fixture(scope="session")
def target_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt writes its artefacts, away from the project's own."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="session")
def built_log(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    target_path: Path,
) -> Iterator[ConnectionSettings]:
    """The small log with its marts, and all data tests passed. Only to be read."""
    with fresh_database() as settings:
        write_small_log(settings)
        Dbt(settings, target_path=target_path).build()
        yield settings


@pytest.fixture(scope="session")
def big_log(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ConnectionSettings]:
    """The log of some thousand rows with its marts. Only to be read."""
    with fresh_database() as settings:
        with warehouse.connect(settings) as connection:
            write_big_log(connection)
        dbt = DbtOfBlocks(settings, target_path=tmp_path_factory.mktemp("big"))
        dbt.build(MODELS_ONLY, variables={"monitors": big_blocks()})
        yield settings


@pytest.fixture(scope="session")
def copy_of_log(
    built_log: ConnectionSettings, postgres: ConnectionSettings
) -> Callable[[], AbstractContextManager[ConnectionSettings]]:
    """Makes a copy of ``built_log``, dropped at the end."""

    @contextmanager
    def copied() -> Iterator[ConnectionSettings]:
        copy = replace(built_log, dbname=f"{built_log.dbname}_copy")
        names = {
            "copy": sql.Identifier(copy.dbname),
            "original": sql.Identifier(built_log.dbname),
        }
        with warehouse.connect(postgres, autocommit=True) as connection:
            # A template must have nobody connected; dbt keeps its connections open.
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = %s",
                [built_log.dbname],
            )
            connection.execute(
                sql.SQL("create database {copy} template {original}").format(**names)
            )
        try:
            yield copy
        finally:
            with warehouse.connect(postgres, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("drop database {copy} with (force)").format(**names)
                )

    return copied


@pytest.fixture
def copied_log(
    copy_of_log: Callable[[], AbstractContextManager[ConnectionSettings]],
) -> Iterator[ConnectionSettings]:
    """A copy of ``built_log`` for one test to change."""
    with copy_of_log() as copy:
        yield copy


@pytest.fixture(scope="session")
def dbt_for(target_path: Path) -> Callable[[ConnectionSettings], Dbt]:
    """Makes a dbt for a copy of the log."""
    return lambda settings: DbtOfBlocks(settings, target_path=target_path)


@pytest.fixture
def dbt(copied_log: ConnectionSettings, target_path: Path) -> Dbt:
    """dbt for ``copied_log``."""
    return Dbt(copied_log, target_path=target_path)


@pytest.fixture
def monitor_blocks() -> list[dict[str, object]]:
    """The monitor blocks of ``dbt_project.yml``, for a test to change."""
    project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    blocks: list[dict[str, object]] = project["vars"]["monitors"]
    return blocks
