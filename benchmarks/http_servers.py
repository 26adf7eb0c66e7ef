"""HTTP servers as child processes: their start, memory, processor time and end."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_server

import psutil

from http_load import LoadError

LONGEST_START = 120.0  # seconds
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Command:
    """Command of a server; `{port}` in its words is a free port. `path` is where it answers a body."""

    words: Sequence[str]
    path: str
    environment: Mapping[str, str]


@dataclass
class Server:
    """A running server and all processes below it."""

    address: str
    process: psutil.Process
    seconds_to_up: float

    def memory(self) -> float:
        """Return the memory of all its processes in MiB; what they share counts once (PSS)."""
        return sum(each.memory_full_info().pss for each in tree(self.process)) / 2**20

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes."""
        return sum(sum(each.cpu_times()[:2]) for each in tree(self.process))


def tree(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


@contextmanager
def running(command: Command, body: bytes, content_type: str, log: Path) -> Iterator[Server]:
    """Start a server, wait for its first answer, and end it with all of its processes.

    Raises:
        LoadError: If it does not answer.
    """
    port = _free_port()
    words = [word.replace("{port}", str(port)) for word in command.words]
    environment = os.environ | dict(command.environment)
    started = time.perf_counter()
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then ends the server.
        process = psutil.Popen(words, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        _await_answer(process, port, command.path, body, content_type, log)
        yield Server(f"http://{LOOPBACK}:{port}{command.path}", process, time.perf_counter() - started)
    finally:
        end(process)


def end(process: psutil.Popen, patience: float = 15.0) -> None:
    """Ask a server to end, then kill what remains of its processes; some servers leave their workers behind."""
    processes = tree(process)
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    with suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
        process.wait(patience)
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(processes, patience)


def _await_answer(process: psutil.Popen, port: int, path: str, body: bytes, content_type: str, log: Path) -> None:
    until = time.monotonic() + LONGEST_START
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if _status(port, path, body, content_type) == 200:
                return
        time.sleep(0.02)
    raise LoadError(f"the server did not answer:\n{log.read_text('utf-8', 'replace')[-4000:]}")


def _status(port: int, path: str, body: bytes, content_type: str) -> int:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
    try:
        connection.request("POST", path, body, {"Content-Type": content_type})
        return connection.getresponse().status
    finally:
        connection.close()


def _free_port() -> int:
    with create_server((LOOPBACK, 0)) as listening:
        return int(listening.getsockname()[1])
