"""Write the dashboards' JSON: ``python -m grafana.build``."""

import json
from pathlib import Path

from grafana import model, overview
from grafana.emission import as_json

DASHBOARDS_DIR = Path(__file__).resolve().parent / "dashboards"


def dashboard_files() -> dict[str, str]:
    """The text of each dashboard's file by its name, which is the dashboard's uid."""
    contents = [as_json(module.build()) for module in (overview, model)]
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


if __name__ == "__main__":
    main()
