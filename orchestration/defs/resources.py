"""What the assets use."""

import dagster as dg
from dagster_dbt import DbtCliResource

from orchestration import project


@dg.definitions
def resources() -> dg.Definitions:
    """The dbt that the assets run."""
    return dg.Definitions(
        resources={
            "dbt": DbtCliResource(
                project_dir=str(project.PROJECT_DIR),
                profiles_dir=str(project.PROJECT_DIR),
                dbt_executable=str(project.DBT_EXECUTABLE),
            )
        }
    )
