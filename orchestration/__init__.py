"""Driftline's Python side: the warehouse, the `driftline` command, Dagster."""
