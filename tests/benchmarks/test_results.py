"""Ratios, their budgets, and what a run's file keeps."""

from pathlib import Path

import pytest

from benchmarks.dbt_process import covered
from benchmarks.measure import Figure, Memory, Worker
from benchmarks.results import Results, markdown, read_results


@pytest.fixture
def results() -> Results:
    memory = Memory(process=3 << 30, server=1 << 20)
    return Results(
        machine={"sizes": {"rows": 1_000_000}},
        figures={
            "scan": Figure(title="scan", runs=(0.5, 9.0, 0.4), rows=1_000_000),
            "build.wide.models": Figure(title="build", runs=(10.0,)),
            "evidently.drift": Figure(title="Evidently", runs=(130.0,)),
            "evaluation": Figure(title="evaluation", runs=(1.0,), memory=memory),
        },
        skipped={"whylogs": "there is none"},
    )


def test_a_ratio_is_of_medians_and_knows_its_budget(results: Results) -> None:
    ratios = {ratio.title: ratio for ratio in results.ratios()}
    scan = ratios["all families from a wide table ÷ a bare scan of it"]
    evidently = ratios["Evidently's drift preset ÷ all families from a wide table"]
    memory = ratios["memory of evaluation"]

    assert (scan.value, scan.verdict) == (20.0, "met")
    assert (evidently.value, evidently.verdict) == (13.0, "met")
    assert (memory.value, memory.verdict) == (3.0, "missed")


def test_what_was_not_measured_has_no_ratio(results: Results) -> None:
    assert not any("JSON" in ratio.title for ratio in results.ratios())


def test_a_run_can_be_read_again(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "build" / "results.json"
    results.write(path)

    assert read_results(path) == results
    assert markdown(read_results(path)) == markdown(results)


def test_few_rows_are_not_judged(results: Results) -> None:
    few = Results(machine={"sizes": {"rows": 2000}}, figures=results.figures)

    assert "missed" in markdown(results)
    assert "missed" not in markdown(few)


def test_time_that_two_nodes_share_counts_once() -> None:
    assert covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0), (5.2, 5.4)]) == 4.0


def test_a_worker_runs_jobs_in_a_process_of_its_own() -> None:
    with Worker() as worker:
        finished = worker.run(sorted, [3, 1, 2])

    assert finished.result == [1, 2, 3]
    assert finished.memory.process > 1 << 20
    assert finished.memory.server is None
