"""A wrong monitor block stops dbt with one sentence: monitor, key, and what to do."""

import copy
import json
import multiprocessing
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.factory import get_adapter, register_adapter, reset_adapters
from dbt.config.runtime import RuntimeConfig
from dbt.context.providers import generate_runtime_macro_context
from dbt.flags import set_from_args
from dbt_common.exceptions import CompilationError

from orchestration import warehouse
from orchestration.evaluation.methods import METHODS, MULTIVARIATE
from orchestration.evaluation.results import KINDS
from orchestration.project import PROJECT_DIR, Dbt, DbtError, warehouse_environment
from orchestration.warehouse import ConnectionSettings

Block = dict[str, Any]
HOSTILE = (
    *('x"; drop schema raw cascade; --', "x'; select 1; --", "x; select 1", "x--"),
    *("Carrier", "with space", "1st", "", "naïve", "carrier\n", "x" * 64, "{{ x }}"),
)
REMOVED = object()


class DbtOfBlocks(Dbt):
    """dbt that parses with other blocks, and checks blocks without parsing for each."""

    def parse_with(self, blocks: object) -> None:
        """`dbt parse` with other blocks. Raises ``DbtError``."""
        self._invoke(["parse", "--vars", json.dumps({"monitors": blocks})], [])

    def checker(self) -> Callable[[object], object]:
        """Renders the macro that every model renders first, for the blocks it is given.

        In a few milliseconds: a `dbt run-operation` would take half a second.
        """
        self.parse()
        with warehouse_environment(self._settings):
            arguments = Namespace(
                project_dir=str(PROJECT_DIR),
                profiles_dir=str(PROJECT_DIR),
                which="run-operation",
                **dict.fromkeys(("profile", "target", "threads", "target_path")),
                **dict.fromkeys(("macro_debugging", "version_check"), False),
                require_batched_execution_for_custom_microbatch_strategy=False,
                vars={},
            )
            set_from_args(arguments, {})
            config = RuntimeConfig.from_args(arguments)
        # That of the last run would keep its own configuration.
        reset_adapters()  # type: ignore[no-untyped-call]
        register_adapter(config, multiprocessing.get_context("spawn"))
        adapter = get_adapter(config)
        adapter.set_macro_resolver(self._manifest)
        adapter.set_macro_context_generator(generate_runtime_macro_context)

        def check(blocks: object) -> object:
            config.cli_vars = {"monitors": blocks}
            with adapter.connection_named("monitor blocks"):
                return adapter.execute_macro("monitors")

        return check


@pytest.fixture(scope="module")
def check(
    postgres: ConnectionSettings, target_path: Path
) -> Callable[[object], object]:
    return DbtOfBlocks(postgres, target_path=target_path).checker()


def block(**changes: object) -> Block:
    """A good block with some keys changed, or removed."""
    good: Block = {
        "name": "delays",
        "predictions": "stg_flights__flight_delayed",
        "task": "binary",
        "positive_class": "true",
        "features": {"distance": "numerical", "carrier": "categorical"},
        "segments": ["carrier", "carrier x distance"],
        "baseline": {"relation": "stg_flights__flight_delayed_baseline"},
        "windows": {"traffic": "hour", "columns": "day"},
        "slo": {"availability": 0.999, "latency_ms": 250, "latency_target": 0.99},
        "labels": {"expected_within": "2 days"},
        "owner": "team-flights",
        "minimum_sample": 50,
    }
    good |= changes
    return {key: value for key, value in good.items() if value is not REMOVED}


