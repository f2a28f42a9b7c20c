"""Evaluations, episodes and incidents once more, in plain Python, out of the marts.

The figures in the marts are recomputed elsewhere. Here each rule is applied to them
window by window, as docs/alerts.md says, with nothing but lists and a loop.
"""

import csv
import fnmatch
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import dict_row
from scipy.stats import binomtest

from orchestration import warehouse
from orchestration.project import PROJECT_DIR
from orchestration.warehouse import ConnectionSettings
from tests.dbt.recomputed.rows import A_MONDAY, GRAINS

Record = Mapping[str, Any]
# rule, version, segment, segment value, column, grain
Series = tuple[str, str, str, str, str, str]
# subject, version, segment, segment value, column
Place = tuple[str, str, str, str, str]

FAMILIES = ("service_health", "data_quality", "drift", "model_performance")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEFAULTS: Record = {
    "compared_to": "baseline",
    "columns": "*",
    "roles": None,
    "versions": "all",
    "segment": "all",
    "compared_as": "difference",
    "direction": "above",
    "warning": None,
    "critical": None,
    "minimum_sample": None,
    "open_after": 1,
    "close_after": 1,
    "period": "28 days",
    "season": "none",
    "minimum_history": 7,
    "minimum_change": 0.0,
    "minimum_ratio": 0.0,
}
FLOATS = ("warning", "critical", "minimum_change", "minimum_ratio")
INTEGERS = ("minimum_sample", "open_after", "close_after", "minimum_history")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a rule found in a window; ``severity`` is None if it could not be judged.

    ``ends`` are those of the value's interval, ``bounds`` those of warning and
    critical.
    """

    start: datetime
    end: datetime
    value: float | None
    sample_count: int | None = None
    ends: tuple[float, float] | None = None
    baseline_value: float | None = None
    is_noise: bool = False
    is_unreadable: bool = False
    is_settled: bool = True
    expected: float | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    severity: int | None = None


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A rule that fires in one series, from ``started_at`` on."""

    family: str
    series: Series
    started_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    end_reason: str | None
    fired: Sequence[Evaluation]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A monitor, its rules by name, and the rows of its marts."""

    name: str
    rules: Mapping[str, Record]
    marts: Mapping[str, Sequence[Record]]
    newest: tuple[datetime, datetime] | None
    labels_expected_within: timedelta
    now: datetime
    evaluations: dict[Series, list[Evaluation]] = field(default_factory=dict)


def evaluated_monitors(
    settings: ConnectionSettings, blocks: Iterable[Mapping[str, Any]]
) -> list[Watched]:
    """The monitors with what their rules find in the marts."""
    names = (
        *("marts.service_health", "marts.burn_rates", "marts.data_quality"),
        *("marts.model_performance", "intermediate.int_drift_scores"),
    )
    with (
        warehouse.connect(settings) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        marts = {}
        for name in names:
            cursor.execute(f"select * from {name}".encode())
            marts[name.split(".")[1]] = cursor.fetchall()
        cursor.execute("select now() as now")
        now = cursor.fetchall()[0]["now"]
    return [_evaluated(block, marts, now) for block in blocks]


def _evaluated(
    block: Mapping[str, Any], marts: Mapping[str, Sequence[Record]], now: datetime
) -> Watched:
    grain = block.get("windows", {}).get("traffic", "hour")
    own = {
        name: [row for row in rows if row["monitor"] == block["name"]]
        for name, rows in marts.items()
    }
    # A row without a request is an alarm of the mart's own.
    own["service_health"] = [
        row for row in own["service_health"] if row["request_count"]
    ]
    started = [
        (row["window_start"], row["window_end"])
        for row in own["service_health"]
        if row["grain"] == grain and row["window_start"] <= now
    ]
    labels = block.get("labels", {}).get("expected_within", "7 days")
    watched = Watched(
        name=block["name"],
        rules={rule["rule_id"]: rule for rule in _rules(block)},
        marts=own,
        newest=max(started, default=None),
        labels_expected_within=_span(labels),
        now=now,
    )
    flagged: dict[Place, list[tuple[datetime, datetime, timedelta]]] = defaultdict(list)
    for rule in watched.rules.values():
        if rule["method"] == "learned":
            continue
        for series, windows in _observed(watched, rule).items():
            judged = [_judged(rule, window) for window in windows]
            watched.evaluations[series] = judged
            flagged[_place(rule, series)] += _found_in(rule, series, judged)
    for rule in watched.rules.values():
        if rule["method"] == "learned":
            for series, windows in _observed(watched, rule).items():
                found = list(_learned(rule, windows, flagged[_place(rule, series)]))
                watched.evaluations[series] = found
    return watched


def _place(rule: Record, series: Series) -> Place:
    """What a find is about: nothing is learned of the same meanwhile."""
    _, version, segment, value, column, _ = series
    if rule["family"] in ("data_quality", "drift"):
        return ("values", version, segment, value, column)
    return (rule["family"], version, segment, value, "all")


def _found_in(
    rule: Record, series: Series, windows: Sequence[Evaluation]
) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """From when until when a rule's finds lasted, and the length of its windows."""
    length = GRAINS[series[5]]
    judged = [window for window in windows if window.severity is not None]
    quiet = None
    for number, window in enumerate(judged):
        if window.severity:
            quiet = 0
        elif quiet is not None:
            quiet += 1
        if quiet is not None and quiet < rule["close_after"]:
            following = [each.start for each in judged[number + 1 : number + 2]]
            until = min([window.end + max(7 * DAY, 4 * length), *following])
            yield window.start, until, length


