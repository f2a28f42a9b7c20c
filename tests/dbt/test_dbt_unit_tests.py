"""dbt's own unit tests: SQL against numbers that were computed by hand."""

from pathlib import Path

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


def described_tests() -> set[str]:
    """The names of all unit tests in the project's files."""
    files = (PROJECT_DIR / "models").rglob("*.yml")
    contents = [yaml.safe_load(path.read_text()) for path in files]
    return {
        test["name"] for content in contents for test in content.get("unit_tests", [])
    }
