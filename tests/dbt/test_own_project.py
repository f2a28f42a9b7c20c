"""The project with the example taken out, and one monitor over a wide table put in."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestration import warehouse
from orchestration.project import DBT_EXECUTABLE
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.marts import assert_same_marts, read_marts
from tests.dbt.own_project import (
    PREDICTED,
    STAGING,
    copy_without_example,
    rows_of,
    table_of,
)


@pytest.mark.parametrize("task", PREDICTED)
def test_one_monitor_of_any_task_is_enough(
    task: str,
    database: ConnectionSettings,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    project = copy_without_example(tmp_path, task)
    environment = dbt_environment(database)
    with warehouse.connect(database, autocommit=True) as connection:
        create_raw_schema(connection)
        connection.execute(table_of(task))
        # No label is there when the baseline is first cut from the log.
        connection.execute(rows_of(task, first=0, last=1500, labelled=False))
    build(project, environment)

    with warehouse.connect(database, autocommit=True) as connection:
        connection.execute(
            """
            update shop.churn_predictions
            set outcome = predicted, outcome_at = created_at + interval '1 day',
                outcome_inserted_at = now()
            """
        )
        connection.execute(rows_of(task, first=1500, last=2000, labelled=True))
    build(project, environment)
    refreshed = read_marts(database)
    build(project, environment, "--full-refresh")

    expected = read_marts(database)
    assert_same_marts(refreshed, expected)
    assert {row["status"] for row in expected["model_performance"].values()} == {"ok"}
    assert {key[0] for key in expected["monitors"]} == {"churn"}


def test_a_baseline_may_leave_out_an_optional_column_of_the_predictions(
    database: ConnectionSettings,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    project = copy_without_example(tmp_path, "binary")
    shop = project / "models/staging/shop"
    without = STAGING.replace("    predictions.http_status as status_code,\n", "")
    (shop / "stg_shop__churn_baseline.sql").write_text(without)
    (shop / "stg_shop__churn.sql").write_text(
        STAGING.replace(
            "    predictions.age,",
            "    '{}'::text[] as missing_features,\n"
            "    '{gate}'::text[] as unknown_features,\n    predictions.age,",
        )
    )
    configuration = yaml.safe_load((project / "dbt_project.yml").read_text())
    (block,) = configuration["vars"]["monitors"]
    block["baseline"] = {"relation": "stg_shop__churn_baseline"}
    (project / "dbt_project.yml").write_text(yaml.safe_dump(configuration))
    with warehouse.connect(database, autocommit=True) as connection:
        create_raw_schema(connection)
        connection.execute(table_of("binary"))
        connection.execute(rows_of("binary", first=0, last=1500, labelled=True))

    build(project, dbt_environment(database))

    quality = read_marts(database)["data_quality"]
    gates = [row for key, row in quality.items() if key[-1] == "gate"]
    assert {row["unknown_rate"] for row in gates} == {1}
    assert {row["reason"] for row in gates if int(str(row["row_count"])) >= 50} == {
        "the baseline does not tell which features its rows had"
    }


def test_an_optional_column_of_the_wrong_type_is_told(
    database: ConnectionSettings,
    dbt_environment: Callable[[ConnectionSettings], dict[str, str]],
    tmp_path: Path,
) -> None:
    project = copy_without_example(tmp_path, "binary")
    staging = project / "models/staging/shop/stg_shop__churn.sql"
    staging.write_text(
        staging.read_text().replace("http_status as", "http_status::text as")
    )
    with warehouse.connect(database, autocommit=True) as connection:
        create_raw_schema(connection)
        connection.execute(table_of("binary"))

    build(project, dbt_environment(database), "--select", "+int_monitor_failures")

    with warehouse.connect(database) as connection:
        ((reason,),) = connection.execute(
            "select reason from intermediate.int_monitor_failures"
        ).fetchall()
    assert (
        "the column 'status_code' of 'stg_shop__churn' has the type text; cast it"
        in (reason)
    )


def build(project: Path, environment: dict[str, str], *arguments: str) -> None:
    finished = run_dbt(project, environment, *arguments)
    assert finished.returncode == 0, finished.stdout[-3000:]


def run_dbt(
    project: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(DBT_EXECUTABLE), "--no-use-colors", "build", *arguments],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
