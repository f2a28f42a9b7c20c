"""Evidently's daily drift: which days to evaluate, then read, evaluate, write.

The Dagster asset and the demo call the same functions. Days are UTC.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from orchestration import warehouse
from orchestration.baselines import baseline_key, read_baseline, write_baseline
from orchestration.days import DEFAULT_OPTIONS, DayOutcome, DayRange, SampleOptions
from orchestration.errors import WarehouseError
from orchestration.evaluation.drift import (
    LONG_KINDS,
    Baseline,
    evaluate_drift,
    not_computable,
)
from orchestration.evaluation.methods import DATASET_METHOD, DOMAIN_CLASSIFIER
from orchestration.evaluation.reports import day_report
from orchestration.evaluation.results import (
    FAILURES,
    Column,
    DriftResult,
    described,
)
from orchestration.monitors import BaselineSource, Monitor
from orchestration.relations import exists
from orchestration.reports import ReportEntry, ReportOptions, Reports
from orchestration.sampling import read_sample
from orchestration.warehouse import ConnectionSettings

# Change it when the same rows begin to give other results: every day is then stale.
_RESULTS_VERSION = "2"

# A broken relation, or a sample that can't be evaluated: the matter of one monitor.
_FAILURES = (psycopg.Error, ArithmeticError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class _Day:
    """What was read of a day."""

    frame: pd.DataFrame
    long_frame: pd.DataFrame | None
    row_count: int
    read_at: datetime


@dataclass(frozen=True, kw_only=True)
class _EvaluatedDay:
    monitor: Monitor
    day: date
    row_count: int
    sample_count: int
    results: Sequence[DriftResult]
    failure: str | None
    # None if nothing was read: then the time of writing.
    read_at: datetime | None
    report: Path | None = None
    report_failure: str | None = None


def evaluate_days(
    settings: ConnectionSettings,
    days: Mapping[str, Collection[date]],
    monitors: Sequence[Monitor],
    *,
    options: SampleOptions = DEFAULT_OPTIONS,
    reports: ReportOptions | None = None,
    baselines: Path | None = None,
    progress: Callable[[DayOutcome], None] | None = None,
) -> list[DayOutcome]:
    """Evaluate the ``days`` of each monitor, by name, and replace their results.

    A monitor's day is written in one transaction, so a crash leaves whole days. A
    monitor that can't be read is written as not computable, with the reason, and the
    others go on; it stays stale, so that it is tried again. A day without rows has no
    results, as it has no window in any mart. Baselines are read once, or not at all if
    a run before kept them in the directory ``baselines``. A day's report is written
    before its results: a crash between them leaves the day stale.

    Raises ``ValueError`` for an unknown monitor, ``WarehouseError`` if dbt has not yet
    built the warehouse, and ``psycopg.Error`` if the connection is lost or the results
    can't be written.
    """
    by_name = {monitor.name: monitor for monitor in monitors}
    if unknown := days.keys() - by_name.keys():
        raise ValueError(f"no such monitors: {', '.join(sorted(unknown))}")
    total = sum(len(set(asked)) for asked in days.values())
    outcomes: list[DayOutcome] = []
    with (
        warehouse.connect(settings, autocommit=True) as connection,
        # SciPy's dot products are short: handing them to threads costs more than it
        # saves, and when the cores are busy, ten times as much.
        threadpool_limits(limits=1),
    ):
        _prepare_tables(connection)
        # Before any sample is read: what arrives meanwhile makes the day stale again.
        fingerprints = _fingerprints(connection, options, monitors)
        pages = Reports(reports) if reports is not None else None
        for name, asked in days.items():
            started = time.perf_counter()
            for evaluated in _evaluate_monitor(
                connection,
                by_name[name],
                sorted(set(asked)),
                options,
                pages=pages,
                baselines=baselines,
            ):
                _write(connection, evaluated, fingerprints.get((name, evaluated.day)))
                finished = time.perf_counter()
                outcome = _outcome(
                    evaluated,
                    seconds=finished - started,
                    position=len(outcomes) + 1,
                    total=total,
                )
                started = finished
                outcomes.append(outcome)
                if progress is not None:
                    progress(outcome)
    if pages is not None:
        pages.tidy()
    return outcomes


def stale_days(
    settings: ConnectionSettings,
    monitors: Sequence[Monitor],
    *,
    options: SampleOptions = DEFAULT_OPTIONS,
    forced: DayRange | None = None,
) -> dict[str, list[date]]:
    """The days of each monitor, by name, whose results are not those of their rows.

    dbt's window ledger says what a day holds, ``evidently.evaluated_days`` what it held
    when it was evaluated. A day is stale if it never was, after new predictions,
    labels or retractions, and with another monitor block or other ``options``. Those in
    ``forced`` that hold rows, or did, count in any case.

    Raises ``WarehouseError`` if dbt has not yet built the warehouse.
    """
    with warehouse.connect(settings, autocommit=True) as connection:
        _prepare_tables(connection)
        held = _fingerprints(connection, options, monitors)
        rows = connection.execute(
            "select monitor, day, fingerprint from evidently.evaluated_days"
        ).fetchall()
    evaluated = {(monitor, day): fingerprint for monitor, day, fingerprint in rows}
    stale: dict[str, list[date]] = {monitor.name: [] for monitor in monitors}
    for monitor, day in sorted(held.keys() | evaluated.keys()):
        is_forced = forced is not None and day in forced
        is_stale = held.get((monitor, day)) != evaluated.get((monitor, day))
        if monitor in stale and (is_forced or is_stale):
            stale[monitor].append(day)
    return stale


def evaluated_days(settings: ConnectionSettings) -> set[date]:
    """The days that were evaluated for any monitor, by whatever ran it.

    Raises ``WarehouseError`` if dbt has not yet built the warehouse.
    """
    with warehouse.connect(settings, autocommit=True) as connection:
        _prepare_tables(connection)
        rows = connection.execute(
            "select distinct day from evidently.evaluated_days"
        ).fetchall()
    return {day for (day,) in rows}


@dataclass(frozen=True, kw_only=True)
class EvaluationState:
    """How a monitor's days stand: of ``day_count``, so many failed as a whole.

    ``failure`` is why the newest of those did, ``sample_count`` what was read of the
    newest day that did not.
    """

    monitor: str
    day_count: int
    newest_day: date
    sample_count: int
    failed_day_count: int
    failure: str | None


def evaluation_states(settings: ConnectionSettings) -> list[EvaluationState]:
    """How each monitor stands that was ever evaluated, whatever ran it.

    Raises ``WarehouseError`` if dbt has not yet built the warehouse.
    """
    with (
        warehouse.connect(settings, autocommit=True) as connection,
        connection.cursor(row_factory=class_row(EvaluationState)) as cursor,
    ):
        _prepare_tables(connection)
        return cursor.execute(
            """
            with days as (

                select
                    results.monitor,
                    (results.window_start at time zone 'UTC')::date as day,
                    max(results.sample_count) as sample_count,
                    max(results.reason) as reason,
                    -- What failed is never recorded as evaluated.
                    count(evaluated.day) = 0 as is_failed
                from evidently.drift_results as results
                left join evidently.evaluated_days as evaluated
                    on
                        results.monitor = evaluated.monitor
                        and results.window_start
                        = evaluated.day::timestamp at time zone 'UTC'
                group by results.monitor, results.window_start

            )

            select
                monitor,
                count(*) as day_count,
                max(day) as newest_day,
                (array_agg(sample_count order by is_failed, day desc))[1]
                    as sample_count,
                count(*) filter (where is_failed) as failed_day_count,
                (array_agg(reason order by day desc) filter (where is_failed))[1]
                    as failure
            from days
            group by monitor
            order by monitor
            """
        ).fetchall()


def _evaluate_monitor(
    connection: psycopg.Connection,
    monitor: Monitor,
    days: Sequence[date],
    options: SampleOptions,
    *,
    pages: Reports | None,
    baselines: Path | None,
) -> Iterator[_EvaluatedDay]:
    try:
        baseline = _read_baseline(connection, monitor, options, baselines)
    except _FAILURES as error:
        _require_connection(connection, error)
        for day in days:
            yield _failed_day(monitor, day, f"baseline: {described(error)}")
        return
    reported = (
        pages.wanted(monitor.name, days)
        if pages is not None and monitor.evidently.reports
        else set()
    )
    for day in days:
        try:
            yield _evaluate_day(
                connection,
                monitor,
                day,
                baseline,
                options,
                pages=pages if day in reported else None,
            )
        except _FAILURES as error:
            _require_connection(connection, error)
            yield _failed_day(monitor, day, described(error))


def _read_baseline(
    connection: psycopg.Connection,
    monitor: Monitor,
    options: SampleOptions,
    directory: Path | None,
) -> Baseline:
    """The baseline, made ready; its sample from the ``directory`` if it is there."""
    frames = [
        _read_baseline_columns(
            connection,
            monitor,
            columns,
            limit=limit,
            seed=options.seed,
            directory=directory,
        )
        for columns, limit in _parts(monitor, options, options.baseline_limit)
    ]
    return Baseline(
        frames[0],
        monitor.columns,
        settings=monitor.evidently,
        long_frame=frames[1] if len(frames) > 1 else None,
    )


def _parts(
    monitor: Monitor, options: SampleOptions, limit: int
) -> list[tuple[list[Column], int]]:
    """The columns that are read together, and how many rows of them at most."""
    short = [column for column in monitor.columns if column.kind not in LONG_KINDS]
    long = [column for column in monitor.columns if column.kind in LONG_KINDS]
    parts = [(short, limit)]
    if long:
        parts.append((long, min(limit, options.long_limit)))
    return parts


def _read_baseline_columns(
    connection: psycopg.Connection,
    monitor: Monitor,
    columns: Sequence[Column],
    *,
    limit: int,
    seed: int,
    directory: Path | None,
) -> pd.DataFrame:
    identifier = _baseline_identifier(connection, monitor) if directory else None
    key = baseline_key(
        database=(
            connection.info.host,
            connection.info.port,
            connection.info.dbname,
        ),
        identifier=identifier,
        source=monitor.baseline,
        columns=tuple(columns),
        limit=limit,
        seed=seed,
    )
    if directory is not None and identifier is not None:
        kept = read_baseline(directory, key, columns)
        if kept is not None:
            return kept
    source = monitor.baseline
    sample = read_sample(
        connection,
        source.relation,
        columns,
        start=source.start,
        end=_baseline_end(connection, source),
        limit=limit,
        seed=seed,
    )
    if directory is not None and identifier is not None:
        # Without a place to keep it, it is read again.
        with contextlib.suppress(OSError):
            write_baseline(directory, key, columns, sample.frame)
    return sample.frame


def _baseline_identifier(
    connection: psycopg.Connection, monitor: Monitor
) -> str | None:
    """The hash of the monitor's definition and baseline, by dbt's ledger.

    None while some of its windows were refreshed by another definition.
    """
    rows = connection.execute(
        "select distinct definition_hash from intermediate.int_window_ledger "
        "where monitor = %s",
        [monitor.name],
    ).fetchall()
    return str(rows[0][0]) if len(rows) == 1 else None


def _baseline_end(
    connection: psycopg.Connection, source: BaselineSource
) -> datetime | None:
    if source.first is None:
        return source.end
    query = sql.SQL(
        "select date_trunc('day', predicted_at, 'UTC') from {} "
        "where predicted_at between '1900-01-01 00:00+00' and '2200-01-01 00:00+00' "
        "order by predicted_at limit 1 offset %s"
    ).format(sql.Identifier(source.relation.schema, source.relation.name))
    row = connection.execute(query, [source.first_count - 1]).fetchone()
    # So few rows are no baseline yet.
    return row[0] + source.first if row else datetime(1900, 1, 1, tzinfo=UTC)


def _evaluate_day(
    connection: psycopg.Connection,
    monitor: Monitor,
    day: date,
    baseline: Baseline,
    options: SampleOptions,
    *,
    pages: Reports | None,
) -> _EvaluatedDay:
    """Evaluate a day; with ``pages``, write its report too."""
    read = _read_day(connection, monitor, day, options)
    results = (
        evaluate_drift(
            read.frame,
            baseline,
            minimum_sample_count=monitor.minimum_sample_count,
            long_frame=read.long_frame,
        )
        if read.row_count
        else []
    )
    report, report_failure = None, None
    if pages is not None:
        try:
            report = _write_report(pages, monitor, day, read, baseline, results)
        except (OSError, *FAILURES) as error:
            # The results are none the worse for it.
            report_failure = described(error)
    return _EvaluatedDay(
        monitor=monitor,
        day=day,
        row_count=read.row_count,
        sample_count=len(read.frame),
        results=results,
        failure=None,
        read_at=read.read_at,
        report=report,
        report_failure=report_failure,
    )


def _read_day(
    connection: psycopg.Connection, monitor: Monitor, day: date, options: SampleOptions
) -> _Day:
    start = _start_of(day)
    samples = [
        read_sample(
            connection,
            monitor.predictions,
            columns,
            start=start,
            end=start + timedelta(days=1),
            limit=limit,
            seed=options.seed,
        )
        for columns, limit in _parts(monitor, options, options.window_limit)
    ]
    return _Day(
        frame=samples[0].frame,
        long_frame=samples[1].frame if len(samples) > 1 else None,
        row_count=samples[0].row_count,
        read_at=samples[0].read_at,
    )


def _write_report(
    pages: Reports,
    monitor: Monitor,
    day: date,
    read: _Day,
    baseline: Baseline,
    results: Sequence[DriftResult],
) -> Path | None:
    if not read.row_count:
        pages.remove(monitor.name, day)
        return None
    report = day_report(
        read.frame,
        baseline,
        results,
        monitor=monitor.name,
        task=monitor.task,
        positive_class=monitor.positive_class,
        day=day,
        row_count=read.row_count,
        made_at=read.read_at,
        long_frame=read.long_frame,
    )
    scores = {result.method: result for result in results}
    area = scores.get(DOMAIN_CLASSIFIER)
    return pages.write(
        ReportEntry(
            monitor=monitor.name,
            day=day.isoformat(),
            row_count=read.row_count,
            drifted_columns=_drifted(results),
            drifted_share=scores[DATASET_METHOD].score,
            classifier_area=area.score if area else None,
            status=scores[DATASET_METHOD].status,
        ),
        report,
    )


def _drifted(results: Sequence[DriftResult]) -> tuple[str, ...]:
    """The columns that drifted, of texts their descriptors too."""
    return tuple(
        result.column_name
        for result in results
        if result.is_drifted and result.role not in ("features", "dataset")
    )


def _failed_day(monitor: Monitor, day: date, failure: str) -> _EvaluatedDay:
    return _EvaluatedDay(
        monitor=monitor,
        day=day,
        row_count=0,
        sample_count=0,
        results=not_computable(
            monitor.columns, reason=failure, settings=monitor.evidently
        ),
        failure=failure,
        read_at=None,
    )


def _require_connection(connection: psycopg.Connection, error: Exception) -> None:
    """Raise ``error`` again if nothing can be written any more."""
    if connection.broken or connection.closed:
        raise error


def _outcome(
    evaluated: _EvaluatedDay, *, seconds: float, position: int, total: int
) -> DayOutcome:
    scores = {result.method: result.score for result in evaluated.results}
    return DayOutcome(
        monitor=evaluated.monitor.name,
        day=evaluated.day,
        row_count=evaluated.row_count,
        sample_count=evaluated.sample_count,
        drifted_columns=_drifted(evaluated.results),
        uncomputed_columns=tuple(
            result.column_name
            for result in evaluated.results
            if result.status == "not_computable"
            and result.role not in ("features", "dataset")
        ),
        drifted_share=scores.get(DATASET_METHOD),
        classifier_area=scores.get(DOMAIN_CLASSIFIER),
        failure=evaluated.failure,
        seconds=seconds,
        position=position,
        total=total,
        report=evaluated.report,
        report_failure=evaluated.report_failure,
    )


def _prepare_tables(connection: psycopg.Connection) -> None:
    if not exists(connection, "evidently.drift_results"):
        raise WarehouseError(
            "The warehouse has no table evidently.drift_results: run `dbt build`, "
            "which makes it, first."
        )
    if exists(connection, "evidently.evaluated_days"):
        return
    with connection.transaction():
        # Two at once would both find it missing.
        _lock(connection, "evidently.evaluated_days")
        connection.execute(
            """
            create table if not exists evidently.evaluated_days (
                monitor text not null,
                day date not null,
                fingerprint text not null,
                evaluated_at timestamptz not null,
                primary key (monitor, day)
            )
            """
        )
        connection.execute(
            """
            comment on table evidently.evaluated_days is
            'What each day held when Evidently last evaluated it: a fingerprint of its '
            'windows in the ledger, and of the options. Grain: one row per monitor and '
            'UTC day.'
            """
        )


def _fingerprints(
    connection: psycopg.Connection,
    options: SampleOptions,
    monitors: Sequence[Monitor],
) -> dict[tuple[str, date], str]:
    """What each monitor's days hold now, by dbt's ledger; nothing before its first run.

    Sums, so that a day is the same whether the ledger keeps its hours or itself.
    """
    if not exists(connection, "intermediate.int_window_ledger"):
        return {}
    rows = connection.execute(
        """
        select
            monitor,
            (window_start at time zone 'UTC')::date as day,
            md5(concat_ws(
                '|',
                sum(prediction_count),
                sum(prediction_checksum),
                sum(label_count),
                sum(label_checksum),
                max(definition_hash),
                %(options)s::text,
                %(choices)s::jsonb ->> monitor
            )) as fingerprint
        from intermediate.int_window_ledger
        group by monitor, day
        """,
        {
            "options": f"{_RESULTS_VERSION}|{options}",
            "choices": Jsonb({each.name: each.evidently.decisive for each in monitors}),
        },
    ).fetchall()
    return {(monitor, day): fingerprint for monitor, day, fingerprint in rows}


def _lock(connection: psycopg.Connection, name: str) -> None:
    """Wait for whoever holds the lock of that name, until the transaction's end."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"driftline:{name}"]
    )


