"""What the marts say of a monitor as a whole, however its newest days came about."""

from orchestration import warehouse
from orchestration.project import Dbt
from orchestration.warehouse import ConnectionSettings
from tests.dbt.arrivals import late_labels
from tests.dbt.conftest import MODELS_ONLY
from tests.dbt.marts import read_mart

FAMILIES = ("service_health", "data_quality", "model_performance", "drift")


def found(settings: ConnectionSettings) -> dict[object, list[object]]:
    """The statuses and the reason of every monitor."""
    names = [*(f"{family}_status" for family in FAMILIES), "status", "reason"]
    return {
        monitor: [row[name] for name in names]
        for (monitor,), row in read_mart(settings, "monitors").items()
    }


def test_neither_a_day_that_began_nor_one_of_the_future_hides_what_was_found(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    before = found(copied_log)
    with warehouse.connect(copied_log) as connection:
        connection.execute(
            """
            insert into raw.prediction_logs
            select
                days.day || prediction_id, model_name, model_version, days.day,
                features, prediction, latency_ms, status_code, error, clock_timestamp()
            from raw.prediction_logs
            cross join (
                values
                (timestamptz '2026-03-05 00:00:01+00'),
                (now() + interval '90 days')
            ) as days (day)
            where prediction_id ~ '-1$'
            """
        )
        connection.commit()

    dbt.build(MODELS_ONLY)

    assert found(copied_log) == before
    assert {status for statuses in before.values() for status in statuses[:2]} <= {
        "ok",
        "warning",
        "critical",
    }


def test_performance_is_not_that_of_older_days_once_labels_are_overdue(
    copied_log: ConnectionSettings, dbt: Dbt
) -> None:
    """Of the third day, the log has no label."""
    performance = [
        (statuses[2], str(statuses[5])) for statuses in found(copied_log).values()
    ]
    assert {status for status, _ in performance} == {"not_computable"}
    for _, reason in performance:
        assert "model_performance not_computable (labels are overdue: 0 of 1" in reason

    with warehouse.connect(copied_log) as connection:
        late_labels(connection)
        connection.commit()
    dbt.build(MODELS_ONLY)

    assert "not_computable" not in {
        statuses[2] for statuses in found(copied_log).values()
    }
