"""The bounds of the alert rules, which panels show as thresholds."""

import csv
from functools import cache
from pathlib import Path

from grafana import style

SEED = (
    Path(__file__).resolve().parent.parent / "dbt_project" / "seeds" / "alert_rules.csv"
)


def steps(*rule_ids: str) -> style.Steps:
    """Thresholds at the bounds of rules of the seed, the worst colour the furthest out.

    Rules of one metric and direction, as the three of a burn rate. Raises ``KeyError``
    on a rule that the seed has not.
    """
    warnings, criticals = set(), set()
    for rule_id in rule_ids:
        rule = _rules()[rule_id]
        if rule["warning"]:
            warnings.add(float(rule["warning"]))
        if rule["critical"]:
            criticals.add(float(rule["critical"]))
    [direction] = {_rules()[rule_id]["direction"] for rule_id in rule_ids}
    if direction == "below":
        return [
            (None, style.CRITICAL if criticals else style.WARNING),
            *((bound, style.WARNING) for bound in sorted(criticals)),
            *((bound, style.GOOD) for bound in sorted(warnings)),
        ]
    return [
        (None, style.GOOD),
        *((bound, style.WARNING) for bound in sorted(warnings)),
        *((bound, style.CRITICAL) for bound in sorted(criticals)),
    ]


@cache
def _rules() -> dict[str, dict[str, str]]:
    with SEED.open(newline="", encoding="utf-8") as seed:
        return {row["rule_id"]: row for row in csv.DictReader(seed)}