def _write(
    connection: psycopg.Connection, evaluated: _EvaluatedDay, fingerprint: str | None
) -> None:
    """Replace the day's results, and record what they are the results of.

    Without a fingerprint, or after a failure, the day is not recorded as evaluated.
    """
    monitor, day = evaluated.monitor.name, evaluated.day
    start = _start_of(day)
    with connection.transaction():
        _lock(connection, f"evidently.drift_results:{monitor}:{day}")
        connection.execute(
            """
            delete from evidently.drift_results
            where monitor = %s
              and model_version = 'all'
              and segment = 'all'
              and grain = 'day'
              and window_start = %s
            """,
            [monitor, start],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                """
                insert into evidently.drift_results (
                    monitor, model_version, segment, segment_value, grain,
                    window_start, window_end, column_name, method, role,
                    score, p_value, threshold, is_drifted,
                    sample_count, baseline_sample_count, status, reason, evaluated_at
                )
                values (
                    %s, 'all', 'all', 'all', 'day',
                    %s, %s, %s, %s, %s,
                    %s, %s, %s, %s,
                    %s, %s, %s, %s, coalesce(%s, now())
                )
                """,
                [
                    [
                        monitor,
                        start,
                        start + timedelta(days=1),
                        result.column_name,
                        result.method,
                        result.role,
                        result.score,
                        result.p_value,
                        result.threshold,
                        result.is_drifted,
                        result.sample_count,
                        result.baseline_sample_count,
                        result.status,
                        result.reason,
                        evaluated.read_at,
                    ]
                    for result in evaluated.results
                ],
            )
        connection.execute(
            "delete from evidently.evaluated_days where monitor = %s and day = %s",
            [monitor, day],
        )
        if fingerprint is not None and evaluated.failure is None:
            connection.execute(
                "insert into evidently.evaluated_days values (%s, %s, %s, %s)",
                [monitor, day, fingerprint, evaluated.read_at],
            )


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
