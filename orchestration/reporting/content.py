"""What the report shows: rows of the marts, as plain dataclasses.

Rates are from 0 to 1, times are UTC, windows are half-open. Where nothing else is said
the rows are those of all versions and segments together.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

FAMILIES = ("service_health", "data_quality", "model_performance", "drift")


@dataclass(frozen=True, kw_only=True)
class MonitorSummary:
    """A monitor as ``marts.monitors`` has it, at the time of the report."""

    monitor: str
    task: str
    owner: str | None
    baseline: str | None
    baseline_row_count: int | None
    traffic_grain: str
    first_predicted_at: datetime | None
    last_predicted_at: datetime | None
    freshness_status: str
    freshness_reason: str | None
    prediction_count: int
    service_health_status: str
    data_quality_status: str
    model_performance_status: str
    drift_status: str
    status: str
    reason: str | None
    availability_target: float | None
    latency_target_ms: float | None
    latency_target_share: float | None
    labels_expected_within_seconds: float | None
    minimum_sample: int

    def status_of(self, family: str) -> str:
        """The newest status of one of ``FAMILIES``."""
        status: str = getattr(self, f"{family}_status")
        return status


@dataclass(frozen=True, kw_only=True)
class FamilyStatus:
    """The status of a family on one day."""

    family: str
    window_start: datetime
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure with its interval, the baseline's, and what was to be expected."""

    value: float | None
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    estimated: float | None = None


@dataclass(frozen=True, kw_only=True)
class PerformanceWindow:
    """Performance of one version, or of ``all``, against the labels that are there."""

    model_version: str
    window_start: datetime
    window_end: datetime
    prediction_count: int
    labelled_count: int
    is_final: bool
    status: str
    reason: str | None
    figures: dict[str, Figure]


@dataclass(frozen=True, kw_only=True)
class ServiceWindow:
    """Traffic, errors and latency of one window."""

    window_start: datetime
    window_end: datetime
    request_count: int
    error_count: int
    error_rate: float | None
    slow_rate: float | None
    expected_request_count: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class BurnWindow:
    """How fast a budget burned at worst within one window of the report."""

    window_start: datetime
    slo: str
    alert: str
    threshold: float
    burn_rate: float | None
    is_burning: bool
    status: str


@dataclass(frozen=True, kw_only=True)
class DriftCell:
    """The row that decides a column's drift in one window."""

    column_name: str
    role: str
    window_start: datetime
    method: str
    compared_to: str
    score: float | None
    threshold: float | None
    noise_floor: float | None
    is_drifted: bool | None
    sample_count: int | None
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class QualityCell:
    """The quality of a column's values in one window."""

    column_name: str
    role: str
    window_start: datetime
    row_count: int
    null_rate: float | None
    invalid_rate: float | None
    unseen_rate: float | None
    out_of_range_rate: float | None
    duplicate_rate: float | None
    unknown_rate: float | None
    baseline_null_rate: float | None
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class HistogramBin:
    """A bin of a column's histogram over the newest days, beside the baseline."""

    column_name: str
    bin: int
    label: str
    lower_bound: float | None
    upper_bound: float | None
    bin_count: int
    share: float
    baseline_share: float | None


@dataclass(frozen=True, kw_only=True)
class SegmentPerformance:
    """Performance of one value of a segment in the newest week with enough labels."""

    segment: str
    segment_value: str
    window_start: datetime
    labelled_count: int
    is_final: bool
    figure: Figure
    status: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A version that went live."""

    model_version: str
    deployed_at: datetime
    note: str | None


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Alerts that belong together, and where they seem to come from."""

    incident_id: str
    title: str
    severity: str
    state: str
    is_muted: bool
    started_at: datetime
    closed_at: datetime | None
    families: tuple[str, ...]
    column_names: tuple[str, ...]
    alert_count: int
    suspect_reason: str | None
    possible_causes: tuple[str, ...]
    acknowledged_by: str | None


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A window in which a rule fired on a figure that the report draws."""

    rule_id: str
    family: str
    metric: str
    column_name: str
    grain: str
    window_start: datetime
    value: float
    severity: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class MonitorReport:
    """All that the report says of one monitor.

    ``incidents`` is None where the warehouse keeps none, which is not the same as none
    having been found.
    """

    summary: MonitorSummary
    performance_grain: str = "day"
    service_grain: str = "hour"
    statuses: tuple[FamilyStatus, ...] = ()
    performance: tuple[PerformanceWindow, ...] = ()
    service: tuple[ServiceWindow, ...] = ()
    burn_rates: tuple[BurnWindow, ...] = ()
    drift: tuple[DriftCell, ...] = ()
    quality: tuple[QualityCell, ...] = ()
    histograms: tuple[HistogramBin, ...] = ()
    histogram_days: int = 7
    segments: tuple[SegmentPerformance, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    incidents: tuple[Incident, ...] | None = None
    alerts: tuple[Alert, ...] = ()

    @property
    def headline_metric(self) -> str:
        """The figure that tells most of this kind of model."""
        return HEADLINES[self.summary.task]

    @property
    def label_coverage(self) -> float | None:
        """Share of predictions with a label, in final windows; None without any."""
        final = [
            window
            for window in self.performance
            if window.is_final and window.model_version == "all"
        ]
        predictions = sum(window.prediction_count for window in final)
        if not predictions:
            return None
        return sum(window.labelled_count for window in final) / predictions

    @property
    def open_incidents(self) -> list[Incident] | None:
        """Those that are not resolved; None where the warehouse keeps none."""
        if self.incidents is None:
            return None
        return [each for each in self.incidents if each.state != "resolved"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The monitors in one span of time, which ends with the newest data."""

    generated_at: datetime
    since: datetime
    until: datetime
    monitors: tuple[MonitorReport, ...] = field(default=())

    @property
    def span(self) -> timedelta:
        """How long the report looks back."""
        return self.until - self.since


HEADLINES = {"binary": "accuracy", "multiclass": "accuracy", "regression": "mae"}
"""By task, the figure that performance is told by first."""

METRICS = {
    "binary": ("accuracy", "f1", "precision", "recall", "roc_auc", "log_loss"),
    "multiclass": (
        "accuracy",
        "f1_macro",
        "balanced_accuracy",
        "expected_calibration_error",
    ),
    "regression": ("mae", "rmse", "mean_error", "r2"),
}
"""By task, the figures of performance in the order in which they are offered."""
