"""A throwaway Postgres for the whole run, and fresh databases in it."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from psycopg import sql

from orchestration import warehouse
from orchestration.environment import subprocess_environment
from orchestration.warehouse import ConnectionSettings

# The same examples in every run, however slow the machine.
hypothesis.settings.register_profile("driftline", deadline=None, derandomize=True)
# Others each time, and many more of them.
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("driftline")

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _no_warehouse_of_the_developer() -> Iterator[None]:
    """No test may reach, or write to, the warehouse that the caller uses."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("PG", "DRIFTLINE_")):
                patch.delenv(name)
        # A place where nothing can be made.
        patch.setenv("DRIFTLINE_HOME", "/dev/null/no-warehouse-for-tests")
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[ConnectionSettings]:
    """The superuser's connection settings for a server that dies with the run."""
    # Not pytest's directories: their paths are long for a socket, and other users,
    # such as the server's when root runs the tests, can't enter them.
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        yield warehouse.start(home, durable=False)
    finally:
        warehouse.stop(home)
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def fresh_database(
    postgres: ConnectionSettings,
) -> Callable[[], AbstractContextManager[ConnectionSettings]]:
    """Makes an empty database, dropped at the end whoever is still connected."""

    @contextmanager
    def fresh() -> Iterator[ConnectionSettings]:
        created = replace(postgres, dbname=f"test_{next(_numbers)}")
        name = sql.Identifier(created.dbname)
        with warehouse.connect(postgres, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(name))
        try:
            yield created
        finally:
            drop = sql.SQL("drop database {} with (force)").format(name)
            with warehouse.connect(postgres, autocommit=True) as connection:
                connection.execute(drop)

    return fresh


@pytest.fixture
def database(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
) -> Iterator[ConnectionSettings]:
    """An empty database for one test."""
    with fresh_database() as settings:
        yield settings


@pytest.fixture(scope="module")
def module_database(
    fresh_database: Callable[[], AbstractContextManager[ConnectionSettings]],
) -> Iterator[ConnectionSettings]:
    """An empty database for the tests of one module."""
    with fresh_database() as settings:
        yield settings


@pytest.fixture(scope="session")
def dbt_environment() -> Callable[[ConnectionSettings], dict[str, str]]:
    """Makes the variables with which a dbt process uses the given database."""

    def environment(settings: ConnectionSettings) -> dict[str, str]:
        return subprocess_environment(settings, os.environ)

    return environment
