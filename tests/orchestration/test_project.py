"""The manifest is made when it is missing or old, and monitors come out of it."""

import os
from pathlib import Path

import pytest

from orchestration import project
from orchestration.project import DbtError, warehouse_environment
from orchestration.warehouse import ConnectionSettings

SETTINGS = ConnectionSettings(
    host="elsewhere", port=6543, user="reader", dbname="flights", password="secret"
)


@pytest.fixture
def tiny_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.sql").write_text("select 1 as one")
    (tmp_path / "dbt_project.yml").write_text(
        "name: tiny\nprofile: tiny\nversion: '1.0'\nmodels: {tiny: {+schema: marts}}\n"
    )
    (tmp_path / "profiles.yml").write_text(
        "tiny: {target: default, outputs: {default: {type: postgres, host: nowhere, "
        "port: 1, user: nobody, password: '', dbname: none, schema: public}}}"
    )
    monkeypatch.setattr(project, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr(project, "_MANIFEST_DIR", tmp_path / "target")
    return tmp_path


def test_the_manifest_is_parsed_when_it_is_missing_or_old_and_only_then(
    tiny_project: Path,
) -> None:
    first = project.manifest_path()
    made_at = first.stat().st_mtime_ns
    assert "model.tiny.one" in project.read_manifest()["nodes"]
    assert project.manifest_path().stat().st_mtime_ns == made_at

    (tiny_project / "models" / "one.sql").write_text(
        "select * from {{ ref('nothing_such') }}"
    )

    with pytest.raises(DbtError, match="nothing_such"):
        project.manifest_path()


def test_of_a_wrong_block_only_what_is_wrong_is_told(tiny_project: Path) -> None:
    wrong = "Monitor 'a', key 'task': 'x' is unknown; use binary."
    (tiny_project / "macros").mkdir()
    (tiny_project / "macros" / "wrong.sql").write_text(
        "{% macro wrong() %}{% do exceptions.raise_compiler_error("
        f'"{wrong}"'
        ") %}{% endmacro %}"
    )
    (tiny_project / "models" / "one.sql").write_text("{{ wrong() }}")

    with pytest.raises(DbtError) as raised:
        project.manifest_path()

    assert str(raised.value) == f"dbt can't parse {tiny_project}: {wrong}"


def test_the_monitors_of_the_project_are_read() -> None:
    monitors = {monitor.name: monitor for monitor in project.read_monitors()}

    assert sorted(monitors) == ["flight_delay", "flight_delay_band", "flight_delayed"]
    delayed = monitors["flight_delayed"]
    assert delayed.predictions.schema == "staging"
    assert delayed.predictions.name == "stg_flights__flight_delayed"
    assert len(delayed.columns) == 16


def test_the_environment_chooses_the_warehouse_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIFTLINE_DATABASE_URL", "postgresql://other/one")
    before = dict(os.environ)

    with pytest.raises(RuntimeError), warehouse_environment(SETTINGS):
        assert os.environ["PGHOST"] == "elsewhere"
        assert os.environ["PGPASSWORD"] == "secret"
        assert os.environ["DO_NOT_TRACK"] == "1"
        assert "DRIFTLINE_DATABASE_URL" not in os.environ
        raise RuntimeError

    assert dict(os.environ) == before
