"""Incidents drawn by chance, as a scenario file would list them.

They come in rounds. In a round each kind happens once, in any order: two kinds to all
models, the others to the model that has been well for longest. Then every model is left
alone for two weeks. A kind takes its levels in turns, so that three rounds have all of
them.
"""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from simulator.durations import duration_of, text_of
from simulator.incidents import KINDS
from simulator.levels import LEVELS, strengths
from simulator.serving import MODEL_NAMES

# Learned thresholds need some history.
LEAD_IN = timedelta(weeks=4)
# Between two incidents of the same model.
GAP = timedelta(days=4)
# Between two rounds.
QUIET = timedelta(weeks=2)
# Whatever the length of the replay, so that a longer one continues a shorter one: the
# recorded year has so much after the training.
HORIZON = timedelta(weeks=45)

_LONGEST_EXTRA_GAP_HOURS = 48
_KINDS_OF_ALL_MODELS = 2
# Flights leave New York from 10 to 3 o'clock UTC. What takes no whole day must not
# happen while nobody asks.
_BUSY_HOURS = (12, 20)
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)

Item = dict[str, object]


def random_incidents(seed: int) -> list[Item]:
    """Incidents for the longest possible replay, in order of time."""
    # A stream of its own: the traffic is drawn with plain seeds.
    rng = np.random.default_rng([seed, *b"scenario"])
    drawn = list(_drawn(rng))
    drawn.sort(key=lambda each: each[0])
    return [
        {"id": f"{number:02}-{item.pop('name')}", **item}
        for number, (_, item) in enumerate(drawn, start=1)
    ]


def _drawn(rng: np.random.Generator) -> Iterator[tuple[timedelta, Item]]:
    """Each incident with its start, until the first that would not fit any more."""
    well_since = dict.fromkeys(MODEL_NAMES, LEAD_IN - GAP)
    versions = dict.fromkeys(MODEL_NAMES, 1)
    levels = {kind: list(rng.permutation(LEVELS)) for kind in KINDS}
    of_any_model = [kind for kind in KINDS if kind != "bad_deployment"]
    while True:
        of_all = rng.choice(of_any_model, _KINDS_OF_ALL_MODELS, replace=False).tolist()
        for kind in rng.permutation(list(KINDS)).tolist():
            level = str(levels[kind][0])
            levels[kind].append(levels[kind].pop(0))
            models = MODEL_NAMES if kind in of_all else _longest_well(well_since, rng)
            item: Item = {"name": kind.replace("_", "-"), "kind": kind, "size": level}
            if len(models) == 1:
                item["model"] = models[0]
            if kind == "bad_deployment":
                versions[models[0]] += 1
                item["version"] = str(versions[models[0]])
            if columns := list(strengths()[kind].columns):
                item["column"] = str(rng.choice(columns))
                item["name"] = f"{item['name']}-{str(item['column']).replace('_', '-')}"
            duration = duration_of(strengths()[kind].levels[level]["duration"])
            assert duration is not None
            start = _start(max(well_since[each] for each in models), duration, rng)
            if start + duration > HORIZON:
                return
            item["start"] = text_of(start)
            for each in models:
                well_since[each] = start + duration
            yield start, item
        well_since = dict.fromkeys(MODEL_NAMES, max(well_since.values()) + QUIET - GAP)


def _longest_well(
    well_since: dict[str, timedelta], rng: np.random.Generator
) -> tuple[str]:
    in_any_order = rng.permutation(MODEL_NAMES).tolist()
    return (min(in_any_order, key=well_since.__getitem__),)


def _start(
    well_since: timedelta, duration: timedelta, rng: np.random.Generator
) -> timedelta:
    earliest = well_since + GAP + int(rng.integers(_LONGEST_EXTRA_GAP_HOURS)) * _HOUR
    # To the next full hour.
    earliest = -(-earliest // _HOUR) * _HOUR
    if duration >= _DAY:
        return earliest
    first, last = _BUSY_HOURS
    room = max(last - first - -(-duration // _HOUR), 0)
    at = earliest // _DAY * _DAY + (first + int(rng.integers(room + 1))) * _HOUR
    return at if at >= earliest else at + _DAY
