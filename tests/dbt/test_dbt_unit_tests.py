"""dbt's own unit tests: SQL against numbers that were computed by hand."""

from pathlib import Path
from typing import Any

import yaml

from orchestration.project import PROJECT_DIR, Dbt
from orchestration.warehouse import ConnectionSettings


class DbtOfUnitTests(Dbt):
    """dbt that runs what ``build`` leaves out."""

    def test(self) -> dict[str, str]:
        """Run all unit tests: their outcomes by name. Raises ``DbtError``."""
        self.parse()
        outcome = self._invoke(["test", "--select", "test_type:unit"], [])
        return {
            result.node.name: str(result.status)
            for result in outcome.result.results
            if result.node.resource_type == "unit_test"
        }


def test_sql_gives_the_numbers_that_were_computed_by_hand(
    built_log: ConnectionSettings, target_path: Path
) -> None:
    outcomes = DbtOfUnitTests(built_log, target_path=target_path).test()

    assert outcomes.keys() == described_tests()
    assert set(outcomes.values()) == {"pass"}


def test_no_unit_test_needs_the_table_that_its_model_will_make() -> None:
    """`dbt build` into an empty warehouse runs a model's unit tests before it."""
    asked_for = {
        test["name"]
        for test in unit_tests()
        for given in test["given"]
        if given["input"] == "this" and given.get("format") != "sql"
    }

    assert asked_for == set()


def described_tests() -> set[str]:
    """The names of all unit tests in the project's files."""
    return {test["name"] for test in unit_tests()}


def unit_tests() -> list[dict[str, Any]]:
    """All unit tests of the project's files, as they are written there."""
    files = (PROJECT_DIR / "models").rglob("*.yml")
    contents = [yaml.safe_load(path.read_text()) for path in files]
    return [test for content in contents for test in content.get("unit_tests", [])]
