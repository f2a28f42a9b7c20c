"""A monitor whose relation is broken is left as it was, and the others are fresh."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration import warehouse
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import Rows, assert_same_marts, read_marts
from tests.dbt.own_project import STAGING, copy_without_example, rows_of, table_of

# Raises when an age is 0, which none is at first.
FRAUD = STAGING.replace("predictions.age,", "100 / predictions.age as age,").replace(
    "churn_predictions", "fraud_predictions"
)
# Marts whose rows tell of windows, and so must outlive a broken relation.
OF_WINDOWS = (
    "service_health",
    "data_quality",
    "model_performance",
    "drift",
    "distributions",
)


class Shop:
    """Two monitors over wide tables: ``churn`` stays well, ``fraud`` does not."""

    def __init__(self, settings: ConnectionSettings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        self._project = copy_without_example(directory, "binary")
        shop = self._project / "models/staging/shop"
        tables = [{"name": "churn_predictions"}, {"name": "fraud_predictions"}]
        sources = {"version": 2, "sources": [{"name": "shop", "tables": tables}]}
        (shop / "_shop__sources.yml").write_text(yaml.safe_dump(sources))
        (shop / "stg_shop__fraud.sql").write_text(FRAUD)
        self.change_fraud()
        with warehouse.connect(settings, autocommit=True) as connection:
            create_raw_schema(connection)
        self.execute(table_of("binary"))
        self.execute(
            "create table shop.fraud_predictions"
            " (like shop.churn_predictions including all)"
        )

    def change_fraud(self, **changes: Any) -> None:
        """Change keys of the block of ``fraud``; dbt parses anew."""
        path = self._project / "dbt_project.yml"
        configuration = yaml.safe_load(path.read_text())
        churn = configuration["vars"]["monitors"][0]
        fraud = {**churn, "name": "fraud", "predictions": "stg_shop__fraud", **changes}
        configuration["vars"]["monitors"] = [churn, fraud]
        path.write_text(yaml.safe_dump(configuration))
        self._dbt = Dbt(
            self.settings,
            target_path=self._directory / "target",
            project_dir=self._project,
        )

    def execute(self, statement: str) -> None:
        with warehouse.connect(self.settings, autocommit=True) as connection:
            connection.execute(statement.encode())

    def add_rows(self, first: int, last: int) -> None:
        """The same rows for both, labelled."""
        rows = rows_of("binary", first=first, last=last, labelled=True)
        # Neither null nor 0.
        rows = rows.replace("row.number % 60", "1 + row.number % 60")
        rows = rows.replace("1e400", "1")
        self.execute(rows)
        self.execute(rows.replace("churn_predictions", "fraud_predictions"))

    def build(self, *arguments: str) -> tuple[str, ...]:
        """Build all models; what the project's macros said."""
        return self._dbt.build([*MODELS_ONLY, *arguments]).messages

    def build_and_test(self) -> list[tuple[str, str]]:
        """Build and test all; the nodes with their statuses. Raises if one fails."""
        return [(each.name, each.status) for each in self._dbt.build().outcomes]

    def marts(self) -> dict[str, Rows]:
        return read_marts(self.settings)


@pytest.fixture
def shop(database: ConnectionSettings, tmp_path: Path) -> Shop:
    shop = Shop(database, tmp_path)
    shop.add_rows(0, 1500)
    return shop


def of_monitor(marts: dict[str, Rows], monitor: str) -> Iterator[tuple[Any, Any]]:
    for mart in OF_WINDOWS:
        for key, row in marts[mart].items():
            if key[0] == monitor:
                yield (mart, *key), row


