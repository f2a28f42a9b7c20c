"""Time, processor time and peak memory of a job in a process of its own."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

import psutil

_SAMPLE_SECONDS = 0.25

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Peaks in bytes, sampled ten times a second.

    ``process`` is the resident set of the process and its children. ``server`` is that
    of all processes of Postgres less what they share, so without its shared buffers;
    None if no server was watched.
    """

    process: int
    server: int | None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured time: the median of ``runs``, with what it took and is of.

    ``processor`` holds the runs' seconds of processor time, that of Postgres included.
    It hardly changes when the machine does other work as well.
    """

    title: str
    runs: tuple[float, ...]
    processor: tuple[float, ...] = ()
    rows: int | None = None
    memory: Memory | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def processor_seconds(self) -> float | None:
        """The median of the runs' processor times, if they were measured."""
        return statistics.median(self.processor) if self.processor else None


@dataclass(frozen=True, kw_only=True)
class Finished(Generic[_Result]):
    """What a job returned, and what it took."""

    result: _Result
    seconds: float
    processor: float
    memory: Memory


class MemoryWatch:
    """Samples memory in a thread of its own from entry to exit."""

    def __init__(self, pid: int, postmaster: int | None) -> None:
        self._pid = pid
        self._postmaster = postmaster
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._process = 0
        self._server = 0

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak(self) -> Memory:
        """The highest sums so far."""
        server = self._server if self._postmaster is not None else None
        return Memory(process=self._process, server=server)

    def _sample(self) -> None:
        while True:
            self._process = max(self._process, int(_total(self._pid, _resident)))
            if self._postmaster is not None:
                self._server = max(self._server, int(_total(self._postmaster, _own)))
            if self._done.wait(_SAMPLE_SECONDS):
                return


class Worker:
    """A process that runs jobs one after the other, with its memory watched.

    Jobs and their arguments must be picklable; what a job raises is raised here.
    """

    def __init__(self, *, postmaster: int | None = None) -> None:
        """Start it; ``postmaster`` is the server whose memory is watched as well."""
        self._postmaster = postmaster
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._pid = self._pool.submit(os.getpid).result()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def run(
        self,
        job: Callable[_Parameters, _Result],
        *arguments: _Parameters.args,
        **options: _Parameters.kwargs,
    ) -> Finished[_Result]:
        """Run a job to its end."""
        with MemoryWatch(self._pid, self._postmaster) as watch:
            used = self._processor_seconds()
            started = time.perf_counter()
            result = self._pool.submit(job, *arguments, **options).result()
            seconds = time.perf_counter() - started
            used = self._processor_seconds() - used
        return Finished(
            result=result, seconds=seconds, processor=used, memory=watch.peak
        )

    def _processor_seconds(self) -> float:
        pids = [self._pid, *([] if self._postmaster is None else [self._postmaster])]
        return sum(_total(pid, _processor_seconds) for pid in pids)


def run_program(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path
) -> Memory:
    """Run a program to its end and watch its memory.

    What it prints goes to ``log``. Raises ``CalledProcessError`` if it fails.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            with MemoryWatch(process.pid, None) as watch:
                code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code:
        raise subprocess.CalledProcessError(code, command)
    return watch.peak


def timed(job: Callable[[], object]) -> float:
    """How long a job takes, in seconds."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def timed_with_server(
    job: Callable[[], object], postmaster: int
) -> tuple[float, float]:
    """Seconds and processor seconds of a job here that mostly waits for Postgres."""
    used = time.process_time() + _total(postmaster, _processor_seconds)
    seconds = timed(job)
    used = time.process_time() + _total(postmaster, _processor_seconds) - used
    return seconds, used


def _total(pid: int, size: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += size(member)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def _processor_seconds(process: psutil.Process) -> float:
    """That of the process and, on Linux, of its children that have ended."""
    times = process.cpu_times()
    return float(
        times.user + times.system + times.children_user + times.children_system
    )


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _own(process: psutil.Process) -> int:
    """The resident set less the pages that others may share."""
    if sys.platform == "linux":
        memory = process.memory_info()
        return int(memory.rss - memory.shared)
    return int(process.memory_full_info().uss)