# Key, what it is changed to, and what the sentence says about it.
WRONG: list[tuple[str, object, str]] = [
    ("name", REMOVED, "use lowercase letters"),
    ("name", 7, "use lowercase letters"),
    ("name", "x" * 41, "at most 40"),
    ("name", "score", "choose a longer one, such as score_model"),
    ("nmae", "delays", "the keys are name, predictions, task"),
    ("predictions", REMOVED, "name the staging model"),
    ("task", REMOVED, "use binary, multiclass or regression"),
    ("task", "Binary", "use binary, multiclass or regression"),
    ("task", "multiclass", "remove it"),
    ("positive_class", REMOVED, "in quotes"),
    ("positive_class", True, "in quotes"),
    ("features", REMOVED, "list at least one feature"),
    ("features", {}, "list at least one feature"),
    ("features", ["distance"], "list at least one feature"),
    ("features", {"carrier": "blob"}, "use one of numerical, categorical, text"),
    ("features", {"carrier": None}, "use one of numerical, categorical, text"),
    ("features", {"score": "numerical"}, "remove it from the features"),
    ("segments", "carrier", "write it as [origin, carrier"),
    ("segments", ["origin"], "use a feature"),
    ("segments", ["carrier x origin"], "use a feature"),
    ("segments", ["carrier,distance"], "use a feature"),
    ("segments", [None], "use a feature"),
    ("segments", ["carrier", "carrier"], "remove one of them"),
    ("segments", ["all"], "give the column another name"),
    ("baseline", REMOVED, "give {relation: …}"),
    ("baseline", "stg_flights__flight_delayed_baseline", "give {relation: …}"),
    ("baseline", {}, "give {relation: …}"),
    ("baseline", {"from": "2026-01-01"}, "give {relation: …}"),
    ("baseline", {"relation": "x", "first": "3 days"}, "give {relation: …}"),
    ("baseline", {"from": "2026-1-1", "to": "2026-02-01"}, "give {relation: …}"),
    ("baseline", {"from": "2026-01-01", "to": "2026-02-29"}, "give {relation: …}"),
    ("baseline", {"from": "2026-13-01", "to": "2027-02-01"}, "give {relation: …}"),
    ("baseline", {"from": "2026-02-01", "to": "2026-01-01"}, "give {relation: …}"),
    ("baseline", {"first": "two weeks"}, "give {relation: …}"),
    ("baseline", {"first": "0 days"}, "give {relation: …}"),
    ("baseline", {"first": "3 days'"}, "give {relation: …}"),
    ("baseline", {"first": "3 days", "versions": "all"}, "use own"),
    ("column_segments", "carrier", "write it as [origin]"),
    ("column_segments", ["distance"], "some of carrier, carrier x distance"),
    ("fairness", ["carrier", "carrier"], "remove one of them"),
    ("freshness", "soon", "use a span such as 30 minutes"),
    ("freshness", 2, "use a span such as 30 minutes"),
    ("drift", ["psi"], "write it as {methods: [psi, ks]"),
    ("drift", {"method": "psi"}, "use methods, compared_to, alpha"),
    ("drift", {"methods": "psi"}, "write it as [psi, jensen_shannon]"),
    ("drift", {"methods": []}, "write it as [psi, jensen_shannon]"),
    ("drift", {"methods": ["psi", "psi"]}, "remove one of them"),
    ("drift", {"methods": ["kl"]}, "use some of psi, jensen_shannon"),
    ("drift", {"compared_to": ["yesterday"]}, "use some of baseline, previous"),
    ("drift", {"alpha": 5}, "use a share between 0 and 1"),
    ("drift", {"thresholds": {"kl": [0.1, 0.2]}}, "use some of psi"),
    ("drift", {"thresholds": {"psi": 0.1}}, "warning first"),
    ("drift", {"thresholds": {"psi": [0.3, 0.1]}}, "warning first"),
    ("drift", {"thresholds": {"psi": ["0.1", "0.2"]}}, "warning first"),
    ("drift", {"columns": ["distance"]}, "write it as {columns"),
    ("drift", {"columns": {"altitude": {}}}, "the columns are distance, carrier"),
    ("drift", {"columns": {"distance": ["ks"]}}, "write it as {methods"),
    ("drift", {"columns": {"distance": {"method": "ks"}}}, "use methods and thr"),
    ("drift", {"columns": {"carrier": {"methods": ["ks"]}}}, "for numerical columns"),
    ("evidently", "ks", "write it as {methods: {numerical: ks}"),
    ("evidently", {"method": "ks"}, "use some of methods, thresholds, columns"),
    ("evidently", {"methods": "ks"}, "write it as {methods: {numerical: ks}}"),
    ("evidently", {"methods": {"number": "ks"}}, "use some of numerical, categorical"),
    ("evidently", {"methods": {"numerical": "g_test"}}, "use one of ks, wasserstein"),
    ("evidently", {"thresholds": {"kl": 0.1}}, "use some of ks, wasserstein_normed"),
    ("evidently", {"thresholds": {"ks": "0.1"}}, "use a number above 0"),
    ("evidently", {"thresholds": {"ks": True}}, "use a number above 0"),
    ("evidently", {"columns": {"altitude": {}}}, "use some of distance, carrier"),
    ("evidently", {"columns": {"distance": "ks"}}, "write it as {method: psi"),
    ("evidently", {"columns": {"distance": {"test": "ks"}}}, "use some of method, thr"),
    ("evidently", {"columns": {"carrier": {"method": "ks"}}}, "use one of jensen_sh"),
    ("evidently", {"columns": {"carrier": {"threshold": 0}}}, "use a number above 0"),
    ("evidently", {"drifted_share": 50}, "use a share above 0, up to 1"),
    ("evidently", {"multivariate": "pca"}, "use a list of some of domain_classifier"),
    ("evidently", {"multivariate": ["pca"]}, "use a list of some of domain_classifier"),
    ("evidently", {"reports": "no"}, "use true or false"),
    ("alerts", ["null_rate"], "write it as {null_rate: {warning: 0.1}"),
    ("alerts", {"null rate": False}, "use lowercase letters"),
    ("alerts", {"null_rate": True}, "write off, or what changes"),
    ("alerts", {"null_rate": {}}, "write off, or what changes"),
    ("alerts", {"null_rate": {"bound": 0.1}}, "the keys are family, metric"),
    ("alerts", {"null_rate": {"warning": "0.1"}}, "use a number"),
    ("alerts", {"null_rate": {"critical": True}}, "use a number"),
    ("alerts", {"null_rate": {"minimum_change": -1}}, "of at least 0"),
    ("alerts", {"null_rate": {"open_after": 0}}, "whole number of at least 1"),
    ("alerts", {"null_rate": {"close_after": 1.5}}, "whole number of at least 1"),
    ("alerts", {"null_rate": {"minimum_sample": -1}}, "whole number of at least 0"),
    ("alerts", {"null_rate": {"grain": "month"}}, "use traffic, hour, day, week"),
    ("alerts", {"null_rate": {"versions": "1"}}, "use all, each, every"),
    ("alerts", {"null_rate": {"roles": "features"}}, "as in feature prediction"),
    ("alerts", {"null_rate": {"columns": 3}}, "as in dep_* for some"),
    ("alerts", {"null_rate": {"period": "4 weeks"}}, "as in 28 days"),
    ("alerts", {"null_rate": {"season": "month"}}, "use none, hour of day"),
    ("alerts", {"null_rate": {"method": "static"}}, "name a rule of your own"),
    ("alerts", {"fees": {"family": "fees"}}, "use service_health, data_quality"),
    ("alerts", {"fees": {"family": "data_quality"}}, "needs family, metric, method"),
    (
        "alerts",
        {"fees": {"family": "drift", "metric": "psi", "method": "static"}},
        "give warning, critical, or both",
    ),
    (
        "alerts",
        {
            "fees": {
                "family": "service_health",
                "metric": "burn_rate",
                "method": "static",
                "warning": 1,
            }
        },
        "burn_rate is a metric of the method burn_rate",
    ),
    (
        "alerts",
        {
            "fees": {
                "family": "data_quality",
                "metric": "null_rate",
                "method": "significance",
                "warning": 0.01,
            }
        },
        "only drift has p-values",
    ),
    ("windows", "hour", "write it as {traffic: hour"),
    ("windows", {"drift": "day"}, "use traffic and columns"),
    ("windows", {"columns": "week"}, "use one of hour, day"),
    ("windows", {"columns": "15 minutes"}, "use one of hour, day"),
    ("windows", {"traffic": "10 minutes"}, "use one of 5 minutes, 15 minutes, hour"),
    ("windows", {"traffic": "day", "columns": "hour"}, "make traffic as short"),
    ("slo", 0.99, "write it as {availability"),
    ("slo", {"latency": 250}, "use availability, latency_ms and latency_target"),
    ("slo", {"availability": 99.9}, "use a share between 0 and 1"),
    ("slo", {"availability": "0.99"}, "use a share between 0 and 1"),
    ("slo", {"latency_ms": -1}, "use milliseconds above 0"),
    ("slo", {"latency_ms": True}, "use milliseconds above 0"),
    ("labels", "2 days", "write it as {expected_within: 2 days}"),
    ("labels", {"expected_within": "soon"}, "with a span such as"),
    ("labels", {"within": "2 days"}, "with a span such as"),
    ("owner", ["me"], "name the team or person in quotes"),
    ("minimum_sample", 0, "use a whole number of at least 1"),
    ("minimum_sample", "50", "use a whole number of at least 1"),
    ("minimum_sample", True, "use a whole number of at least 1"),
]