def assert_left_as_it_was(
    before: dict[str, Rows], after: dict[str, Rows], problem: str
) -> None:
    """``fraud`` has its old rows and the reason; ``churn`` has new rows."""
    assert dict(of_monitor(after, "fraud")) == dict(of_monitor(before, "fraud"))
    fraud = after["monitors"]["fraud",]
    assert fraud["status"] == fraud["drift_status"] == "not_computable"
    assert problem in str(fraud["reason"])
    assert fraud["unreadable_since"] is not None
    told = [
        row
        for key, row in after["statuses"].items()
        if row["reason"] == fraud["reason"]
    ]
    assert len(told) >= 4 and {row["status"] for row in told} == {"not_computable"}

    churn = after["monitors"]["churn",]
    assert churn["unreadable_since"] is None
    assert (
        churn["last_predicted_at"]
        > before["monitors"]["churn",][  # type: ignore[operator]
            "last_predicted_at"
        ]
    )
    assert len(dict(of_monitor(after, "churn"))) > len(
        dict(of_monitor(before, "churn"))
    )


def assert_mended(shop: Shop) -> None:
    """What the last build left is what a full refresh makes."""
    refreshed = shop.marts()
    assert refreshed["monitors"]["fraud",]["unreadable_since"] is None
    shop.build("--full-refresh")
    assert_same_marts(refreshed, shop.marts())
    left = [len(dict(of_monitor(refreshed, name))) for name in ("fraud", "churn")]
    assert left[0] == left[1] > 0


def test_a_view_that_raises_as_it_is_read_is_that_monitors_failure_alone(
    shop: Shop,
) -> None:
    shop.build()
    before = shop.marts()

    shop.add_rows(1500, 2000)
    shop.execute("update shop.fraud_predictions set age = 0 where id = 1700")
    messages = shop.build()

    problem = "reading the model 'stg_shop__fraud' fails: division by zero; mend it"
    assert_left_as_it_was(before, shop.marts(), problem)
    assert any(
        message.startswith("Driftline: error: fraud is left as it was: reading")
        for message in messages
    )
    warned = [name for name, status in shop.build_and_test() if status == "warn"]
    assert "assert_monitors_can_be_read" in warned

    shop.execute("update shop.fraud_predictions set age = 4 where id = 1700")
    shop.build()
    assert_mended(shop)


def test_a_table_that_is_missing_is_that_monitors_failure_alone(shop: Shop) -> None:
    shop.build()
    before = shop.marts()

    shop.add_rows(1500, 2000)
    shop.execute(
        "create table shop.kept as table shop.fraud_predictions;"
        " drop table shop.fraud_predictions cascade"
    )
    shop.build()

    problem = (
        "the model 'stg_shop__fraud' cannot be built: "
        'relation "shop.fraud_predictions" does not exist; mend it'
    )
    assert_left_as_it_was(before, shop.marts(), problem)

    shop.execute("create table shop.fraud_predictions as table shop.kept")
    shop.build()
    assert_mended(shop)


def test_a_column_that_is_missing_is_that_monitors_failure_alone(shop: Shop) -> None:
    shop.build()
    before = shop.marts()

    shop.add_rows(1500, 2000)
    features = {"age": "numerical", "country": "categorical"}
    shop.change_fraud(features=features | {"colour": "categorical"})
    shop.build()

    problem = "the model 'stg_shop__fraud' has no column 'colour'; add it to the model"
    assert_left_as_it_was(before, shop.marts(), problem)

    shop.change_fraud(features=features)
    shop.build()
    assert_mended(shop)


def test_what_is_built_while_a_monitor_is_broken_is_completed_once_it_is_mended(
    shop: Shop,
) -> None:
    shop.execute("update shop.fraud_predictions set age = 0 where id = 7")
    shop.build()

    first = shop.marts()
    assert first["monitors"]["churn",]["status"] != "not_computable"
    assert first["monitors"]["fraud",]["status"] == "not_computable"
    assert not dict(of_monitor(first, "fraud"))

    shop.execute("update shop.fraud_predictions set age = 4 where id = 7")
    shop.build()
    assert_mended(shop)

    # A table that is dropped while the monitor is broken lacks it, whatever the ledger
    # says.
    shop.execute("update shop.fraud_predictions set age = 0 where id = 7")
    shop.execute("drop table intermediate.int_column_stats cascade")
    shop.build("--vars", "{refresh_from: 2026-03-02, refresh_to: 2026-03-03}")
    shop.execute("update shop.fraud_predictions set age = 4 where id = 7")
    shop.build()
    assert_mended(shop)
