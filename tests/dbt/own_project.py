"""A copy of the project with the example taken out, and a wide table put in."""

import shutil
from pathlib import Path

import yaml

from orchestration.project import PROJECT_DIR

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
