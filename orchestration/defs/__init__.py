"""Dagster objects only; what they do is done elsewhere in the package."""
