"""The alert rules in force, and what changed ones would have found.

A replay builds only the alert layer, from the statistics that are there, into a schema
of its own, and compares what it finds with what today's rules found. Nothing that
anybody else reads is touched.
"""

import contextlib
import csv
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from orchestration import warehouse
from orchestration.alerting.incidents import built_marts
from orchestration.errors import DriftlineError
from orchestration.project import PROJECT_DIR, Dbt
from orchestration.warehouse import ConnectionSettings

_SEED = Path("seeds") / "alert_rules.csv"

# What is built anew; everything before it is read as it is.
_REPLAYED = (
    "alert_rules",
    "int_alert_rules",
    "int_rule_evaluations",
    "int_alert_episodes",
    "int_incidents",
)

_SCHEMA_PREFIX = "driftline_replay_"


class RulesError(DriftlineError):
    """Rules can't be read or replayed."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a monitor, as ``intermediate.int_alert_rules`` has it."""

    monitor: str
    rule_id: str
    family: str
    metric: str
    compared_to: str | None
    columns: str
    versions: str
    segment: str
    grain: str
    method: str
    compared_as: str | None
    direction: str
    warning: float | None
    critical: float | None
    minimum_sample: int | None
    open_after: int
    close_after: int
    description: str | None


@dataclass(frozen=True, kw_only=True)
class RuleComparison:
    """What a rule of a monitor found by today's rules, and by the changed ones.

    Windows that fired, and stretches of them that were long enough to open.
    """

    monitor: str
    rule_id: str
    window_count: int
    new_window_count: int
    episode_count: int
    new_episode_count: int


@dataclass(frozen=True, kw_only=True)
class ComparedIncident:
    """An incident that only today's rules, or only the changed ones, find."""

    monitor: str
    started_at: datetime
    closed_at: datetime | None
    severity: str
    reason: str | None
    rule_ids: list[str]
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Today's rules and changed ones on the same history.

    ``incidents`` are those without a counterpart on the other side; the counts are
    of all, and can differ without any of those, since incidents join and split.
    """

    rules: tuple[RuleComparison, ...]
    incidents: tuple[ComparedIncident, ...]
    incident_count: int
    new_incident_count: int


def read_rules(connection: psycopg.Connection) -> list[Rule]:
    """The rules of all monitors, as they were last built, by family and name."""
    columns = ", ".join(field.name for field in fields(Rule))
    with built_marts(), connection.cursor(row_factory=class_row(Rule)) as cursor:
        return cursor.execute(
            f"select {columns} from intermediate.int_alert_rules "
            "order by family, rule_id, monitor"
        ).fetchall()


def replay(
    settings: ConnectionSettings,
    *,
    file: Path | None = None,
    since: datetime | None = None,
    monitor: str | None = None,
    project_dir: Path = PROJECT_DIR,
) -> Replay:
    """Judge the history by the rules of ``file``, beside what today's rules found.

    Without a ``file``, by the seed and the monitor blocks as they are in the project
    now, built or not. Of what happened ``since``, and of one ``monitor``, if given.

    Raises ``RulesError`` if the file can't be used or there is nothing to compare
    with, ``DbtError`` if dbt does not accept the rules.
    """
    with warehouse.connect(settings, autocommit=True) as connection:
        # Says what to do if nothing has been built yet.
        monitors = {rule.monitor for rule in read_rules(connection)}
        if monitor is not None and monitor not in monitors:
            raise RulesError(
                f"There is no monitor {monitor!r} that has rules; there are "
                f"{', '.join(sorted(monitors))}."
            )
        if file is not None:
            _check_file(file, project_dir / _SEED)
        _drop_left_over(connection)
        with (
            _scratch_schema(connection) as schema,
            tempfile.TemporaryDirectory(prefix="driftline-replay-") as directory,
        ):
            project = _copy_of_project(
                project_dir, Path(directory) / "dbt_project", schema=schema, file=file
            )
            Dbt(settings, project_dir=project).build(
                [
                    *("--select", *_REPLAYED),
                    *("--exclude-resource-type", "test"),
                    "--full-refresh",
                ]
            )
            return compare(connection, schema, since=since, monitor=monitor)


def _check_file(file: Path, seed: Path) -> None:
    try:
        header = next(csv.reader(file.read_text().splitlines()), [])
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{file} can't be read: {error}.") from error
    expected = next(csv.reader(seed.read_text().splitlines()), [])
    if header != expected:
        lacking = [name for name in expected if name not in header]
        unknown = [name for name in header if name not in expected]
        problem = "; ".join(
            f"{what} {', '.join(map(repr, names))}"
            for what, names in (("lacks", lacking), ("has the unknown", unknown))
            if names
        )
        raise RulesError(
            f"{file} {problem or 'has its columns in another order'}: its first line "
            f"must be that of {seed}."
        )


@contextlib.contextmanager
def _scratch_schema(connection: psycopg.Connection) -> Iterator[str]:
    """The name of a schema for one replay, gone at its end, held against others."""
    schema = f"{_SCHEMA_PREFIX}{uuid.uuid4().hex[:12]}"
    connection.execute("select pg_advisory_lock(hashtext(%s))", [schema])
    try:
        yield schema
    finally:
        _drop(connection, schema)
        connection.execute("select pg_advisory_unlock(hashtext(%s))", [schema])


def _drop_left_over(connection: psycopg.Connection) -> None:
    """What a replay that was killed left behind; nobody holds it any longer."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        schemas = cursor.execute(
            "select nspname from pg_namespace where starts_with(nspname, %s)",
            [_SCHEMA_PREFIX],
        ).fetchall()
        for schema in schemas:
            is_left = cursor.execute(
                "select pg_try_advisory_lock(hashtext(%s))", [schema]
            ).fetchone()
            if is_left:
                _drop(connection, schema)
                cursor.execute("select pg_advisory_unlock(hashtext(%s))", [schema])


