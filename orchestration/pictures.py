"""A picture of a day: the distributions of its columns beside the baseline's.

SVG, of a few thousand bytes, so that Dagster can keep one for each day.
"""

import base64
import html
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import psycopg

from orchestration.relations import exists

_SHOWN_COLUMNS = 9
_SHOWN_BINS = 14
_ACROSS = 3
_WIDTH, _HEIGHT, _GAP = 180, 64, 14
_TITLE = 15

_DAY, _DRIFTED, _BASELINE, _INK = "#5794f2", "#e02f44", "#1f2430", "#464c54"


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Shares of a column's rows, 0 to 1; that of the baseline is None without one."""

    share: float
    baseline_share: float | None


def read_distributions(
    connection: psycopg.Connection, monitor: str, days: Collection[date]
) -> dict[date, dict[str, list[Bin]]]:
    """What ``marts.distributions`` holds of a monitor's UTC days, by column.

    Of columns with many categories, the most frequent ones. Empty before dbt made the
    mart.
    """
    found: defaultdict[date, dict[str, list[Bin]]] = defaultdict(dict)
    if not exists(connection, "marts.distributions"):
        return found
    rows = connection.execute(
        """
        with ranked as (

            select
                window_start,
                column_name,
                bin,
                share,
                baseline_share,
                row_number() over (
                    partition by window_start, column_name
                    order by greatest(share, baseline_share) desc, bin
                ) as place
            from marts.distributions
            where
                monitor = %(monitor)s
                and grain = 'day'
                and model_version = 'all'
                and segment = 'all'
                and window_start = any(%(starts)s::timestamptz[])

        )

        select
            (window_start at time zone 'UTC')::date,
            column_name,
            array_agg(coalesce(share, 0) order by bin),
            array_agg(baseline_share order by bin)
        from ranked
        where place <= %(shown)s
        group by window_start, column_name
        order by window_start, column_name
        """,
        {
            "monitor": monitor,
            "starts": [f"{day} 00:00+00" for day in days],
            "shown": _SHOWN_BINS,
        },
    )
    for day, column, shares, baseline_shares in rows:
        found[day][column] = [
            Bin(share=share, baseline_share=baseline_share)
            for share, baseline_share in zip(shares, baseline_shares, strict=True)
        ]
    return found


def picture(columns: Mapping[str, Sequence[Bin]], drifted: Sequence[str]) -> str | None:
    """SVG with a histogram a column, those that drifted first and in red.

    None without any column. Bars are the day, the outline is the baseline.
    """
    order = {name: place for place, name in enumerate(dict.fromkeys(drifted))}
    shown = sorted(columns, key=lambda name: (order.get(name, len(order)), name))
    shown = shown[:_SHOWN_COLUMNS]
    if not shown:
        return None
    rows = -(-len(shown) // _ACROSS)
    width = min(len(shown), _ACROSS) * (_WIDTH + _GAP) + _GAP
    height = rows * (_HEIGHT + _TITLE + _GAP) + _GAP
    panels = "".join(
        f'<g transform="translate({_GAP + place % _ACROSS * (_WIDTH + _GAP)} '
        f'{_GAP + place // _ACROSS * (_HEIGHT + _TITLE + _GAP)})">'
        + "".join(_panel(name, columns[name], is_drifted=name in order))
        + "</g>"
        for place, name in enumerate(shown)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{panels}</svg>'
    )


def as_markdown(svg: str, text: str) -> str:
    """An image in Markdown that needs no file; ``text`` is for who can't see it."""
    encoded = base64.b64encode(svg.encode()).decode()
    return f"![{text}](data:image/svg+xml;base64,{encoded})"


def _panel(name: str, bins: Sequence[Bin], *, is_drifted: bool) -> Iterator[str]:
    ink, fill = (_DRIFTED, _DRIFTED) if is_drifted else (_INK, _DAY)
    title = name if len(name) <= 28 else f"{name[:27]}…"
    yield f'<text y="10" fill="{ink}">{html.escape(title)}</text>'
    step = _WIDTH / len(bins)
    floor = _TITLE + _HEIGHT
    highest = max(max(each.share, each.baseline_share or 0) for each in bins) or 1

    def top(share: float) -> str:
        return f"{floor - share / highest * _HEIGHT:.1f}"

    bars = "".join(
        f"M{place * step + 1:.1f} {floor}V{top(each.share)}"
        f"h{max(step - 2, 0.5):.1f}V{floor}z"
        for place, each in enumerate(bins)
    )
    yield f'<path d="{bars}" fill="{fill}" fill-opacity=".7"/>'
    if all(each.baseline_share is not None for each in bins):
        outline = f"M0 {floor}" + "".join(
            f"V{top(each.baseline_share or 0)}H{(place + 1) * step:.1f}"
            for place, each in enumerate(bins)
        )
        yield (
            f'<path d="{outline}V{floor}" fill="none" stroke="{_BASELINE}" '
            'stroke-width="1.2"/>'
        )
