"""Days are evaluated once, replaced whole, and one monitor's failure stays its own."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration import drift
from orchestration.days import DayOutcome, DayRange, SampleOptions
from orchestration.drift import evaluate_days, stale_days
from orchestration.errors import WarehouseError
from orchestration.evaluation.methods import Choice, EvidentlySettings
from orchestration.evaluation.results import Column
from orchestration.monitors import BaselineSource, Relation
from orchestration.sampling import read_sample
from orchestration.warehouse import ConnectionSettings
from tests.orchestration.conftest import COLUMNS, DAY, SmallWarehouse, monitor

FIRST, SECOND = DAY.date(), DAY.date() + timedelta(days=1)


@pytest.fixture
def two_days(small_warehouse: SmallWarehouse) -> SmallWarehouse:
    small_warehouse.add_baseline(2000)
    small_warehouse.add_predictions(DAY, 300)
    small_warehouse.add_predictions(DAY + timedelta(days=1), 200)
    small_warehouse.refresh_ledger()
    return small_warehouse


def test_a_day_has_a_row_for_every_column_and_the_dataset(
    two_days: SmallWarehouse,
) -> None:
    seen: list[DayOutcome] = []

    outcomes = evaluate_days(
        two_days.settings, {"flights": [FIRST]}, [monitor()], progress=seen.append
    )

    assert seen == outcomes
    assert [(o.day, o.row_count, o.sample_count) for o in outcomes] == [
        (FIRST, 300, 300)
    ]
    rows = two_days.results(
        "column_name, method, role, sample_count, baseline_sample_count, status"
    )
    assert rows == [
        ("(all features)", "domain_classifier", "features", 300, 2000, "ok"),
        ("(all features)", "pca_reconstruction", "features", 300, 1000, "ok"),
        ("(dataset)", "drifted_share", "dataset", 300, 2000, "ok"),
        ("actual", "jensen_shannon", "actual", 300, 2000, "ok"),
        ("carrier", "jensen_shannon", "feature", 300, 2000, "ok"),
        ("distance", "wasserstein_normed", "feature", 300, 2000, "ok"),
        ("prediction", "jensen_shannon", "prediction", 300, 2000, "ok"),
        ("score", "wasserstein_normed", "score", 300, 2000, "ok"),
    ]
    assert set(
        two_days.results(
            "model_version, segment, segment_value, grain, window_start, window_end"
        )
    ) == {("all", "all", "all", "day", DAY, DAY + timedelta(days=1))}


def test_evaluating_a_day_again_replaces_its_rows_only(
    two_days: SmallWarehouse,
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])
    before = two_days.results("window_start, column_name, score, evaluated_at")
    without_score = replace(
        monitor(),
        columns=tuple(column for column in COLUMNS if column.name != "score"),
    )

    evaluate_days(two_days.settings, {"flights": [SECOND]}, [without_score])

    after = two_days.results("window_start, column_name, score, evaluated_at")
    assert after[:8] == before[:8]
    assert [row[1] for row in after[8:]] == [
        "(all features)",
        "(all features)",
        "(dataset)",
        "actual",
        "carrier",
        "distance",
        "prediction",
    ]


def test_evaluating_the_same_rows_gives_the_same_results(
    two_days: SmallWarehouse,
) -> None:
    figures = "window_start, column_name, method, score, p_value, status, reason"
    days = {"flights": [FIRST, SECOND]}
    options = SampleOptions(window_limit=60, baseline_limit=1500, seed=3)

    evaluate_days(two_days.settings, days, [monitor()], options=options)
    first = two_days.results(figures)
    evaluate_days(two_days.settings, days, [monitor()], options=options)

    assert two_days.results(figures) == first
    assert set(two_days.results("sample_count")) == {(60,)}
    uncomputed = two_days.results("method, status, reason")[:2]
    assert {row[1:] for row in uncomputed} == {
        ("not_computable", "the window has 60 rows, fewer than 100")
    }


def test_overlapping_runs_of_one_day_leave_one_set_of_rows(
    two_days: SmallWarehouse,
) -> None:
    def run(_: int) -> None:
        evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))

    assert len(two_days.results("column_name")) == 16


def test_a_monitor_that_fails_is_recorded_and_the_others_go_on(
    two_days: SmallWarehouse,
) -> None:
    broken = monitor("broken", predictions="no_such_table")
    baseless = monitor("baseless", baseline="no_such_baseline")
    days = {name: [FIRST] for name in ("baseless", "broken", "flights")}

    outcomes = evaluate_days(two_days.settings, days, [baseless, broken, monitor()])

    assert [outcome.failure is None for outcome in outcomes] == [False, False, True]
    rows = two_days.execute(
        "select monitor, status, reason, count(*) from evidently.drift_results "
        "group by 1, 2, 3 order by 1"
    )
    assert [(row[0], row[1], row[3]) for row in rows[:2]] == [
        ("baseless", "not_computable", 8),
        ("broken", "not_computable", 8),
    ]
    assert "no_such_baseline" in str(rows[0][2])
    assert str(rows[0][2]).startswith("baseline: UndefinedTable")
    assert "no_such_table" in str(rows[1][2])
    assert {row[1] for row in rows[2:]} == {"ok"}


def test_a_lost_connection_is_no_monitors_failure(
    two_days: SmallWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(connection: psycopg.Connection, *_: object, **__: object) -> None:
        connection.execute("select pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(drift, "read_sample", losing)

    with pytest.raises(psycopg.OperationalError):
        evaluate_days(two_days.settings, {"flights": [FIRST]}, [monitor()])
    assert two_days.results("column_name") == []


def test_a_day_without_rows_has_no_results(two_days: SmallWarehouse) -> None:
    outcomes = evaluate_days(
        two_days.settings, {"flights": [date(2020, 1, 1)]}, [monitor()]
    )

    assert (outcomes[0].row_count, outcomes[0].drifted_share) == (0, None)
    assert two_days.results("status") == []


def test_every_day_of_the_ledger_is_stale_until_it_is_evaluated(
    two_days: SmallWarehouse,
) -> None:
    assert stale_days(two_days.settings, [monitor()]) == {"flights": [FIRST, SECOND]}

    evaluate_days(two_days.settings, {"flights": [FIRST]}, [monitor()])

    assert stale_days(two_days.settings, [monitor()]) == {"flights": [SECOND]}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ("update staging.predictions set actual = null where prediction_id = %s", True),
        ("delete from staging.predictions where prediction_id = %s", True),
        (
            "update staging.predictions set carrier = 'B6' where prediction_id = %s",
            False,
        ),
    ],
)
def test_a_day_is_stale_again_when_the_ledger_says_that_it_changed(
    two_days: SmallWarehouse, change: str, stale: bool
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])
    assert stale_days(two_days.settings, [monitor()]) == {"flights": []}

    two_days.execute(change, f"{DAY:%m%d%H%M}-7")
    two_days.refresh_ledger()

    assert stale_days(two_days.settings, [monitor()]) == {
        "flights": [FIRST] if stale else []
    }


def test_a_day_that_was_retracted_whole_loses_its_results(
    two_days: SmallWarehouse,
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])
    two_days.execute(
        "delete from staging.predictions where predicted_at < %s",
        DAY + timedelta(days=1),
    )
    two_days.refresh_ledger()
    stale = stale_days(two_days.settings, [monitor()])

    evaluate_days(two_days.settings, stale, [monitor()])

    assert stale == {"flights": [FIRST]}
    assert stale_days(two_days.settings, [monitor()]) == {"flights": []}
    assert set(two_days.results("window_start")) == {(DAY + timedelta(days=1),)}


def test_other_options_make_every_day_stale(two_days: SmallWarehouse) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])

    stale = stale_days(two_days.settings, [monitor()], options=SampleOptions(seed=1))

    assert stale == {"flights": [FIRST, SECOND]}


def test_days_that_are_named_count_if_they_hold_rows(
    two_days: SmallWarehouse,
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])

    def stale(**bounds: date) -> list[date]:
        found = stale_days(two_days.settings, [monitor()], forced=DayRange(**bounds))
        return found["flights"]

    assert stale(start=FIRST, end=SECOND) == [FIRST]
    assert stale(start=SECOND) == [SECOND]
    assert stale(end=FIRST) == []
    assert stale() == [FIRST, SECOND]


def test_a_failed_day_is_tried_again(two_days: SmallWarehouse) -> None:
    broken = monitor(predictions="no_such_table")
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [broken])

    assert stale_days(two_days.settings, [monitor()]) == {"flights": [FIRST, SECOND]}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (
            BaselineSource(
                relation=Relation(schema="staging", name="predictions"),
                start=DAY,
                end=DAY + timedelta(days=1),
            ),
            300,
        ),
        (
            BaselineSource(
                relation=Relation(schema="staging", name="predictions"),
                first=timedelta(days=2),
            ),
            500,
        ),
        (
            BaselineSource(
                relation=Relation(schema="staging", name="predictions"),
                first=timedelta(days=1),
                first_count=301,
            ),
            500,
        ),
        (
            BaselineSource(
                relation=Relation(schema="staging", name="predictions"),
                first=timedelta(days=1),
                first_count=501,
            ),
            0,
        ),
    ],
)
def test_a_baseline_can_be_a_stretch_of_the_predictions(
    two_days: SmallWarehouse, source: BaselineSource, count: int
) -> None:
    evaluate_days(
        two_days.settings,
        {"flights": [SECOND]},
        [replace(monitor(), baseline=source)],
    )

    columns = two_days.execute(
        "select distinct baseline_sample_count from evidently.drift_results "
        "where role = 'feature'"
    )
    assert columns == [(count,)]


def test_a_warehouse_that_dbt_has_not_built_says_so(
    database: ConnectionSettings,
) -> None:
    with pytest.raises(WarehouseError, match="run `dbt build`"):
        stale_days(database, [monitor()])


def test_an_unknown_monitor_is_refused(two_days: SmallWarehouse) -> None:
    with pytest.raises(ValueError, match="no such monitors: typo"):
        evaluate_days(two_days.settings, {"typo": [FIRST]}, [monitor()])


def test_another_choice_of_methods_makes_a_monitors_days_stale(
    two_days: SmallWarehouse,
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])
    chosen = replace(
        monitor(),
        evidently=EvidentlySettings(columns={"score": Choice(method="ks")}),
    )
    without_reports = replace(monitor(), evidently=EvidentlySettings(reports=False))

    assert stale_days(two_days.settings, [chosen]) == {"flights": [FIRST, SECOND]}
    assert stale_days(two_days.settings, [without_reports]) == {"flights": []}

    evaluate_days(two_days.settings, {"flights": [FIRST]}, [chosen])
    assert ("score", "ks") in two_days.results("column_name, method")


def test_a_crash_between_reading_and_writing_loses_nothing(
    two_days: SmallWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])
    before = two_days.results("window_start, column_name, method, score")
    two_days.add_predictions(DAY + timedelta(hours=12), 100)
    two_days.add_predictions(DAY + timedelta(days=1, hours=12), 100)
    two_days.refresh_ledger()
    written = drift._write

    def crashing(connection: psycopg.Connection, evaluated: Any, *rest: Any) -> None:
        if evaluated.day == SECOND:
            raise KeyboardInterrupt
        written(connection, evaluated, *rest)

    monkeypatch.setattr(drift, "_write", crashing)
    with pytest.raises(KeyboardInterrupt):
        evaluate_days(two_days.settings, {"flights": [FIRST, SECOND]}, [monitor()])

    # The day before is written, this one is as it was, and is tried again.
    after = two_days.results("window_start, column_name, method, score")
    assert after[:8] != before[:8]
    assert after[8:] == before[8:]
    assert stale_days(two_days.settings, [monitor()]) == {"flights": [SECOND]}

    monkeypatch.undo()
    evaluate_days(two_days.settings, {"flights": [SECOND]}, [monitor()])
    assert stale_days(two_days.settings, [monitor()]) == {"flights": []}
    assert len(two_days.results("column_name")) == 16


def test_a_baseline_is_read_once_until_it_changes(
    two_days: SmallWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    sample = read_sample

    def counting(
        connection: psycopg.Connection, relation: Relation, *rest: Any, **options: Any
    ) -> Any:
        read.append(relation.name)
        return sample(connection, relation, *rest, **options)

    monkeypatch.setattr(drift, "read_sample", counting)

    def run(**options: int) -> list[Any]:
        read.clear()
        evaluate_days(
            two_days.settings,
            {"flights": [FIRST]},
            [monitor()],
            options=SampleOptions(**options),
            baselines=tmp_path / "baselines",
        )
        return two_days.results("column_name, method, score, p_value, reason")

    first = run()
    assert read == ["predictions_baseline", "predictions"]
    assert run() == first
    assert read == ["predictions"]

    run(seed=1)
    assert read == ["predictions_baseline", "predictions"]
    two_days.execute("update intermediate.int_window_ledger set definition_hash = 'x'")
    run()
    assert read == ["predictions_baseline", "predictions"]


def test_a_torn_baseline_is_read_anew(two_days: SmallWarehouse, tmp_path: Path) -> None:
    days = {"flights": [FIRST]}
    evaluate_days(two_days.settings, days, [monitor()], baselines=tmp_path)
    before = two_days.results("column_name, method, score")
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:500])

    evaluate_days(two_days.settings, days, [monitor()], baselines=tmp_path)

    assert two_days.results("column_name, method, score") == before
    assert kept.stat().st_size > 500


def test_texts_and_vectors_are_read_on_fewer_rows(two_days: SmallWarehouse) -> None:
    for relation in ("predictions", "predictions_baseline"):
        two_days.execute(
            f"alter table staging.{relation} add review text, add vector real[]"
        )
        two_days.execute(
            f"update staging.{relation} set review = 'good ' || prediction_id, "
            "vector = array[score, random(), random()]::real[] "
            "where prediction_id not like '%0'"
        )
    longer = replace(
        monitor(),
        columns=(
            *COLUMNS,
            Column(name="review", role="feature", kind="text"),
            Column(name="vector", role="feature", kind="embedding"),
        ),
    )

    (outcome,) = evaluate_days(
        two_days.settings,
        {"flights": [FIRST]},
        [longer],
        options=SampleOptions(long_limit=200),
    )

    assert outcome.failure is None
    counts = {
        row[0]: row[1:]
        for row in two_days.results(
            "column_name, sample_count, baseline_sample_count, status"
        )
    }
    assert counts["score"][:2] == (300, 2000)
    for name in ("review", "review (length)", "vector"):
        current, baseline, status = counts[name]
        assert 150 < int(str(current)) < 200, name
        assert 150 < int(str(baseline)) < 200, name
        assert status in ("ok", "warning"), name
