"""What the assets use."""

import dagster as dg
from dagster_dbt import DbtCliResource

from orchestration import project
from orchestration.defs.refresh import Refresh


@dg.definitions
def resources() -> dg.Definitions:
    """The dbt that the assets run, and what a run is told to refresh."""
    return dg.Definitions(
        resources={
            "dbt": DbtCliResource(
                project_dir=str(project.PROJECT_DIR),
                profiles_dir=str(project.PROJECT_DIR),
                dbt_executable=str(project.DBT_EXECUTABLE),
            ),
            "refresh": Refresh.configure_at_launch(),
        }
    )