def _rules(block: Mapping[str, Any]) -> Iterator[Record]:
    with (PROJECT_DIR / "seeds" / "alert_rules.csv").open(newline="") as file:
        rules = {row["rule_id"]: _typed(row) for row in csv.DictReader(file)}
    for name, change in block.get("alerts", {}).items():
        if change is False:
            rules.pop(name, None)
        elif "family" in change:
            grain = "traffic" if change["family"] == "service_health" else "day"
            rules[name] = {**DEFAULTS, "grain": grain, **change, "rule_id": name}
        else:
            rules[name] = {**rules[name], **change}
    windows = {"traffic": "hour", **block.get("windows", {})}
    for rule in rules.values():
        grain, minimum = rule["grain"], rule["minimum_sample"]
        yield {
            **rule,
            "grain": windows["traffic"] if grain == "traffic" else grain,
            "minimum_sample": block.get("minimum_sample", 50)
            if minimum is None
            else minimum,
        }


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = dict(DEFAULTS)
    for name, text in row.items():
        if text:
            kind = float if name in FLOATS else int if name in INTEGERS else str
            found[name] = kind(text)
    return found


def _span(text: str) -> timedelta:
    count, unit = text.split()
    return (
        int(count)
        * {"minute": HOUR / 60, "hour": HOUR, "day": DAY}[unit.removesuffix("s")]
    )


def _observed(watched: Watched, rule: Record) -> dict[Series, list[Evaluation]]:
    """The windows that a rule looks at, by series, in their order."""
    found: dict[Series, list[Evaluation]] = defaultdict(list)
    read = {
        "service_health": _of_burn_rates
        if rule["method"] == "burn_rate"
        else _of_health,
        "data_quality": _of_quality,
        "drift": _of_drift,
        "model_performance": _of_performance,
    }[rule["family"]]
    for row, column, window in read(watched, rule):
        key = (row["model_version"], row["segment"], row["segment_value"])
        found[(rule["rule_id"], *key, column, row["grain"])].append(window)
    if rule["metric"] == "request_count":
        _add_silences(watched, rule, found)
    if rule["metric"] == "unknown_rate":
        _add_absences(watched, rule, found)
    return {
        series: [
            replace(window, is_settled=_is_settled(watched, rule, window))
            for window in sorted(windows, key=lambda window: window.start)
        ]
        for series, windows in found.items()
    }


def _is_settled(watched: Watched, rule: Record, window: Evaluation) -> bool:
    if rule["metric"] == "request_count" and rule["direction"] != "above":
        return watched.newest is not None and window.end <= watched.newest[0]
    if rule["family"] == "model_performance" and rule["metric"].startswith("label"):
        return window.end + watched.labels_expected_within <= watched.now
    if rule["method"] == "learned" or rule["family"] == "drift":
        return window.end <= watched.now
    return True


Observed = Iterator[tuple[Record, str, Evaluation]]


def _applying(rule: Record, rows: Iterable[Record]) -> Iterator[Record]:
    for row in rows:
        is_all = row["model_version"] == "all"
        if (
            row["grain"] == rule["grain"]
            and (rule["versions"] == "every" or is_all == (rule["versions"] == "all"))
            and rule["segment"] in ("*", row["segment"])
        ):
            yield row


def _names(rule: Record, row: Record) -> bool:
    pattern = re.compile(
        "[*]".join(map(re.escape, rule["columns"].split("*"))).replace("[*]", ".*"),
        re.DOTALL,
    )
    if not pattern.fullmatch(row["column_name"]):
        return False
    if rule["roles"] is None:
        return bool(row["role"] != "actual")
    return row["role"] in rule["roles"].split()


