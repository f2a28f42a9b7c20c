"""The dbt project: where it is, its manifest, its monitors, and how to run it.

The only module that knows where the dbt project is. dbt is imported when it is run:
that takes seconds which commands like ``driftline url`` need not wait for.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestration.environment import subprocess_environment
from orchestration.errors import DriftlineError
from orchestration.monitors import Monitor, Relation, parse_monitors
from orchestration.warehouse import ConnectionSettings

PROJECT_DIR = Path(__file__).resolve().parent.parent / "dbt_project"

# The one of this environment, which need not be activated.
DBT_EXECUTABLE = Path(sys.executable).with_name("dbt")

# Apart from dbt's own target/manifest.json, which every `dbt` in a shell rewrites, and
# not in one step.
_MANIFEST_DIR = PROJECT_DIR / "target" / "orchestration"

# What a manifest is made of.
_SOURCES = ("dbt_project.yml", "models", "macros", "seeds", "tests")


class DbtError(DriftlineError):
    """dbt failed; the message names what failed, and why."""


@dataclass(frozen=True, kw_only=True)
class NodeOutcome:
    """A model, seed or test that dbt has finished; ``status`` is dbt's own word."""

    name: str
    resource_type: str
    status: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DbtRun:
    """A finished run. ``messages`` are what the project's own macros said."""

    outcomes: tuple[NodeOutcome, ...]
    messages: tuple[str, ...]
    seconds: float


def manifest_path() -> Path:
    """A manifest as new as the project's files; parses the project if there is none.

    Needs no warehouse. Safe in several processes at once. Raises ``DbtError`` if the
    project can't be parsed.
    """
    path = _MANIFEST_DIR / "manifest.json"
    if _is_fresh(path):
        return path
    _MANIFEST_DIR.mkdir(parents=True, exist_ok=True)
    with (_MANIFEST_DIR / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have parsed it while this one waited.
        if not _is_fresh(path):
            _parse(path)
    return path


def read_manifest() -> dict[str, Any]:
    """The manifest of :func:`manifest_path`."""
    manifest: dict[str, Any] = json.loads(manifest_path().read_bytes())
    return manifest


def read_monitors() -> tuple[Monitor, ...]:
    """The monitors that ``dbt_project.yml`` describes.

    Raises ``MonitorError`` if a block can't be used, ``DbtError`` if the project can't
    be parsed.
    """
    manifest = read_manifest()
    configuration = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())
    variables = configuration.get("vars", {})
    # dbt knows variables of all projects, and of this one.
    variables = variables | variables.get(configuration["name"], {})
    relations = {
        node["name"]: Relation(schema=node["schema"], name=node["alias"])
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed", "snapshot")
    }
    return parse_monitors(variables.get("monitors") or [], relations)


@contextlib.contextmanager
def warehouse_environment(settings: ConnectionSettings) -> Iterator[None]:
    """Let this process's variables choose the warehouse, for libraries that read them.

    dbt reads the connection from the environment, also when it runs in this process.
    """
    before = dict(os.environ)
    _replace_environment(subprocess_environment(settings, before))
    try:
        yield
    finally:
        _replace_environment(before)


