"""From raw to marts: the dbt project."""
