"""What Grafana accepts but shows wrong, and what a reader of a dashboard needs."""

import inspect
import itertools
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from grafana_foundation_sdk.models import common

from grafana.build import dashboard_files
from tests.grafana.dashboards import (
    DASHBOARD_FILES,
    GRAFANA_DIR,
    Dashboard,
    links,
    panels,
    queries,
    read_dashboards,
    relations,
    variables,
)

DASHBOARDS = read_dashboards()
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
]
# Ids of Grafana's units; of an unknown one it shows the id after the number.
UNITS = {"none", "short", "s", "ms", "percentunit"}
# What overrides may set of every kind of panel.
STANDARD_OPTIONS = {
    "color",
    "decimals",
    "links",
    "mappings",
    "noValue",
    "thresholds",
    "unit",
}
# The shortest windows of a mart, which no panel may ask to divide further.
CADENCES = {
    "monitors": "1h",
    "service_health": "1h",
    "data_quality": "1d",
    "model_performance": "1d",
    "drift": "1d",
}

each_dashboard = pytest.mark.parametrize(
    "dashboard", DASHBOARDS.values(), ids=DASHBOARDS.keys()
)
each_panel = pytest.mark.parametrize("panel", PANELS)


def test_files_are_what_the_generator_writes() -> None:
    written = {path.name: path.read_text() for path in DASHBOARD_FILES}
    assert written == dashboard_files(), "run `python -m grafana.build`"


@each_dashboard
def test_dashboards_share_their_settings(dashboard: Dashboard) -> None:
    assert DASHBOARDS[dashboard["uid"]] is dashboard
    assert dashboard["schemaVersion"] == 42
    assert dashboard["timezone"] == "utc"
    assert dashboard["graphTooltip"] == 1
    assert dashboard["editable"] is False
    assert dashboard["description"]
    assert dashboard["tags"] == ["driftline"]
    [siblings] = dashboard["links"]
    assert siblings["tags"] == dashboard["tags"]
    assert siblings["includeVars"]
    assert siblings["keepTime"]


@each_dashboard
def test_ids_of_panels_are_unique_and_positive(dashboard: Dashboard) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert min(ids) > 0


@each_dashboard
def test_panels_fill_the_grid_without_overlap(dashboard: Dashboard) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for cell in itertools.product(
            range(grid["x"], grid["x"] + grid["w"]),
            range(grid["y"], grid["y"] + grid["h"]),
        ):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    height = max(row for _, row in taken) + 1
    assert len(taken) == 24 * height, "the grid has holes"


