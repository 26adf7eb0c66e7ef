from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

from prenda.config.paths import REPOSITORY

# Like a test that starts a training and is killed: the training is in a session of its own, and starts a process too.
PROGRAM = """
import subprocess, sys, time
from tests.orphans import guard
guard()
inner = "import subprocess, sys; subprocess.run(['sleep', '600'])"
process = subprocess.Popen([sys.executable, "-c", inner], start_new_session=True)
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_no_process_outlives_tests_that_are_killed():
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        started = psutil.Process(int(killed.stdout.readline()))
        end = time.monotonic() + 30
        while not (family := started.children()):
            assert time.monotonic() < end
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs([started, *family], timeout=30)[1]