def _wilson(rate: float | None, total: float | None) -> tuple[float, float] | None:
    if rate is None or not total:
        return None
    interval = binomtest(round(rate * total), round(total)).proportion_ci(
        method="wilson"
    )
    return float(interval.low), float(interval.high)


def _of_health(watched: Watched, rule: Record) -> Observed:
    metric = rule["metric"]
    sample = "request_count"
    if metric.startswith(("latency_", "slow_", "burn_rate_latency")):
        sample = "latency_count"
    for row in _applying(rule, watched.marts["service_health"]):
        value = row[metric]
        if value is None:
            continue
        is_rate = metric in ("error_rate", "availability", "slow_rate")
        yield (
            row,
            "all",
            Evaluation(
                start=row["window_start"],
                end=row["window_end"],
                value=float(value),
                sample_count=row[sample],
                ends=_wilson(value, row[sample]) if is_rate else None,
            ),
        )


def _add_silences(
    watched: Watched, rule: Record, found: dict[Series, list[Evaluation]]
) -> None:
    series = (rule["rule_id"], "all", "all", "all", "all", rule["grain"])
    length, period = GRAINS[rule["grain"]], _span(rule["period"])
    if series not in found or watched.newest is None:
        return
    known = sorted(window.start for window in found[series])
    for start, following in zip(known, [*known[1:], None], strict=True):
        until = min(
            time
            for time in (following, watched.newest[0], start + length + period)
            if time is not None
        )
        silent = start + length
        while silent + length <= until:
            found[series].append(
                Evaluation(start=silent, end=silent + length, value=0, sample_count=0)
            )
            silent += length


def _add_absences(
    watched: Watched, rule: Record, found: dict[Series, list[Evaluation]]
) -> None:
    """Windows whose rows no longer had an unknown feature."""
    patience = max(7 * DAY, 4 * GRAINS[rule["grain"]])
    checked = {
        (
            *(row["model_version"], row["segment"], row["segment_value"]),
            *(row["window_start"], row["window_end"], row["checked_count"]),
        )
        for row in watched.marts["data_quality"]
        if row["grain"] == rule["grain"]
        and row["role"] == "feature"
        and row["checked_count"]
    }
    for series, windows in found.items():
        known = sorted(windows, key=lambda window: window.start)
        for *place, start, end, count in sorted(checked):
            before = [window for window in known if window.end <= start]
            if (
                tuple(place) == series[1:4]
                and before
                and all(window.start != start for window in known)
                and start - before[-1].end <= patience
            ):
                windows.append(
                    Evaluation(
                        start=start,
                        end=end,
                        value=0.0,
                        sample_count=count,
                        ends=_wilson(0.0, count),
                        baseline_value=before[-1].baseline_value,
                    )
                )


def _of_burn_rates(watched: Watched, rule: Record) -> Observed:
    bounds = [rule[name] for name in ("warning", "critical") if rule[name] is not None]
    for row in _applying(rule, watched.marts["burn_rates"]):
        column = f"{row['slo']} {row['alert']}"
        if not fnmatch.fnmatchcase(column, rule["columns"]):
            continue
        rates = (row["long_burn_rate"], row["short_burn_rate"])
        both = min((rate for rate in rates if rate is not None), default=0.0)
        is_half_known = None in rates and both > min(bounds)
        yield (
            row,
            column,
            Evaluation(
                start=row["window_start"],
                end=row["window_end"],
                value=row["long_burn_rate"],
                sample_count=row["long_request_count"],
                ends=(both, both),
                is_unreadable=row["is_burning"] is None
                or is_half_known
                or (both > min(bounds) and row["long_bad_count"] < 10),
            ),
        )


def _of_quality(watched: Watched, rule: Record) -> Observed:
    metric = rule["metric"]
    for row in _applying(rule, watched.marts["data_quality"]):
        value = row[metric]
        if value is None or not _names(rule, row):
            continue
        total = row["row_count"]
        if metric == "unknown_rate":
            total = round(total / value)
        sample = total
        if row["role"] == "actual":
            sample = row["row_count"] - row["null_count"]
        is_rate = metric.endswith("_rate") and not metric.startswith("baseline_")
        yield (
            row,
            row["column_name"],
            Evaluation(
                start=row["window_start"],
                end=row["window_end"],
                value=float(value),
                sample_count=sample,
                ends=_wilson(value, total) if is_rate else None,
                baseline_value=row.get(f"baseline_{metric}"),
            ),
        )


