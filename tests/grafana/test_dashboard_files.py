"""What Grafana accepts but shows wrong, and what a reader of a dashboard needs."""

import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
import yaml

from grafana.alerting import rules_file
from grafana.build import EXPOSURES_FILE, dashboard_files
from grafana.exposures import exposures_file
from grafana.pages import PAGES
from grafana.queries import (
    ALERTING_DIR,
    DASHBOARD_FILES,
    GRAFANA_DIR,
    Dashboard,
    alert_queries,
    alert_rules,
    annotations,
    panels,
    queries,
    read_dashboards,
    relations,
    variables,
)
from grafana.rules import SEED, steps
from tests.grafana.dashboards import links, overrides

DASHBOARDS = read_dashboards()
SCHEMAS = json.loads(Path(__file__).with_name("panel_schemas.json").read_text())
REFERENCE = DASHBOARDS["driftline-reference"]
# All that show figures: the reference holds texts.
SHOWING = {name: each for name, each in DASHBOARDS.items() if each is not REFERENCE}
PANELS = [
    pytest.param(panel, id=f"{name}-{panel['title']}")
    for name, dashboard in SHOWING.items()
    for panel in panels(dashboard)
]
# Ids of Grafana's units; of an unknown one it shows the id after the number.
UNITS = {
    "none",
    "short",
    "h",
    "s",
    "ms",
    "percentunit",
    "time:YYYY-MM-DD HH:mm",
    "time:YYYY-MM-DD",
}
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
DAILY_MARTS = {
    "calibration",
    "data_quality",
    "distributions",
    "drift",
    "fairness",
    "model_performance",
    "model_performance_by_class",
    "statuses",
    "version_comparison",
}

each_dashboard = pytest.mark.parametrize(
    "dashboard", DASHBOARDS.values(), ids=DASHBOARDS.keys()
)
each_showing = pytest.mark.parametrize(
    "dashboard", SHOWING.values(), ids=SHOWING.keys()
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
    said, _, reference = panel["description"].partition(" [Reference: ")
    assert len(said) > 40
    assert said.endswith(".")
    # The page exists, and is that panel of the reference.
    link = re.fullmatch(
        r"([^\]]+)\]\(\./d/driftline-reference\?viewPanel=(\d+)\)\.", reference
    )
    assert link
    titles = {page["id"]: page["title"].lower() for page in panels(REFERENCE)}
    assert titles[int(link[2])] == link[1]
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
        for override in overrides(panel)
        for item in override["properties"]
        if item["id"] == "unit"
    }
    assert units <= UNITS


@each_panel
def test_several_numbers_have_names(panel: dict[str, Any]) -> None:
    if panel["type"] == "stat":
        # "auto" names them as soon as there are two.
        assert panel["options"]["textMode"] in ("auto", "value_and_name")


@each_panel
def test_headings_of_tables_are_not_cut_off(panel: dict[str, Any]) -> None:
    """Of right-aligned columns Grafana cuts the beginning of the heading."""
    cut_off = {
        override["matcher"]["options"]: item["value"]
        for override in overrides(panel)
        for item in override["properties"]
        if item["id"] == "custom.width"
        # The width of a letter in its font, of the button to filter, and of the edges.
        and item["value"] < 7.1 * len(override["matcher"]["options"]) + 34
    }
    assert panel["type"] != "table" or cut_off == {}


def _errors(schema: dict[str, Any], content: object) -> list[str]:
    validator = jsonschema.Draft7Validator(schema)
    return [
        f"{error.json_path}: {error.message}"
        for error in validator.iter_errors(content)
    ]


@each_dashboard
def test_panels_are_of_the_types_that_grafana_declares(dashboard: Dashboard) -> None:
    found = []
    for panel in panels(dashboard):
        title, kind = panel["title"], panel["type"]
        found += [(title, error) for error in _errors(SCHEMAS["panel"], panel)]
        options = _errors(SCHEMAS["options"][kind], panel["options"])
        found += [(title, error) for error in options]
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
        if custom is not None:
            if kind == "state-timeline":
                # The panel has it ("disconnect values"), its declared type has not.
                custom = {**custom}
                del custom["insertNulls"]
            errors = _errors(SCHEMAS["custom"][kind], custom)
            found += [(title, error) for error in errors]
    assert found == []


