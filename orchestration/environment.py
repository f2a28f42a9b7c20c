"""The environment of the programs that Driftline runs."""

from collections.abc import Mapping
from importlib.resources import files
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

_OURS = "# Dagster on this machine. `driftline ui` writes this file anew at each start"


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
    """Dagster's directory in a state directory, made ready.

    Its ``dagster.yaml`` is that of this package, unless somebody made it their own.
    """
    directory = home / "dagster"
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "dagster.yaml"
    usual = files("orchestration").joinpath("dagster.yaml").read_text()
    if not configuration.exists() or _OURS in configuration.read_text():
        configuration.write_text(usual)
    return directory
