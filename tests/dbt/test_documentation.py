"""`dbt docs` says something about everything that a user can see."""

import json
from pathlib import Path

from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings


class DbtOfDocs(Dbt):
    """dbt that writes its documentation."""

    def document(self) -> None:
        """`dbt docs generate`. Raises ``DbtError``."""
        self.parse()
        self._invoke(["docs", "generate", "--no-compile"], [])


def test_no_table_and_no_column_is_without_a_description(
    built_log: ConnectionSettings, target_path: Path
) -> None:
    DbtOfDocs(built_log, target_path=target_path).document()
    catalog = json.loads((target_path / "catalog.json").read_text())
    manifest = json.loads((target_path / "manifest.json").read_text())
    described = manifest["nodes"] | manifest["sources"]
    tables = catalog["nodes"] | catalog["sources"]

    missing, gone = set(), set()
    for name, table in tables.items():
        node = described[name]
        documented = {
            column["name"]
            for column in node["columns"].values()
            if column["description"]
        }
        if not node["description"]:
            missing.add(name)
        missing |= {
            f"{name}.{column}" for column in table["columns"].keys() - documented
        }
        gone |= {f"{name}.{column}" for column in documented - table["columns"].keys()}

    models = [
        node for node in manifest["nodes"].values() if node["resource_type"] == "model"
    ]
    assert catalog["errors"] is None
    assert {node["unique_id"] for node in models} <= tables.keys()
    assert missing == set()
    assert gone == set()
    assert {
        node["name"]
        for node in models
        if "Grain: one row per" not in node["description"]
    } == set()