def sentence(check: Callable[[object], object], blocks: object) -> str:
    """What dbt stops with."""
    with pytest.raises(CompilationError) as error:
        check(blocks)
    return str(error.value)


@pytest.mark.parametrize(("key", "value", "remedy"), WRONG)
def test_a_wrong_key_stops_dbt_with_its_name_and_a_remedy(
    key: str, value: object, remedy: str, check: Callable[[object], object]
) -> None:
    wrong = block(**{key: value})
    message = sentence(check, [wrong])

    named = "positive_class" if value == "multiclass" else key
    assert f"Monitor '{wrong.get('name', '#1')}', key '{named}': " in message
    assert remedy in message


@pytest.mark.parametrize("identifier", HOSTILE)
def test_only_plain_identifiers_reach_sql(
    identifier: str, check: Callable[[object], object]
) -> None:
    for key, wrong in {
        "name": block(name=identifier),
        "predictions": block(predictions=identifier),
        "baseline": block(baseline={"relation": identifier}),
        "features": block(features={identifier: "numerical"}, segments=[]),
        "segments": block(segments=[f"carrier x {identifier}"]),
    }.items():
        assert f"key '{key}': " in sentence(check, [wrong]), key


@pytest.mark.parametrize("blocks", [None, [], {}, "delays", {"name": "delays"}])
def test_no_list_of_blocks_stops_dbt(
    blocks: object, check: Callable[[object], object]
) -> None:
    assert "must be a list with at least one monitor block" in sentence(check, blocks)


