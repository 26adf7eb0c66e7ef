from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prenda.errors import UserError
from prenda.tracking.run_folder import LOCK, WRITER, writing

HOLD = "import sys, pathlib\nfrom prenda.tracking.run_folder import writing\n" + (
    "with writing(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_with_host_and_process(tmp_path):
    folder = tmp_path / "a run"
    with held(folder) as process, pytest.raises(UserError) as refused, writing(folder):
        pass
    assert str(refused.value) == (
        f"{folder} is in use: process {process.pid} on {socket.gethostname()} trains or scores this run. Wait until it "
        f"has ended, or stop it; then `prenda resume '{folder}'` resumes the run."
    )


def test_a_process_that_dies_releases_the_lock(tmp_path):
    with held(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with writing(tmp_path):
            assert f"process {os.getpid()} on" in (tmp_path / WRITER).read_text()


def test_the_process_that_writes_may_enter_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with writing(tmp_path), writing(Path()):
        assert (tmp_path / WRITER).is_file()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    with held(tmp_path):  # it is free again
        pass


def test_who_waits_says_for_whom_and_goes_on_after_it(tmp_path, capsys):
    with held(tmp_path) as process:
        threading.Timer(0.3, process.kill).start()
        with writing(tmp_path, wait=True):
            assert process.wait() == -signal.SIGKILL
    assert f"Waiting for process {process.pid} on {socket.gethostname()}, which writes to" in capsys.readouterr().out
