"""How strong incidents of each level are, as ``levels.yml`` lists it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

LEVELS = ("obvious", "moderate", "subtle")


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """What the levels of one kind stand for, in the keys of a scenario file.

    ``levels`` by level; ``columns`` by column what is the same for all levels, and
    empty for kinds that have no column, or the same one always.
    """

    columns: Mapping[str, Mapping[str, object]]
    levels: Mapping[str, Mapping[str, object]]


@cache
def strengths() -> Mapping[str, Strengths]:
    """The strengths of every kind, by its name."""
    text = files("simulator").joinpath("levels.yml").read_text(encoding="utf-8")
    return {
        kind: Strengths(
            columns=content.get("columns", {}),
            levels={level: content[level] for level in LEVELS},
        )
        for kind, content in yaml.safe_load(text).items()
    }
