"""Reports made up for tests, by formulas: the same in every run, and at once."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestration.reporting.content import (
    FAMILIES,
    METRICS,
    Alert,
    BurnWindow,
    Deployment,
    DriftCell,
    FamilyStatus,
    Figure,
    HistogramBin,
    Incident,
    MonitorReport,
    MonitorSummary,
    PerformanceWindow,
    QualityCell,
    Report,
    SegmentPerformance,
    ServiceWindow,
)

UNTIL = datetime(2026, 11, 25, tzinfo=UTC)
NOW = UNTIL + timedelta(hours=9)

HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "quote \" and ' and `${window.hacked=1}`",
    "emoji 🛫, 数, ‮reversed, \u2028 line",
    "%{y} {{ 7 * 7 }} <b>bold</b> &amp; &lt;",
    "var:critical",
    "__proto__",
    "2026-01-01",
    "1e5",
    "a " + "very " * 60 + "long name",
)


def summary(name: str = "churn", task: str = "binary") -> MonitorSummary:
    return MonitorSummary(
        monitor=name,
        task=task,
        owner="team-growth",
        baseline="the first 14 days of the log",
        baseline_row_count=12_345,
        traffic_grain="hour",
        first_predicted_at=UNTIL - timedelta(days=900),
        last_predicted_at=UNTIL - timedelta(hours=2),
        freshness_status="ok",
        freshness_reason=None,
        prediction_count=987_654,
        service_health_status="ok",
        data_quality_status="warning",
        model_performance_status="not_computable",
        drift_status="critical",
        status="critical",
        reason="drift critical",
        availability_target=0.999,
        latency_target_ms=250.0,
        latency_target_share=0.99,
        labels_expected_within_seconds=172_800.0,
        minimum_sample=50,
    )


def monitor_report(
    name: str = "churn",
    *,
    task: str = "binary",
    days: int = 56,
    columns: Sequence[str] = ("age", "country", "plan"),
    values: Sequence[str] = ("DE", "FR", "JP"),
) -> MonitorReport:
    """All parts of the report for one monitor, with an incident in the middle."""
    starts = [UNTIL - timedelta(days=days - place) for place in range(days)]
    return MonitorReport(
        summary=summary(name, task),
        service_grain="day",
        statuses=tuple(
            FamilyStatus(
                family=family,
                window_start=start,
                status=("ok", "ok", "warning", "critical", "not_computable")[
                    (place + shift) // 3 % 5
                ],
                reason=f"{columns[0]}: psi 0.31 is above 0.25",
            )
            for shift, family in enumerate(FAMILIES)
            for place, start in enumerate(starts)
        ),
        performance=tuple(
            window
            for version, share in (("all", 1.0), ("1", 0.75), (values[0], 0.25))
            for window in _performance(task, version, starts, share)
        ),
        service=tuple(_service(place, start) for place, start in enumerate(starts)),
        burn_rates=tuple(
            BurnWindow(
                window_start=start,
                slo=slo,
                alert=alert,
                threshold=threshold,
                burn_rate=abs(threshold * 1.5 * math.sin(place / 9)),
                is_burning=place % 23 == 0,
                status="not_computable" if place % 7 == 0 else "ok",
            )
            for slo in ("availability", "latency")
            for alert, threshold in (
                ("page_1h", 14.4),
                ("page_6h", 6),
                ("ticket_3d", 1),
            )
            for place, start in enumerate(starts)
        ),
        drift=tuple(
            _drift(column, shift, place, start)
            for shift, column in enumerate(columns)
            for place, start in enumerate(starts)
        ),
        quality=tuple(
            _quality(column, shift, place, start)
            for shift, column in enumerate(columns)
            for place, start in enumerate(starts)
        ),
        histograms=tuple(
            each for column in columns for each in _histogram(column, values)
        ),
        segments=tuple(
            SegmentPerformance(
                segment="country",
                segment_value=value,
                window_start=UNTIL - timedelta(days=9),
                labelled_count=40 * (place + 1),
                is_final=True,
                figure=Figure(value=0.9 - place / 50, lower=0.8, upper=0.95),
                status="ok" if place else "not_computable",
                reason=None if place else "40 labelled rows, fewer than the minimum",
            )
            for place, value in enumerate(values)
        ),
        deployments=(
            Deployment(
                model_version=values[0],
                deployed_at=starts[days // 2] + timedelta(hours=11),
                note=values[-1],
            ),
        ),
        incidents=(
            incident(
                columns[0],
                started_at=starts[days // 2],
                closed_at=starts[days // 2] + timedelta(days=days // 10 + 1),
                title=f"{name}: null rate of {columns[0]} is 57.7 %",
            ),
            incident(
                values[-1],
                started_at=starts[-3],
                closed_at=None,
                title=f"{name}: {values[-1]}",
            ),
        ),
        alerts=(
            Alert(
                rule_id="accuracy",
                family="model_performance",
                metric=METRICS[task][0],
                column_name="all",
                grain="day",
                window_start=starts[days // 2],
                value=0.7,
                severity="critical",
                reason=f"accuracy is 0.70, {values[-1]}",
            ),
        ),
    )


def incident(
    column: str, *, started_at: datetime, closed_at: datetime | None, title: str
) -> Incident:
    return Incident(
        incident_id="0123456789ab",
        title=title,
        severity="warning" if closed_at is None else "critical",
        state="open" if closed_at is None else "resolved",
        is_muted=False,
        started_at=started_at,
        closed_at=closed_at,
        families=("data_quality", "drift"),
        column_names=(column,),
        alert_count=7,
        suspect_reason=f"null rate of {column} is 57.7 %, above 20 %",
        possible_causes=(f"version {column} went live",),
        acknowledged_by=None,
    )


def report(monitors: Sequence[MonitorReport], *, days: int = 56) -> Report:
    return Report(
        generated_at=NOW,
        since=UNTIL - timedelta(days=days),
        until=UNTIL,
        monitors=tuple(monitors),
    )


def usual_report() -> Report:
    """One monitor of each task, eight weeks."""
    return report(
        [
            monitor_report("churn"),
            monitor_report("price", task="regression"),
            monitor_report("topic", task="multiclass"),
        ]
    )


def hostile_report() -> Report:
    """Names and values that would break out of the page if they could."""
    found = monitor_report(HOSTILE[0], columns=HOSTILE, values=HOSTILE)
    named = replace(
        found.summary,
        owner=HOSTILE[1],
        baseline=HOSTILE[4],
        freshness_reason=HOSTILE[2],
        reason=HOSTILE[3],
    )
    return report([replace(found, summary=named)])


def year_of_three_monitors() -> Report:
    """As much as the report is made for: 3 monitors of 30 columns, 365 days."""
    columns = [f"feature_number_{place:02}" for place in range(30)]
    return report(
        [
            monitor_report(f"model_{task}", task=task, days=365, columns=columns)
            for task in METRICS
        ],
        days=365,
    )


def _performance(
    task: str, version: str, starts: Sequence[datetime], share: float
) -> list[PerformanceWindow]:
    windows = []
    for place, start in enumerate(starts):
        scale = 0.85 + 0.05 * math.sin(place / 5) - (0.1 if place % 29 == 0 else 0)
        labelled = 20 if place % 17 == 0 else int(1000 * share)
        windows.append(
            PerformanceWindow(
                model_version=version,
                window_start=start,
                window_end=start + timedelta(days=1),
                prediction_count=int(1100 * share),
                labelled_count=labelled,
                is_final=start < UNTIL - timedelta(days=3),
                status="not_computable" if labelled < 50 else "ok",
                reason=None,
                figures={
                    metric: Figure(
                        value=scale,
                        lower=scale - 0.02,
                        upper=scale + 0.02,
                        baseline=0.86,
                        estimated=0.85,
                    )
                    for metric in METRICS[task]
                },
            )
        )
    return windows


def _service(place: int, start: datetime) -> ServiceWindow:
    failed = 40 if place % 19 == 0 else 1
    return ServiceWindow(
        window_start=start,
        window_end=start + timedelta(days=1),
        request_count=1000 + place % 7 * 30,
        error_count=failed,
        error_rate=failed / 1000,
        slow_rate=0.004,
        expected_request_count=1080.0 if place > 6 else None,
        latency_p50_ms=20.0 + place % 3,
        latency_p95_ms=80.0 + place % 11,
        latency_p99_ms=900.0 if place % 19 == 0 else 160.0,
        status="ok",
        reason=None,
    )


def _drift(column: str, shift: int, place: int, start: datetime) -> DriftCell:
    score = 0.12 * (1 + math.sin(place / (4 + shift))) * (1 + shift % 3)
    computable = place % 13 != 0
    return DriftCell(
        column_name=column,
        role="feature",
        window_start=start,
        method="psi",
        compared_to="baseline",
        score=score if computable else None,
        threshold=0.1,
        noise_floor=0.0231,
        is_drifted=score > 0.1 if computable else None,
        sample_count=1000,
        status=("warning" if score > 0.1 else "ok") if computable else "not_computable",
        reason=None if computable else "12 rows, fewer than the minimum of 50",
    )


def _quality(column: str, shift: int, place: int, start: datetime) -> QualityCell:
    rate = 0.577 if (place + shift) % 31 < 2 else 0.004
    status = "critical" if rate > 0.2 else "ok"
    return QualityCell(
        column_name=column,
        role="feature",
        window_start=start,
        row_count=1000,
        null_rate=rate,
        invalid_rate=0.0,
        unseen_rate=None,
        out_of_range_rate=0.01,
        duplicate_rate=None,
        unknown_rate=None,
        baseline_null_rate=0.002,
        status="not_computable" if place % 13 == 0 else status,
        reason=f"{rate:.1%} null" if status != "ok" else None,
    )


def _histogram(column: str, values: Sequence[str]) -> list[HistogramBin]:
    return [
        HistogramBin(
            column_name=column,
            bin=place,
            label=value,
            lower_bound=None,
            upper_bound=None,
            bin_count=100 * (place + 1),
            share=0.1 * (place + 1),
            baseline_share=0.2,
        )
        for place, value in enumerate([*values, "null"])
    ]
