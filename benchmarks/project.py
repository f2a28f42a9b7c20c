"""A copy of the dbt project with the flights taken out and one monitor put in."""

import shutil
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.generate import FEATURES, MODEL
from orchestration.project import PROJECT_DIR

Shape = Literal["wide", "json"]

STAGING_MODEL = f"stg_bench__{MODEL}"
BASELINE_MODEL = f"{STAGING_MODEL}_baseline"
MONITOR: dict[str, Any] = {
    "name": MODEL,
    "predictions": STAGING_MODEL,
    "task": "binary",
    "positive_class": "true",
    "features": dict(FEATURES),
    "baseline": {"relation": BASELINE_MODEL},
}

_MODELS = Path(__file__).with_name("dbt_models")


def copy_project(directory: Path, shape: Shape) -> Path:
    """Write the project for a wide table or a JSON log into ``directory``."""
    project = directory / shape
    shutil.copytree(
        PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "logs")
    )
    shutil.rmtree(project / "models/staging/flights")
    shutil.copytree(_MODELS / shape, project / "models/staging/bench")
    path = project / "dbt_project.yml"
    configuration = yaml.safe_load(path.read_text())
    configuration["vars"]["monitors"] = [MONITOR]
    path.write_text(yaml.safe_dump(configuration, sort_keys=False))
    return project
