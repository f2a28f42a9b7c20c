"""Write all that Grafana is given: ``python -m grafana.build``."""

import json
from pathlib import Path

from grafana import (
    alerting,
    data_quality,
    drift,
    exposures,
    incident,
    labels,
    model,
    overview,
    pipeline,
    reference,
    segments,
    service,
)
from grafana.emission import as_json

GRAFANA_DIR = Path(__file__).resolve().parent
DASHBOARDS_DIR = GRAFANA_DIR / "dashboards"
EXPOSURES_FILE = (
    GRAFANA_DIR.parent / "dbt_project" / "models" / "marts" / "_grafana__exposures.yml"
)
RULES_FILE = GRAFANA_DIR / "provisioning" / "alerting" / "rules.yaml"

_DASHBOARDS = (
    overview,
    model,
    drift,
    data_quality,
    segments,
    service,
    labels,
    incident,
    pipeline,
    reference,
)


def dashboard_files() -> dict[str, str]:
    """The text of each dashboard's file by its name, which is the dashboard's uid."""
    contents = [as_json(module.build()) for module in _DASHBOARDS]
    return {
        f"{content['uid']}.json": json.dumps(content, ensure_ascii=False, indent=2)
        + "\n"
        for content in contents
    }


def main() -> None:
    """Write all files, and remove those that are no dashboard any more."""
    files = dashboard_files()
    for name, text in files.items():
        (DASHBOARDS_DIR / name).write_text(text, encoding="utf-8")
    for path in DASHBOARDS_DIR.glob("*.json"):
        if path.name not in files:
            path.unlink()
    RULES_FILE.write_text(alerting.rules_file(files), encoding="utf-8")
    EXPOSURES_FILE.write_text(exposures.exposures_file(), encoding="utf-8")


if __name__ == "__main__":
    main()
