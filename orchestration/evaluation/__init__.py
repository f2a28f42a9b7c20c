"""Pure evaluation: pandas frames in, frozen dataclasses out; no Dagster, no I/O."""
