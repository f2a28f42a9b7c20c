"""What a run refreshes: in one place, for dbt and for Evidently."""

import json
from datetime import date

import dagster as dg
from pydantic import Field

from orchestration.days import DayRange


class Refresh(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What to bring up to date, beyond what is stale by itself."""

    refresh_from: str | None = Field(
        default=None, description="Days from this UTC day on, such as 2026-01-31."
    )
    refresh_to: str | None = Field(
        default=None, description="Days before this UTC day."
    )
    only_monitors: list[str] = Field(
        default=[], description="Only these monitors; if empty, all."
    )
    reconcile: bool = Field(
        default=False,
        description="Compare every window with the log, which finds retracted rows.",
    )
    full_refresh: bool = Field(
        default=False, description="Build everything anew from the whole log."
    )

    def dbt_arguments(self) -> list[str]:
        """What `dbt build` is told. Raises ``ValueError`` if a day is none."""
        days = self.days
        variables = {
            "refresh_from": days and days.start and days.start.isoformat(),
            "refresh_to": days and days.end and days.end.isoformat(),
            "only_monitors": self.only_monitors,
            "reconcile": self.reconcile,
        }
        chosen = {name: value for name, value in variables.items() if value}
        return [
            *(["--vars", json.dumps(chosen)] if chosen else []),
            *(["--full-refresh"] if self.full_refresh else []),
        ]

    @property
    def days(self) -> DayRange | None:
        """The days that count as stale in any case; None if there are no such.

        Raises ``ValueError`` if one is no day.
        """
        if self.full_refresh:
            return DayRange()
        if self.refresh_from is None and self.refresh_to is None:
            return None
        return DayRange(
            start=date.fromisoformat(self.refresh_from) if self.refresh_from else None,
            end=date.fromisoformat(self.refresh_to) if self.refresh_to else None,
        )

    def includes(self, monitor: str) -> bool:
        """Whether a monitor is among those that are looked at."""
        return not self.only_monitors or monitor in self.only_monitors
