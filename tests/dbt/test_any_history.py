"""Whatever happens in whatever order, the marts are those of one full refresh.

Hypothesis draws the history. Two of them in a normal run; many, and others each time,
with `pytest tests/dbt/test_any_history.py --hypothesis-profile thorough`.
"""

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from orchestration import warehouse
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings
from tests.dbt.arrivals import late_labels, replayed_file, restated_labels
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import assert_same_marts, read_marts
from tests.dbt.prediction_log import (
    MODELS,
    START,
    draw_predictions,
    insert_baseline,
    insert_labels,
    insert_predictions,
)

Block = dict[str, Any]
CopyOfLog = Callable[[], AbstractContextManager[ConnectionSettings]]

# What a user may change of a monitor; all but the owner decide what the marts hold.
CHANGES: list[Mapping[str, object]] = [
    {"owner": "somebody else"},
    {"segments": ["origin x carrier"], "fairness": ["origin x carrier"]},
    {"segments": ["origin"], "column_segments": ["origin"]},
    {"segments": [], "column_segments": [], "fairness": []},
    {"windows": {"traffic": "15 minutes", "columns": "hour"}},
    {"windows": {"traffic": "day", "columns": "day"}},
    {"baseline": {"first": "2 days"}},
    {"baseline": {"from": "2026-03-02", "to": "2026-03-04", "versions": "shared"}},
    {"drift": {"methods": ["ks", "psi"], "compared_to": ["last_week", "previous"]}},
    {"features": {"dep_delay": "numerical", "carrier": "categorical"}, "segments": []},
    {"minimum_sample": 5},
    {"labels": {"expected_within": "400 days"}},
    {"alerts": {"null_rate": {"warning": 0.01, "open_after": 1}, "unseen_rate": False}},
    {
        "alerts": {
            "requests": {
                "family": "service_health",
                "metric": "request_count",
                "method": "learned",
                "direction": "both",
                "versions": "every",
                "grain": "hour",
                "warning": 1,
                "critical": 3,
                "minimum_sample": 0,
                "minimum_history": 3,
                "close_after": 3,
            },
            "moved": {
                "family": "drift",
                "metric": "mean_shift",
                "compared_to": "previous",
                "method": "learned",
                "versions": "every",
                "warning": 0.5,
                "minimum_sample": 1,
                "minimum_history": 2,
                "compared_as": "ratio",
            },
        }
    },
]

models = st.sampled_from(MODELS)
versions = st.sampled_from(["1", "2", "3"])
seeds = st.integers(0, 2**16)


class History(RuleBasedStateMachine):
    """A warehouse, and what happens to it.

    ``copy_of_log`` makes a copy of a log with its marts; ``dbt_for`` a dbt for it.
    """

    def __init__(
        self,
        copy_of_log: CopyOfLog,
        dbt_for: Callable[[ConnectionSettings], Dbt],
        blocks: list[Block],
    ) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._settings = self._stack.enter_context(copy_of_log())
        self._dbt = dbt_for(self._settings)
        self._blocks = copy.deepcopy(blocks)
        self._loads = 0

    @rule(
        model=models,
        version=versions,
        seed=seeds,
        first_day=st.integers(-3, 9),
        days=st.sampled_from([0.1, 1, 8]),
        count=st.integers(1, 60),
        labelled=st.booleans(),
    )
    def load_predictions(
        self,
        *,
        model: str,
        version: str,
        seed: int,
        first_day: int,
        days: float,
        count: int,
        labelled: bool,
    ) -> None:
        self._loads += 1
        rows = draw_predictions(
            np.random.default_rng(seed),
            model_name=model,
            version=version,
            count=count,
            start=START + timedelta(days=first_day),
            days=days,
            prefix=f"load{self._loads}",
        )
        with warehouse.connect(self._settings) as connection:
            insert_predictions(connection, rows, loaded_at=None)
            if labelled:
                insert_labels(connection, rows[::2], loaded_at=None)

    @rule(model=models, version=versions, seed=seeds)
    def load_baseline(self, *, model: str, version: str, seed: int) -> None:
        self._loads += 1
        rows = draw_predictions(
            np.random.default_rng(seed),
            model_name=model,
            version=version,
            count=70,
            prefix=f"baseline{self._loads}",
        )
        with warehouse.connect(self._settings) as connection:
            insert_baseline(connection, rows, loaded_at=None)

    @rule(event=st.sampled_from([late_labels, restated_labels, replayed_file]))
    def arrive(self, *, event: Callable[..., None]) -> None:
        with warehouse.connect(self._settings) as connection:
            event(connection)
            connection.commit()

    @rule(
        table=st.sampled_from(["prediction_logs", "ground_truth"]),
        digit=st.integers(0, 9),
    )
    def retract(self, *, table: str, digit: int) -> None:
        with warehouse.connect(self._settings) as connection:
            connection.execute(
                f"delete from raw.{table} where prediction_id like %s", [f"%{digit}"]
            )
            connection.commit()
        # Only a run that counts everything can notice.
        self._run({"reconcile": True})

    @rule(place=st.integers(0, 2), change=st.sampled_from(CHANGES))
    def change_monitor(self, *, place: int, change: Mapping[str, object]) -> None:
        block = self._blocks[place % len(self._blocks)]
        block |= copy.deepcopy(change)
        chosen = block.get("segments", [])
        for key in ("column_segments", "fairness"):
            block[key] = [name for name in block.get(key, []) if name in chosen]

    @rule(place=st.integers(0, 2))
    def add_or_remove_a_second_monitor(self, *, place: int) -> None:
        """Of the same predictions."""
        if self._blocks[-1]["name"] == "second":
            self._blocks.pop()
        else:
            self._blocks.append(copy.deepcopy(self._blocks[place]) | {"name": "second"})

    @rule()
    def run(self) -> None:
        self._run({})

    @rule(place=st.integers(0, 2))
    def run_one_monitor(self, *, place: int) -> None:
        name = self._blocks[place % len(self._blocks)]["name"]
        self._run({"only_monitors": [name]})

    @rule(
        left_out=st.sampled_from(
            ["int_column_bins", "int_baselines", "int_score_buckets", "data_quality"]
        )
    )
    def run_that_stops_early(self, *, left_out: str) -> None:
        self._run({}, "--exclude", f"{left_out}+")

    def teardown(self) -> None:
        try:
            self._run({})
            refreshed = read_marts(self._settings)
            self._run({}, "--full-refresh")
            assert_same_marts(refreshed, read_marts(self._settings))
        finally:
            self._stack.close()

    def _run(self, variables: Mapping[str, object], *selection: str) -> None:
        self._dbt.build(
            [*MODELS_ONLY, *selection],
            variables={"monitors": self._blocks, **variables},
        )


@pytest.mark.timeout(1800)
def test_any_history_leaves_the_marts_of_a_full_refresh(
    copy_of_log: CopyOfLog,
    dbt_for: Callable[[ConnectionSettings], Dbt],
    monitor_blocks: list[Block],
) -> None:
    class HistoryOfTheSmallLog(History):
        def __init__(self) -> None:
            super().__init__(copy_of_log, dbt_for, monitor_blocks)

    profile = hypothesis.settings.get_profile(
        hypothesis.settings.get_current_profile_name()
    )
    run_state_machine_as_test(
        HistoryOfTheSmallLog,
        settings=hypothesis.settings(
            profile,
            max_examples=profile.max_examples // 50,
            stateful_step_count=7,
            # Each try takes a minute: a failure is told with its steps as they were.
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
