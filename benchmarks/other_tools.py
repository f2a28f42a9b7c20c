"""Other tools on the same rows, each in an environment of its own."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from benchmarks.bench import Bench
from benchmarks.generate import CATEGORIES, NUMBERS, joined
from benchmarks.measure import Figure, run_program
from benchmarks.peers.frames import Frames, write_frames
from orchestration.environment import NO_TELEMETRY

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = CHECKOUT / "build" / "bench-envs"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another tool, the Python that has it, and titles for the jobs of its program."""

    name: str
    python: Path
    jobs: Mapping[str, str]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="evidently",
            python=Path(sys.executable),
            jobs={
                "drift": "Evidently: drift preset, day by day",
                "drift_of_few_values": (
                    "Evidently: the same without the feature of 20,000 values"
                ),
            },
        ),
        Peer(
            name="nannyml",
            python=ENVIRONMENTS / "nannyml/bin/python",
            jobs={
                "drift": "NannyML: univariate drift, 2 methods, by day",
                "estimated_performance": "NannyML: CBPE, by day",
            },
        ),
        Peer(
            name="whylogs",
            python=ENVIRONMENTS / "whylogs/bin/python",
            jobs={"profiles": "whylogs: profile of each day"},
        ),
    )
}


def measure_peers(bench: Bench, names: Sequence[str]) -> None:
    """Each peer on the rows that the wide table holds."""
    frames = Frames(
        baseline=joined(bench.baseline()),
        predictions=joined(bench.month()),
        numerical=list(NUMBERS),
        categorical=list(CATEGORIES),
    )
    directory = bench.directory / "frames"
    directory.mkdir()
    write_frames(directory, frames)
    del frames
    for name in names:
        _measure_peer(bench, PEERS[name], directory)


def _measure_peer(bench: Bench, peer: Peer, directory: Path) -> None:
    if not (peer.python.exists() and _is_complete(peer)):
        bench.skip(peer.name, "its environment has not been made: run `make bench`")
        return
    bench.progress(f"running {peer.name}")
    result = bench.directory / f"{peer.name}.json"
    log = bench.directory / f"{peer.name}.log"
    command = [
        *(str(peer.python), "-m", f"benchmarks.peers.{peer.name}"),
        *(str(directory), str(result)),
    ]
    environment = {
        **{name: value for name, value in os.environ.items() if name[:2] != "PG"},
        **NO_TELEMETRY,
        "NML_DISABLE_USAGE_LOGGING": "1",
        "WHYLOGS_NO_ANALYTICS": "True",
        "PYTHONPATH": str(CHECKOUT),
    }
    try:
        memory = run_program(command, environment=environment, log=log)
    except (CalledProcessError, OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        bench.skip(peer.name, lines[-1] if lines else "it failed without a word")
        return
    measured = json.loads(result.read_text())
    for job, title in peer.jobs.items():
        bench.report(
            f"{peer.name}.{job}",
            Figure(
                title=title,
                runs=(measured["seconds"][job],),
                processor=(measured["processor"][job],),
                rows=bench.sizes.rows,
                memory=memory,
                detail={"version": measured["version"]},
            ),
        )


def _is_complete(peer: Peer) -> bool:
    """Whether `make bench` has finished the environment, if it is one of its own."""
    home = peer.python.parent.parent
    return home.parent != ENVIRONMENTS or (home / ".installed").exists()
