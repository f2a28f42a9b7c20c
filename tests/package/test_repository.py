"""What must hold of the files that make the project installable."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """Every locked distribution with its version."""
    text = (CHECKOUT / "requirements.lock").read_text()
    pins = re.findall(
        r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", text, flags=re.MULTILINE
    )
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_satisfies_every_requirement(locked: dict[str, str]) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    required = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    for requirement in map(Requirement, required):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement}: {version}"


LOCKS = sorted(CHECKOUT.glob("*.lock")) + sorted(CHECKOUT.glob("*/requirements*.lock"))


@pytest.mark.parametrize(
    "lock", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_locked_distribution_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-zA-Z])", lock.read_text())
    assert len(entries) > 10
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


@pytest.mark.parametrize(
    "lock", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_lock_names_no_index_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"://|--index-url|--extra-index-url|--find-links|@ ", text)


def test_the_hooks_bring_nothing_from_elsewhere() -> None:
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in hooks["repos"]} == {"local"}


def test_the_licence_is_apache() -> None:
    text = (CHECKOUT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