def _drop(connection: psycopg.Connection, schema: str) -> None:
    connection.execute(
        sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema))
    )


def _copy_of_project(
    project_dir: Path, copy: Path, *, schema: str, file: Path | None
) -> Path:
    """The dbt project with other rules, and the alert layer in another schema."""
    shutil.copytree(
        project_dir, copy, ignore=shutil.ignore_patterns("target", "logs", ".user.yml")
    )
    if file is not None:
        shutil.copyfile(file, copy / _SEED)
    configuration = yaml.safe_load((copy / "dbt_project.yml").read_text())
    # They belong to runs that refresh and are heard of.
    for hook in ("on-run-start", "on-run-end"):
        configuration.pop(hook, None)
    (copy / "dbt_project.yml").write_text(yaml.safe_dump(configuration))
    names = ", ".join(f"'{name}'" for name in _REPLAYED)
    (copy / "macros" / "generate_schema_name.sql").write_text(
        "{% macro generate_schema_name(custom_schema_name, node) -%}\n"
        f"    {{%- if node is not none and node.name in [{names}] -%}}\n"
        f"        {schema}\n"
        "    {%- else -%}\n"
        "        {{ (custom_schema_name or target.schema) | trim }}\n"
        "    {%- endif -%}\n"
        "{%- endmacro %}\n"
    )
    return copy


_COUNTS = """
    with

    windows as (

        select
            monitor,
            rule_id,
            count(*) filter (where not is_new) as window_count,
            count(*) filter (where is_new) as new_window_count
        from (
            select monitor, rule_id, window_end, severity, false as is_new
            from intermediate.int_rule_evaluations

            union all

            select monitor, rule_id, window_end, severity, true
            from {schema}.int_rule_evaluations
        ) as evaluations
        where severity > 0 and window_end > %(since)s
        group by monitor, rule_id

    ),

    episodes as (

        select
            monitor,
            rule_id,
            count(*) filter (where not is_new) as episode_count,
            count(*) filter (where is_new) as new_episode_count
        from (
            select monitor, rule_id, opened_at, closed_at, false as is_new
            from intermediate.int_alert_episodes

            union all

            select monitor, rule_id, opened_at, closed_at, true
            from {schema}.int_alert_episodes
        ) as all_episodes
        where coalesce(closed_at, 'infinity') > %(since)s
        group by monitor, rule_id

    ),

    rules as (

        select monitor, rule_id from intermediate.int_alert_rules

        union

        select monitor, rule_id from {schema}.int_alert_rules

    )

    select
        rules.monitor,
        rules.rule_id,
        coalesce(windows.window_count, 0) as window_count,
        coalesce(windows.new_window_count, 0) as new_window_count,
        coalesce(episodes.episode_count, 0) as episode_count,
        coalesce(episodes.new_episode_count, 0) as new_episode_count

    from rules

    left join windows
        on rules.monitor = windows.monitor and rules.rule_id = windows.rule_id

    left join episodes
        on rules.monitor = episodes.monitor and rules.rule_id = episodes.rule_id

    where %(monitor)s::text is null or rules.monitor = %(monitor)s

    order by rules.rule_id, rules.monitor
"""

# One is the other's if they were at the same time, and by a rule and on a column of it.
_INCIDENTS = """
    with

    incidents as (

        select *, false as is_new from intermediate.int_incidents

        union all

        select *, true from {schema}.int_incidents

    ),

    chosen as (

        select *
        from incidents
        where
            coalesce(closed_at, 'infinity') > %(since)s
            and (%(monitor)s::text is null or monitor = %(monitor)s)

    )

    select
        monitor,
        started_at,
        closed_at,
        case severity when 2 then 'critical' else 'warning' end as severity,
        suspect_reason as reason,
        rule_ids,
        is_new,
        exists (
            select
            from incidents as others
            where
                others.monitor = chosen.monitor
                and others.is_new != chosen.is_new
                and others.started_at < coalesce(chosen.closed_at, 'infinity')
                and chosen.started_at < coalesce(others.closed_at, 'infinity')
                and others.rule_ids && chosen.rule_ids
                and (
                    others.column_names && chosen.column_names
                    or cardinality(others.column_names) = 0
                    and cardinality(chosen.column_names) = 0
                )
        ) as is_kept

    from chosen

    order by started_at, monitor, is_new
"""


@dataclass(frozen=True, kw_only=True)
class _Incident(ComparedIncident):
    is_kept: bool


def compare(
    connection: psycopg.Connection,
    schema: str,
    *,
    since: datetime | None,
    monitor: str | None,
) -> Replay:
    """What the alert layer holds, and what that of another ``schema`` does."""
    parameters = {"since": since or "-infinity", "monitor": monitor}
    name = sql.Identifier(schema)
    with connection.cursor(row_factory=class_row(RuleComparison)) as cursor:
        rules = cursor.execute(
            sql.SQL(_COUNTS).format(schema=name), parameters
        ).fetchall()
    with connection.cursor(row_factory=class_row(_Incident)) as cursor:
        found: Sequence[_Incident] = cursor.execute(
            sql.SQL(_INCIDENTS).format(schema=name), parameters
        ).fetchall()
    return Replay(
        rules=tuple(rules),
        incidents=tuple(each for each in found if not each.is_kept),
        incident_count=sum(1 for each in found if not each.is_new),
        new_incident_count=sum(1 for each in found if each.is_new),
    )
