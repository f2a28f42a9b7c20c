"""Run a program with a Postgres of its own: python tests/with_postgres.py PROGRAM …

The server is empty, lives in a temporary directory, and is gone when the program ends.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestration import warehouse
from orchestration.environment import subprocess_environment


def main(command: list[str]) -> int:
    """Run the command and return its exit code."""
    home = Path(tempfile.mkdtemp(prefix="driftline-test-"))
    try:
        settings = warehouse.start(home, durable=False)
        environment = subprocess_environment(settings, os.environ)
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        warehouse.stop(home)
        shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
