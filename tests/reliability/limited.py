"""Python in a process of its own with little memory, for files that claim more than they hold."""

from __future__ import annotations

import os
import subprocess
import sys

LIMIT = """
import resource, sys
from pathlib import Path
megabytes, path = int(sys.argv[1]), Path(sys.argv[2])
def limit():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
"""


def limited(script: str, path: object, megabytes: int = 200) -> str:
    """Run a script that imports, calls `limit()` and reads `path`; return what it prints.

    After `limit()` the process may take so many megabytes more than before, which counts what it has not used too.
    """
    done = subprocess.run(
        [sys.executable, "-c", LIMIT + script, str(megabytes), str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
