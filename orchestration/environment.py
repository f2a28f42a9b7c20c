"""The environment of the programs that Driftline runs."""

from collections.abc import Mapping
from pathlib import Path

from orchestration.warehouse import ConnectionSettings

# Set for every program that we run, so that none reports its use to its makers.
NO_TELEMETRY: Mapping[str, str] = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
}

_OTHER_WAREHOUSE = frozenset(
    {"DRIFTLINE_DATABASE_URL", "PGHOSTADDR", "PGPASSWORD", "PGSERVICE", "PGSSLMODE"}
)


def subprocess_environment(
    settings: ConnectionSettings, environ: Mapping[str, str]
) -> dict[str, str]:
    """``environ`` with telemetry off and no way to another warehouse.

    Holds the password. The variables that would outrank or amend the ``PG*`` ones are
    gone, so that a program finds exactly the warehouse of ``settings``.
    """
    kept = {
        name: value for name, value in environ.items() if name not in _OTHER_WAREHOUSE
    }
    return {**kept, **settings.environ(), **NO_TELEMETRY}


def dagster_home(home: Path) -> Path:
    """Dagster's directory in a state directory, made ready if it is not yet."""
    directory = home / "dagster"
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "dagster.yaml"
    if not configuration.exists():
        # No telemetry, and no newsletter before the first look.
        configuration.write_text(
            "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
        )
    return directory