def _of_drift(watched: Watched, rule: Record) -> Observed:
    for row in _applying(rule, watched.marts["int_drift_scores"]):
        if (row["method"], row["compared_to"]) != (
            rule["metric"],
            rule["compared_to"],
        ) or not _names(rule, row):
            continue
        of_score = rule["method"] != "significance"
        value = row["score"] if of_score else row["p_value_adjusted"]
        is_unreadable = row["status"] == "not_computable"
        if value is None and not is_unreadable:
            continue
        score, floor = row["score"], row["noise_floor"]
        yield (
            row,
            row["column_name"],
            Evaluation(
                start=row["window_start"],
                end=row["window_end"],
                value=value,
                sample_count=row["sample_count"],
                is_noise=None not in (score, floor) and score <= floor,
                is_unreadable=is_unreadable,
            ),
        )


def _of_performance(watched: Watched, rule: Record) -> Observed:
    metric = rule["metric"]
    sample = "labelled_count"
    if metric.startswith(("label", "prediction_count", "estimated_")):
        sample = "prediction_count"
    elif metric.startswith(("realised_", "compared_")):
        sample = "compared_count"
    for row in _applying(rule, watched.marts["model_performance"]):
        value = row[metric]
        if value is None:
            continue
        ends = None
        if f"{metric}_lower" in row:
            lower, upper = row[f"{metric}_lower"], row[f"{metric}_upper"]
            ends = (
                value if lower is None else lower,
                value if upper is None else upper,
            )
        elif metric == "label_coverage":
            ends = _wilson(value, row[sample])
        yield (
            row,
            "all",
            Evaluation(
                start=row["window_start"],
                end=row["window_end"],
                value=float(value),
                sample_count=row[sample],
                ends=ends,
                baseline_value=row.get(f"baseline_{metric}"),
            ),
        )


def _is_readable(rule: Record, window: Evaluation) -> bool:
    return not (
        window.value is None
        or window.is_unreadable
        or not window.is_settled
        or (
            window.sample_count is not None
            and window.sample_count < rule["minimum_sample"]
        )
    )


def _judged(rule: Record, window: Evaluation) -> Evaluation:
    """By a bound that needs no history."""
    baseline, value = window.baseline_value, window.value
    is_ratio = rule["method"] == "baseline" and rule["compared_as"] == "ratio"
    expected = baseline if rule["method"] == "baseline" else None
    side = _side(rule, value, expected or 0.0)

    if rule["method"] != "baseline":
        baseline = None

    def bound(by: float | None) -> float | None:
        if by is None or (rule["method"] == "baseline" and baseline is None):
            return None
        if rule["method"] == "significance":
            return float(by)
        both = rule["direction"] == "both"
        if is_ratio:
            assert baseline is not None
            return float(baseline * (by**side if both else by))
        if baseline is None:
            return float(side * by if both else by)
        distance = max(
            abs(by), rule["minimum_change"], rule["minimum_ratio"] * abs(baseline)
        )
        limit = baseline + (side if both else math.copysign(1, by)) * distance
        if rule["metric"].endswith("_rate"):
            limit = min(limit, (3 + baseline) / 4)
        return float(limit)

    bounds = (bound(rule["warning"]), bound(rule["critical"]))
    found = replace(window, expected=expected, bounds=bounds)
    if not _is_readable(rule, window):
        return found
    if rule["method"] == "baseline" and (
        baseline is None or (is_ratio and baseline <= 0)
    ):
        return found
    near = value if window.ends is None else window.ends[0 if side > 0 else 1]
    return replace(found, severity=_severity(window, near, side, bounds))


def _side(rule: Record, value: float | None, expected: float) -> int:
    if rule["method"] == "significance" or rule["direction"] == "below":
        return -1
    if rule["direction"] == "both" and value is not None and value < expected:
        return -1
    return 1


def _severity(
    window: Evaluation,
    value: float | None,
    side: int,
    bounds: tuple[float | None, float | None],
) -> int:
    assert value is not None
    if window.is_noise:
        return 0
    warning, critical = bounds
    if critical is not None and side * value > side * critical:
        return 2
    return int(warning is not None and side * value > side * warning)


