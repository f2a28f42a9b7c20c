"""The project with the example taken out, and one monitor over a wide table put in."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orchestration import warehouse
from orchestration.project import DBT_EXECUTABLE, PROJECT_DIR
from orchestration.warehouse import ConnectionSettings
from simulator.loading import create_raw_schema
from tests.dbt.marts import assert_same_marts, read_marts

# As docs/monitors.md has it, for each task.
PREDICTED = {
    "binary": ("(case when row.number % 3 = 0 then 'true' else 'false' end)", "text"),
    "multiclass": ("(array['a', 'b', 'c'])[1 + row.number % 3]", "text"),
    "regression": ("(row.number % 17)::double precision", "double precision"),
}
STAGING = """
select
    predictions.id::text as prediction_id,
    predictions.model_version,
    predictions.created_at as predicted_at,
    predictions.inserted_at as loaded_at,
    predictions.predicted as prediction,
    predictions.probability as score,
    predictions.outcome as actual,
    predictions.outcome_at as labelled_at,
    predictions.outcome_inserted_at as label_loaded_at,
    predictions.latency_ms,
    predictions.http_status >= 500 as is_error,
    predictions.http_status as status_code,
    predictions.age,
    predictions.country

from {{ source('shop', 'churn_predictions') }} as predictions
"""
SOURCES = {"sources": [{"name": "shop", "tables": [{"name": "churn_predictions"}]}]}


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


def test_an_optional_column_of_the_wrong_type_stops_the_build(
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

    output = run_dbt(project, dbt_environment(database), "--select", "+int_monitors")

    assert output.returncode != 0
    assert (
        "the column 'status_code' of 'stg_shop__churn' has the type text; cast it"
        in (" ".join(output.stdout.split()))
    )


def copy_without_example(directory: Path, task: str) -> Path:
    project = directory / "dbt_project"
    shutil.copytree(
        PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs")
    )
    shutil.rmtree(project / "models/staging/flights")
    shop = project / "models/staging/shop"
    shop.mkdir()
    (shop / "_shop__sources.yml").write_text(yaml.safe_dump({"version": 2, **SOURCES}))
    (shop / "stg_shop__churn.sql").write_text(STAGING)
    configuration = yaml.safe_load((project / "dbt_project.yml").read_text())
    configuration["vars"]["monitors"] = [
        {
            "name": "churn",
            "predictions": "stg_shop__churn",
            "task": task,
            **({"positive_class": "true"} if task == "binary" else {}),
            "features": {"age": "numerical", "country": "categorical"},
            "baseline": {"first": "2 days"},
        }
    ]
    (project / "dbt_project.yml").write_text(yaml.safe_dump(configuration))
    return project


def table_of(task: str) -> str:
    type_name = PREDICTED[task][1]
    return f"""
        create schema shop;
        create table shop.churn_predictions (
            id bigint primary key, model_version text, created_at timestamptz,
            inserted_at timestamptz default now(), predicted {type_name},
            probability double precision, outcome {type_name}, outcome_at timestamptz,
            outcome_inserted_at timestamptz, latency_ms integer, http_status integer,
            age numeric, country varchar(2)
        )
    """


def rows_of(task: str, *, first: int, last: int, labelled: bool) -> str:
    predicted = PREDICTED[task][0]
    outcome = f"{predicted}, now(), now()" if labelled else "null, null, null"
    return f"""
        insert into shop.churn_predictions
        select
            row.number, 'v1', timestamptz '2026-03-02' + row.number * interval '5 min',
            now(), {predicted}, (row.number % 3 = 0)::int * 0.6 + 0.2, {outcome},
            20, 200, case row.number when 7 then 1e400 else row.number % 60 end,
            (array['de', 'fr'])[1 + row.number % 2]
        from generate_series({first}, {last - 1}) as row (number)
    """


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