def test_what_is_no_block_and_what_comes_twice_stops_dbt(
    check: Callable[[object], object],
) -> None:
    assert "Monitor '#2', key 'name': " in sentence(check, [block(), "second"])
    assert "is used by two blocks" in sentence(check, [block(), block()])


def test_a_good_block_passes_and_needs_only_what_has_no_default(
    check: Callable[[object], object],
) -> None:
    optional = ("segments", "windows", "slo", "labels", "owner", "minimum_sample")
    shortest = block(name="shortest", **dict.fromkeys(optional, REMOVED))
    range_of_days = {
        "from": "2026-01-31",
        "to": "2028-02-29",
        "versions": "shared",
    }
    longest = block(
        name="x" * 40,
        baseline=range_of_days,
        positive_class="",
        features={
            **{name: "categorical" for name in ("x" * 63, "select", "_")},
            "comment": "text",
            "vector": "embedding",
        },
        segments=["select x _"],
        column_segments=["select x _"],
        fairness=["select x _"],
        windows={"traffic": "5 minutes", "columns": "hour"},
        freshness="90 minutes",
        drift={
            "methods": ["hellinger", "psi"],
            "compared_to": ["last_week"],
            "alpha": 0.01,
            "thresholds": {"psi": [0.2, 0.2]},
            "columns": {
                "_": {"methods": ["chi_squared"]},
                "score": {"methods": ["ks"], "thresholds": {"ks": [1, 2.5]}},
            },
        },
        evidently={
            "methods": {"numerical": "epps_singleton", "text": "text_classifier"},
            "thresholds": {"ks": 0.01, "domain_classifier": 0.7},
            "columns": {
                "_": {"method": "g_test"},
                "vector": {"method": "cosine", "threshold": 0.1},
                "actual": {"threshold": 0.3},
            },
            "drifted_share": 1,
            "multivariate": [],
            "reports": False,
        },
        alerts={
            "null_rate": {"warning": 0.1, "critical": None, "minimum_sample": None},
            "traffic_volume": False,
            "late_fees": {
                "family": "data_quality",
                "metric": "null_rate",
                "method": "static",
                "columns": "fee_*",
                "roles": "feature score",
                "warning": 0,
            },
        },
    )

    check([shortest, longest])


