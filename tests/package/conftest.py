"""A free port, and the command as a shell runs it."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of 127.0.0.1 that nobody listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture(scope="session")
def driftline() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command: its arguments, then variables by name; 100 columns wide."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("driftline"), *arguments],
            env={**os.environ, "COLUMNS": "100", **variables},
            capture_output=True,
            text=True,
            check=False,
            # A demo on a machine that does other work, too.
            timeout=600,
        )

    return run