def _learned(
    rule: Record,
    windows: Iterable[Evaluation],
    flagged: Sequence[tuple[datetime, datetime, timedelta]],
) -> Iterator[Evaluation]:
    """By what was usual in the trailing period, in windows of the same season."""
    is_ratio = rule["compared_as"] == "ratio"
    period = _span(rule["period"])
    accepted: dict[int, list[tuple[datetime, float]]] = defaultdict(list)
    for window in windows:
        past = accepted[_season_part(rule["season"], window.start)]
        since = window.start - period
        past[:] = [(start, measure) for start, measure in past if start >= since]
        measures = [measure for _, measure in past]
        value = window.value
        is_readable = (
            _is_readable(rule, window)
            and value is not None
            and not (is_ratio and value <= 0)
        )
        found = window
        if is_readable and len(measures) >= rule["minimum_history"]:
            assert value is not None
            centre = statistics.median(measures)
            spread = 1.4826 * statistics.median(
                abs(measure - centre) for measure in measures
            )
            expected = math.exp(centre) if is_ratio else centre
            side = _side(rule, value, expected)

            def bound(
                usual: float | None,
                centre: float = centre,
                spread: float = spread,
                expected: float = expected,
                side: int = side,
            ) -> float | None:
                if usual is None:
                    return None
                end = centre + side * usual * spread
                # What a double can hold.
                end = math.exp(max(-230, min(230, end))) if is_ratio else end
                distance = max(
                    abs(end - expected),
                    rule["minimum_change"],
                    rule["minimum_ratio"] * abs(expected),
                )
                return float(expected + side * distance)

            bounds = (bound(rule["warning"]), bound(rule["critical"]))
            found = replace(
                window,
                expected=expected,
                bounds=bounds,
                severity=_severity(window, value, side, bounds),
            )
        is_flagged = any(
            since < window.end
            and until > window.start
            and length <= window.end - window.start
            for since, until, length in flagged
        )
        if is_readable and not is_flagged and not found.severity:
            assert value is not None
            past.append((window.start, math.log(value) if is_ratio else value))
        yield found


def _season_part(season: str, start: datetime) -> int:
    since = start - A_MONDAY
    return {
        "none": 0,
        "hour of day": since // HOUR % 24,
        "hour of week": since // HOUR % 168,
        "day of week": since // DAY % 7,
    }[season]


def episodes(watched: Watched) -> list[Episode]:
    """When rules fired for long enough, until they no longer did."""
    found: list[Episode] = []
    for series, windows in watched.evaluations.items():
        rule = watched.rules[series[0]]
        waiting = min(
            (window.start for window in windows if not window.is_settled),
            default=None,
        )
        found += _episodes_of(watched, rule, series, windows, waiting)
    return found


def _episodes_of(
    watched: Watched,
    rule: Record,
    series: Series,
    windows: Sequence[Evaluation],
    waiting: datetime | None,
) -> Iterator[Episode]:
    length = GRAINS[series[5]]
    patience = max(7 * DAY, 4 * length)
    judged = [window for window in windows if window.severity is not None]
    opened: Episode | None = None
    fired: list[Evaluation] = []
    row: list[Evaluation] = []
    for window in judged:
        if row and window.start - row[-1].end > patience:
            if opened:
                yield replace(
                    opened,
                    closed_at=row[-1].end,
                    end_reason="no data",
                    fired=tuple(fired),
                )
            opened, row = None, []
        if row and bool(row[-1].severity) != bool(window.severity):
            row = []
        row.append(window)
        if opened and window.severity:
            fired.append(window)
        if window.severity and not opened and len(row) >= rule["open_after"]:
            fired = list(row)
            opened = Episode(
                family=rule["family"],
                series=series,
                started_at=row[0].start,
                opened_at=window.end,
                closed_at=None,
                end_reason=None,
                fired=(),
            )
        elif not window.severity and opened and len(row) >= rule["close_after"]:
            yield replace(
                opened,
                closed_at=window.end,
                end_reason="recovered",
                fired=tuple(fired),
            )
            opened = None
    if opened:
        last = judged[-1].end
        times = [watched.newest[1]] if watched.newest else []
        until = min([*times, *([waiting] if waiting else [])], default=last)
        is_silent = until - last > patience
        yield replace(
            opened,
            closed_at=last if is_silent else None,
            end_reason="no data" if is_silent else None,
            fired=tuple(fired),
        )


def incidents(watched: Watched) -> list[list[Episode]]:
    """The episodes that belong together; windows beyond a day stand apart."""
    found: list[list[Episode]] = []
    ordered = sorted(episodes(watched), key=lambda each: each.started_at)
    for is_slow in (False, True):
        together: list[list[Episode]] = []
        for episode in ordered:
            length = GRAINS[episode.series[5]]
            if (length > DAY) != is_slow:
                continue
            reach = max(DAY, length)
            if together and episode.started_at <= reach + max(
                each.opened_at for each in together[-1]
            ):
                together[-1].append(episode)
            else:
                together.append([episode])
        found += together
    return found
