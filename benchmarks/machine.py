"""What a run was measured on."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psutil
import psycopg

from orchestration.embedded import Machine

_SETTINGS = (
    "shared_buffers",
    "work_mem",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "max_wal_size",
    "synchronous_commit",
    "fsync",
    "jit",
)
_PACKAGES = ("dbt-core", "dbt-postgres", "evidently", "pandas", "psycopg")


def describe(connection: psycopg.Connection) -> dict[str, Any]:
    """The machine, the server with its settings, and versions; no names or paths."""
    here = Machine.here()
    return {
        "machine": {
            "cores": here.cores,
            "memory": f"{here.memory / (1 << 30):.0f} GiB",
            "system": f"{platform.system()} {platform.machine()}",
        },
        "load_before": round(psutil.getloadavg()[0], 1),
        "Postgres": {
            "version": connection.info.parameter_status("server_version"),
            **{name: _setting(connection, name) for name in _SETTINGS},
        },
        "dbt_threads": os.environ.get("DRIFTLINE_DBT_THREADS", "4"),
        "versions": {
            "Python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
    }


def _setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("select current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])