@each_panel
def test_panels_say_how_to_read_them(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 40
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"]
    assert defaults["unit"] in UNITS
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    limits = [step["value"] for step in steps[1:]]
    assert limits == sorted(set(limits))


@each_panel
def test_units_of_single_columns_are_known(panel: dict[str, Any]) -> None:
    units = {
        item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "unit"
    }
    assert units <= UNITS


@each_panel
def test_overrides_set_options_that_exist(panel: dict[str, Any]) -> None:
    field_config = {
        "timeseries": common.GraphFieldConfig,
        "table": common.TableFieldOptions,
    }
    options = set(STANDARD_OPTIONS)
    if panel["type"] in field_config:
        parameters = inspect.signature(field_config[panel["type"]]).parameters
        for name in parameters:
            first, *rest = name.split("_")
            options.add(f"custom.{first}{''.join(map(str.capitalize, rest))}")
    used = {
        item["id"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
    }
    assert used <= options


@each_panel
def test_panels_read_marts_no_finer_than_their_windows(panel: dict[str, Any]) -> None:
    [target] = panel["targets"]
    marts = {name.removeprefix("marts.") for name in relations(target["rawSql"])}
    if "${grain:" in target["rawSql"]:
        cadence = "1h"
    elif "grain = 'day'" in target["rawSql"]:
        cadence = "1d"
    else:
        [cadence] = {CADENCES[mart] for mart in marts}
    assert panel["interval"] == cadence


@each_dashboard
def test_queries_read_nothing_but_marts(dashboard: Dashboard) -> None:
    for query in queries(dashboard):
        found = relations(query.sql)
        assert found
        assert {name for name in found if not name.startswith("marts.")} == set()


@each_dashboard
def test_everything_uses_the_provisioned_datasource(dashboard: Dashboard) -> None:
    provisioned = yaml.safe_load(
        (GRAFANA_DIR / "provisioning/datasources/driftline.yaml").read_text()
    )["datasources"]
    expected = {"type": provisioned[0]["type"], "uid": provisioned[0]["uid"]}
    users = [
        *panels(dashboard),
        *(target for panel in panels(dashboard) for target in panel["targets"]),
        *dashboard["annotations"]["list"],
        *(entry["target"] for entry in dashboard["annotations"]["list"]),
        *(entry for entry in variables(dashboard) if entry["type"] == "query"),
    ]
    assert [user["datasource"] for user in users] == [expected] * len(users)


@each_dashboard
def test_variables_are_quoted_and_each_is_used(dashboard: Dashboard) -> None:
    names = {variable["name"] for variable in variables(dashboard)}
    used = set()
    for query in queries(dashboard):
        every = re.findall(r"\$(?!__)\{?(\w+)", query.sql)
        quoted = re.findall(r" in \(\$\{(\w+):sqlstring\}\)", query.sql)
        assert every == quoted, f"{query.place} breaks on quotes or on two values"
        used |= set(quoted)
    assert used == names


@each_dashboard
def test_variables_refer_only_to_those_before_them(dashboard: Dashboard) -> None:
    known: set[str] = set()
    for variable in variables(dashboard):
        assert variable["label"]
        assert variable["description"]
        assert set(re.findall(r"\$\{(\w+):", variable["query"])) <= known
        known.add(variable["name"])


@each_dashboard
def test_links_lead_to_dashboards_and_variables_that_exist(
    dashboard: Dashboard,
) -> None:
    own = {variable["name"] for variable in variables(dashboard)}
    found = list(links(dashboard))
    assert found
    for _, url in found:
        parts = urlsplit(url)
        assert parts.path.startswith("/d/")
        target = DASHBOARDS[parts.path.removeprefix("/d/")]
        theirs = {variable["name"] for variable in variables(target)}
        assert "${__url_time_range}" in parts.query
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", parts.query))
        given = {name.removeprefix("var-") for name, _ in parse_qsl(parts.query)}
        # Nothing twice: two values of a variable would both be chosen.
        assert not kept & given
        assert kept <= own & theirs
        assert given <= theirs
        # All that both have is kept, or given anew.
        assert own & theirs <= kept | given


@each_dashboard
def test_links_use_columns_that_their_panel_has(dashboard: Dashboard) -> None:
    for panel, url in links(dashboard):
        for column in re.findall(r"__data\.fields\.(\w+):percentencode\}", url):
            assert f'as "{column}"' in panel["targets"][0]["rawSql"]


@each_dashboard
def test_rows_repeat_by_variables_of_many_values(dashboard: Dashboard) -> None:
    multiple = {
        variable["name"]: variable["multi"] for variable in variables(dashboard)
    }
    repeated = [panel for panel in dashboard["panels"] if "repeat" in panel]
    assert all(multiple[panel["repeat"]] for panel in repeated)


def test_the_password_of_the_datasource_comes_from_the_environment() -> None:
    path = GRAFANA_DIR / "provisioning/datasources/driftline.yaml"
    [datasource] = yaml.safe_load(path.read_text())["datasources"]
    connection = [
        datasource["url"],
        datasource["user"],
        datasource["jsonData"]["database"],
        datasource["jsonData"]["sslmode"],
        datasource["secureJsonData"]["password"],
    ]
    assert all(re.fullmatch(r"\$DRIFTLINE_READER_[A-Z]+", part) for part in connection)
    assert "password" not in json.dumps(datasource["jsonData"])


def test_compose_gives_grafana_what_the_provisioning_needs() -> None:
    compose = yaml.safe_load((GRAFANA_DIR.parent / "compose.yaml").read_text())
    service = compose["services"]["grafana"]
    provisioned = (GRAFANA_DIR / "provisioning/datasources/driftline.yaml").read_text()
    needed = set(re.findall(r"\$(\w+)", provisioned))
    assert needed <= service["environment"].keys()
    [provider] = yaml.safe_load(
        (GRAFANA_DIR / "provisioning/dashboards/driftline.yaml").read_text()
    )["providers"]
    mounts = [volume.split(":")[1] for volume in service["volumes"]]
    assert provider["options"]["path"] in mounts
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.rpartition("/")[2] in dashboard_files()


def test_compose_listens_on_loopback_and_holds_no_password() -> None:
    compose = yaml.safe_load((GRAFANA_DIR.parent / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[\w/]+:\d+(\.\d+)+(-\w+)?", service["image"]), name
        assert service["healthcheck"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for key, value in service["environment"].items():
            if "PASSWORD" in key:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), key