@each_panel
def test_overrides_are_of_the_types_that_grafana_declares(
    panel: dict[str, Any],
) -> None:
    for override in overrides(panel):
        custom = {
            item["id"].removeprefix("custom."): item["value"]
            for item in override["properties"]
            if item["id"].startswith("custom.")
        }
        if custom:
            schema = SCHEMAS["custom"][panel["type"]]
            wanted = [
                error
                for error in _errors(schema, custom)
                if "is a required" not in error
            ]
            assert wanted == []
        for item in override["properties"]:
            if not item["id"].startswith("custom."):
                assert item["id"] in STANDARD_OPTIONS


@each_panel
def test_panels_read_marts_no_finer_than_their_windows(panel: dict[str, Any]) -> None:
    sql = panel["targets"][0]["rawSql"]
    marts = {name.removeprefix("marts.") for name in relations(sql)} - {"monitors"}
    is_daily = "${grain:" not in sql and marts and marts <= DAILY_MARTS
    assert panel["interval"] == ("1d" if is_daily else "1h")


@each_showing
def test_queries_read_nothing_but_marts(dashboard: Dashboard) -> None:
    for query in (*queries(dashboard), *alert_queries()):
        found = relations(query.sql)
        assert found
        assert {name for name in found if not name.startswith("marts.")} == set()


@each_showing
def test_everything_uses_the_provisioned_datasource(dashboard: Dashboard) -> None:
    provisioned = yaml.safe_load(
        (GRAFANA_DIR / "provisioning/datasources/driftline.yaml").read_text()
    )["datasources"]
    expected = {"type": provisioned[0]["type"], "uid": provisioned[0]["uid"]}
    users = [
        *panels(dashboard),
        *(target for panel in panels(dashboard) for target in panel["targets"]),
        *annotations(dashboard),
        *(entry["target"] for entry in annotations(dashboard)),
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


@each_showing
def test_links_lead_to_dashboards_and_variables_that_exist(
    dashboard: Dashboard,
) -> None:
    own = {variable["name"] for variable in variables(dashboard)}
    for _, url in links(dashboard):
        parts = urlsplit(url)
        assert parts.path.startswith("/d/")
        target = DASHBOARDS[parts.path.removeprefix("/d/")]
        theirs = {variable["name"] for variable in variables(target)}
        assert "${__url_time_range}" in parts.query
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", parts.query))
        given = {
            name.removeprefix("var-")
            for name, _ in parse_qsl(parts.query)
            if name.startswith("var-")
        }
        # Nothing twice: two values of a variable would both be chosen.
        assert not kept & given
        assert kept <= own & theirs
        assert given <= theirs
        # All that both have is kept, or given anew. What depends on a variable that is
        # given anew can't be kept, and what is hidden follows from the others.
        dependent = {
            variable["name"]
            for variable in variables(target)
            if set(re.findall(r"\$\{(\w+):", variable["query"])) & given
            or variable["hide"] == 2
        }
        assert (own & theirs) - dependent <= kept | given


@each_dashboard
def test_links_use_columns_that_their_panel_has(dashboard: Dashboard) -> None:
    for panel, url in links(dashboard):
        columns = re.findall(r"__data\.fields\.(\w+):percentencode\}", url)
        assert len(columns) == url.count("__data")
        for column in columns:
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
        ports = service.get("ports", [])
        assert all(port.startswith("127.0.0.1:") for port in ports), name
        for key, value in service["environment"].items():
            if "PASSWORD" in key:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), key


def test_drilling_down_reaches_every_dashboard() -> None:
    reached = {
        urlsplit(url).path.removeprefix("/d/")
        for dashboard in SHOWING.values()
        for _, url in links(dashboard)
    }
    # One gets back up, and to those of segments, by the list of dashboards.
    assert reached == DASHBOARDS.keys() - {"driftline-overview", "driftline-segments"}


def test_variables_of_one_name_are_alike_everywhere() -> None:
    """Else a link would choose what the other dashboard does not have."""
    kinds: dict[str, set[tuple[bool, bool]]] = {}
    for dashboard in DASHBOARDS.values():
        for variable in variables(dashboard):
            kind = (variable["multi"], variable["includeAll"])
            kinds.setdefault(variable["name"], set()).add(kind)
    assert {name for name, found in kinds.items() if len(found) > 1} == set()
    assert kinds["column"] == kinds["owner"] == kinds["owned"] == {(True, True)}
    assert kinds["monitor"] == kinds["segment_value"] == {(False, False)}


