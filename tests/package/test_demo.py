"""``driftline demo`` and ``driftline monitor``, from an empty database on."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.warehouse import ConnectionSettings


@pytest.mark.timeout(1800)
def test_the_demo_fills_an_empty_database_and_adds_nothing_when_run_again(
    database: ConnectionSettings,
    driftline: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    environment = {**database.environ(), "DRIFTLINE_HOME": str(tmp_path)}

    first = driftline("demo", "--weeks", "2", **environment)
    again = driftline("demo", "--weeks", "2", **environment)
    monitored = driftline("monitor", "--reconcile", **environment)

    assert first.returncode == 0, first.stdout + first.stderr
    for shown in ("flight_delayed", "new windows", "nulls", "Next, try"):
        assert shown in first.stdout
    assert (tmp_path / "report.html").as_uri() in first.stdout
    assert "flight_delayed" in (tmp_path / "report.html").read_text()
    assert again.returncode == 0, again.stdout + again.stderr
    assert " 0 new rows" in again.stdout
    for run in (again, monitored):
        assert run.returncode == 0, run.stdout + run.stderr
        assert "nothing has arrived" in run.stdout
        assert "0 days of monitors evaluated" in run.stdout