class Dbt:
    """dbt in this process. The project is parsed once, at the first run."""

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        target_path: Path | None = None,
        project_dir: Path = PROJECT_DIR,
    ) -> None:
        """Use the warehouse of ``settings``; artefacts go to ``target_path``.

        ``project_dir`` is for a copy of the project with other monitors.
        """
        self._settings = settings
        self._project_dir = project_dir
        self._target_path = target_path or project_dir / "target"
        self._manifest: Any = None

    def parse(self) -> None:
        """Parse the project, if it has not been. Raises ``DbtError``."""
        if self._manifest is None:
            self._manifest = self._invoke(["parse"], []).result

    def count(self, selection: Sequence[str] = ()) -> int:
        """How many nodes `dbt build` would run. Raises ``DbtError``."""
        self.parse()
        listed = self._invoke(["list", *BUILT, *selection], []).result
        return sum(1 for name in listed if not name.startswith("source:"))

    def build(
        self,
        selection: Sequence[str] = (),
        *,
        variables: Mapping[str, object] | None = None,
        on_node: Callable[[NodeOutcome], None] | None = None,
    ) -> DbtRun:
        """`dbt build` of the ``selection`` (dbt's arguments), without unit tests.

        ``on_node`` is called as each node finishes, from dbt's threads. Raises
        ``DbtError`` if a node or a test fails.
        """
        self.parse()
        started = time.perf_counter()
        outcomes: list[NodeOutcome] = []
        messages: list[str] = []

        def listen(event: Any) -> None:
            if event.info.name == "NodeFinished":
                outcome = _node_outcome(event)
                outcomes.append(outcome)
                if on_node is not None:
                    on_node(outcome)
            elif event.info.name == "JinjaLogInfo":
                messages.append(event.info.msg)

        arguments = ["build", *BUILT, *selection]
        if variables:
            arguments += ["--vars", json.dumps(dict(variables), default=str)]
        self._invoke(arguments, [listen])
        return DbtRun(
            outcomes=tuple(outcomes),
            messages=tuple(messages),
            seconds=time.perf_counter() - started,
        )

    def run_operation(
        self, macro: str, arguments: Mapping[str, object] | None = None
    ) -> None:
        """Run a macro of the project. Raises ``DbtError``."""
        self.parse()
        self._invoke(
            ["run-operation", macro, "--args", json.dumps(dict(arguments or {}))], []
        )

    def _invoke(
        self, arguments: Sequence[str], callbacks: list[Callable[[Any], None]]
    ) -> Any:
        with warehouse_environment(self._settings):
            from dbt.cli.main import dbtRunner

            runner = dbtRunner(manifest=self._manifest, callbacks=callbacks)
            outcome = runner.invoke([*arguments, *self._options()])
        if not outcome.success:
            raise DbtError(_failure(arguments[0], outcome))
        return outcome

    def _options(self) -> list[str]:
        return [
            *("--project-dir", str(self._project_dir)),
            *("--profiles-dir", str(self._project_dir)),
            *("--target-path", str(self._target_path)),
            # Its log file keeps everything; the terminal is ours.
            *("--log-level", "none"),
        ]


# Its clock and, where a monitor's block is wrong, the model that was first to read it.
_ABOUT_DBT = re.compile(
    r"\d\d:\d\d:\d\d +|Encountered an error: |"
    r"Compilation Error in model \S+ \(\S+\) (?=Monitor ')"
)

# Unit tests prove the SQL, not the data: they are run by `make test`.
BUILT = ("--exclude-resource-type", "unit_test")


def _node_outcome(event: Any) -> NodeOutcome:
    return NodeOutcome(
        name=event.data.node_info.node_name,
        resource_type=event.data.node_info.resource_type,
        status=event.data.run_result.status,
        seconds=event.data.run_result.execution_time,
    )


def _failure(command: str, outcome: Any) -> str:
    if outcome.exception is not None:
        # Some, such as that of Ctrl-C, say nothing.
        said = str(outcome.exception) or type(outcome.exception).__name__
        return f"dbt {command} failed: {_plainly(said)}"
    failed = [
        f"{result.node.name} ({_plainly(result.message or '')})"
        for result in getattr(outcome.result, "results", ())
        if result.status in ("error", "fail", "runtime error")
    ]
    return f"dbt {command} failed: {'; '.join(failed) or 'see logs/dbt.log'}"


def _plainly(said: str) -> str:
    """What dbt said, on one line, without the macros that it came through."""
    lines = (line.strip() for line in said.splitlines())
    told = " ".join(line for line in lines if line and not line.startswith("> "))
    return _ABOUT_DBT.sub("", told)


def _replace_environment(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _is_fresh(manifest: Path) -> bool:
    try:
        made_at = manifest.stat().st_mtime
    except FileNotFoundError:
        return False
    return all(_newest_change(PROJECT_DIR / name) < made_at for name in _SOURCES)


def _newest_change(path: Path) -> float:
    """The newest time of a file or a tree; a directory's own tells of deletions."""
    if not path.exists():
        return 0.0
    times = [path.stat().st_mtime]
    times += [found.stat().st_mtime for found in path.rglob("*")]
    return max(times)


def _parse(manifest: Path) -> None:
    # As old as what it was made from: a file that changes meanwhile is newer.
    started = time.time()
    with tempfile.TemporaryDirectory(dir=manifest.parent) as directory:
        # A process of its own: dbt's logging would take over the caller's.
        finished = subprocess.run(
            [
                *(str(DBT_EXECUTABLE), "--log-level", "error", "--no-use-colors"),
                "parse",
                *("--project-dir", str(PROJECT_DIR)),
                *("--profiles-dir", str(PROJECT_DIR)),
                *("--target-path", directory, "--log-path", directory),
            ],
            cwd=PROJECT_DIR,
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            output = _plainly(finished.stdout + finished.stderr)
            raise DbtError(f"dbt can't parse {PROJECT_DIR}: {output}")
        made = Path(directory) / "manifest.json"
        os.utime(made, (started, started))
        shutil.move(made, manifest)