def test_the_reference_holds_the_pages_and_no_dead_link() -> None:
    assert [panel["title"] for panel in panels(REFERENCE)] == [
        title for title, _ in PAGES.values()
    ]
    for number, panel in enumerate(panels(REFERENCE), start=1):
        assert panel["id"] == number
        assert panel["options"]["mode"] == "markdown"
        assert len(panel["options"]["content"]) > 1000
        for target in re.findall(r"\]\(([^)\s]+)\)", panel["options"]["content"]):
            assert re.fullmatch(
                r"https://.+|\./d/driftline-reference\?viewPanel=[1-6]", target
            )


def test_rules_that_queries_name_are_in_the_seed() -> None:
    known = {line.split(",")[0] for line in SEED.read_text().splitlines()[1:]}
    named = {
        rule_id
        for dashboard in SHOWING.values()
        for query in queries(dashboard)
        for found in re.findall(r"rule_id in \(([^)$]+)\)", query.sql)
        for rule_id in re.findall(r"'(\w+)'", found)
    }
    assert named
    assert named <= known


def test_thresholds_are_the_bounds_of_rules() -> None:
    assert steps("null_rate") == [
        (None, "semi-dark-green"),
        (0.05, "semi-dark-orange"),
        (0.3, "semi-dark-red"),
    ]
    assert steps("concept_drift") == [
        (None, "semi-dark-red"),
        (-0.2, "semi-dark-orange"),
        (-0.12, "semi-dark-green"),
    ]
    assert steps("slow_drift")[1:] == [(0.25, "semi-dark-orange")]
    with pytest.raises(KeyError):
        steps("no_such_rule")


def test_alert_rules_are_what_the_generator_writes() -> None:
    written = (ALERTING_DIR / "rules.yaml").read_text()
    assert written == rules_file(dashboard_files()), "run `python -m grafana.build`"


def test_alert_rules_lead_to_a_panel_and_a_runbook() -> None:
    runbooks = (GRAFANA_DIR.parent / "docs/runbooks.md").read_text()
    rules = alert_rules()
    assert len({rule["uid"] for rule in rules}) == len(rules)
    for rule in rules:
        dashboard = DASHBOARDS[rule["dashboardUid"]]
        assert rule["panelId"] in {panel["id"] for panel in panels(dashboard)}
        page, _, section = rule["annotations"]["description"].partition(", ")
        assert page == "docs/runbooks.md"
        assert f"\n## {section}\n" in runbooks
        number = list(PAGES).index("runbooks") + 1
        assert rule["annotations"]["runbook_url"] == (
            f"{{{{ externalURL }}}}d/driftline-reference?viewPanel={number}"
        )


def test_alert_rules_say_what_no_data_and_errors_mean() -> None:
    contact_points = yaml.safe_load((ALERTING_DIR / "contact-points.yaml").read_text())
    [receiver] = contact_points["contactPoints"]
    for rule in alert_rules():
        assert rule["noDataState"] in ("OK", "Alerting")
        assert rule["execErrState"] == "Error"
        assert rule["notification_settings"] == {"receiver": receiver["name"]}
        query, reduced, threshold = rule["data"]
        assert rule["condition"] == threshold["refId"] == "C"
        assert query["datasourceUid"] == "driftline"
        assert query["model"]["format"] == "time_series"
        assert reduced["model"]["expression"] == query["refId"]
        assert threshold["model"]["expression"] == reduced["refId"]
        # Grafana would take a single dollar for a variable of the environment.
        texts = [*rule["annotations"].values(), query["model"]["rawSql"]]
        assert not re.search(r"(?<!\$)\$(?!\$)", " ".join(texts))


def test_contact_points_come_from_the_environment() -> None:
    content = yaml.safe_load((ALERTING_DIR / "contact-points.yaml").read_text())
    [receiver] = content["contactPoints"][0]["receivers"]
    values = [receiver["type"], *receiver["settings"].values()]
    assert all(re.fullmatch(r"\$DRIFTLINE_ALERT_[A-Z]+", value) for value in values)


def test_exposures_are_of_the_marts_that_are_read() -> None:
    exposures = yaml.safe_load(EXPOSURES_FILE.read_text())["exposures"]
    read = {
        f"grafana_{name.removeprefix('driftline-').replace('-', '_')}": {
            f"ref('{mart.removeprefix('marts.')}')"
            for query in queries(dashboard)
            for mart in relations(query.sql)
        }
        for name, dashboard in SHOWING.items()
    }
    told = {each["name"]: set(each["depends_on"]) for each in exposures}
    assert told.pop("grafana_alerts") == {
        "ref('incidents')",
        "ref('monitors')",
        "ref('pipeline_runs')",
    }
    assert told == read, "run `python -m grafana.build`"
    assert EXPOSURES_FILE.read_text() == exposures_file()