def test_a_wrong_block_stops_dbt_while_it_parses(
    postgres: ConnectionSettings, monitor_blocks: list[Block], tmp_path: Path
) -> None:
    monitor_blocks[1]["task"] = "guessing"
    dbt = DbtOfBlocks(postgres, target_path=tmp_path)

    with pytest.raises(DbtError, match=r"Monitor 'flight_delayed', key 'task': "):
        dbt.parse_with(monitor_blocks)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"features": {"altitude": "numerical"}},
            "the model 'stg_flights__flight_delay' "
            "has no column 'altitude'; add it to the model",
        ),
        (
            {"features": {"carrier": "numerical"}},
            "the column 'carrier' of "
            "'stg_flights__flight_delay' has the type text; cast it to double",
        ),
        (
            {"task": "multiclass"},
            "the column 'prediction' of "
            "'stg_flights__flight_delay' has the type double precision; cast it to",
        ),
        (
            {
                "predictions": "stg_flights__flight_delay_band",
                "task": "multiclass",
                "baseline": {"relation": "stg_flights__flight_delay_baseline"},
            },
            "the column 'prediction' of "
            "'stg_flights__flight_delay_baseline' has the type double precision",
        ),
    ],
)
def test_a_relation_without_what_a_block_needs_is_told(
    changes: Block,
    expected: str,
    copied_log: ConnectionSettings,
    dbt_for: Callable[[ConnectionSettings], Dbt],
    monitor_blocks: list[Block],
) -> None:
    other = copy.deepcopy(monitor_blocks[0]) | {
        "name": "other",
        "segments": [],
        "fairness": [],
    }

    dbt_for(copied_log).build(
        ["--select", "int_baseline_versions"],
        variables={"monitors": [*monitor_blocks, other | changes]},
    )

    with warehouse.connect(copied_log) as connection:
        noted = connection.execute(
            "select monitor, reason from intermediate.read_failures"
        ).fetchall()
    assert [monitor for monitor, _ in noted] == ["other"]
    assert noted[0][1].startswith(expected)


def test_the_methods_of_evidently_are_those_that_the_orchestration_knows(
    check: Callable[[object], object],
) -> None:
    message = sentence(check, [block(evidently={"thresholds": {"typo": 1}})])
    assert f"use some of {', '.join([*METHODS, *MULTIVARIATE])}." in message

    for kind in KINDS:
        suited = [name for name, method in METHODS.items() if kind in method.kinds]
        message = sentence(check, [block(evidently={"methods": {kind: "typo"}})])
        assert f"use one of {', '.join(suited)}." in message


def test_rows_are_not_cut_by_texts(check: Callable[[object], object]) -> None:
    texts = block(features={"distance": "numerical", "carrier": "text"})

    assert "'carrier' is none of the features" in sentence(check, [texts])


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        (
            {"nul_rate": {"warning": 0.1}},
            "Monitor 'flight_delay', key 'alerts': there is no rule 'nul_rate' to "
            "change; use one of accuracy, accuracy_collapse",
        ),
        (
            {
                "fees": {
                    "family": "data_quality",
                    "metric": "nulls",
                    "method": "static",
                    "warning": 1,
                }
            },
            "Alert rule 'fees' of the monitor 'flight_delay': 'nulls' is no figure of "
            "data_quality; use one of row_count, null_count",
        ),
        (
            {
                "fees": {
                    "family": "data_quality",
                    "metric": "unseen_rate",
                    "method": "baseline",
                    "warning": 1,
                }
            },
            "Alert rule 'fees' of the monitor 'flight_delay': the baseline has no "
            "'unseen_rate'; use the method static or learned.",
        ),
    ],
)
def test_a_rule_that_nothing_is_known_of_stops_the_build(
    alerts: Block, expected: str, dbt: Dbt, monitor_blocks: list[Block]
) -> None:
    monitor_blocks[0]["alerts"] = alerts

    with pytest.raises(DbtError) as error:
        dbt.build(
            ["--select", "int_alert_rules"], variables={"monitors": monitor_blocks}
        )

    assert expected in str(error.value)
