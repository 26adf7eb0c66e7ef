"""What the fixtures of this folder share: Debian packages, free ports, and servers that are ended for sure."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import psutil
import pytest

LOOPBACK = "127.0.0.1"
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def unavailable(reason: str) -> NoReturn:
    """Skips; or fails where PRENDA_CLUSTER=1 says that these checks must run, as `.ci/run` does.

    They need Slurm, PostgreSQL and Ray, and root to install them from Debian: a contributor's laptop may have neither.
    """
    if os.environ.get("PRENDA_CLUSTER") == "1":
        pytest.fail(reason)
    pytest.skip(f"{reason} (PRENDA_CLUSTER=1 makes this a failure)")


def needs(*modules: str) -> None:
    """Skips or fails without these Python packages, which only these tests import."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        unavailable(f"Python packages are not installed: {', '.join(missing)}")


def find(binary: str) -> str | None:
    """Where a binary of a server is: those of Debian are often not in PATH."""
    postgres = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(binary, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *postgres]))


def install(packages: Sequence[str], binaries: Sequence[str]) -> None:
    """Brings the Debian packages in which the binaries are, unless all of them are there; starts no service."""
    missing = [binary for binary in binaries if find(binary) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        unavailable(f"{', '.join(missing)} not found: install {' '.join(packages)} (only root can, with apt-get)")
    with _no_services():
        _update()
        _apt_get("install", "-qq", "-y", "--no-install-recommends", *packages)


@cache
def _update() -> None:
    _apt_get("update", "-qq")


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=120", *arguments]
    try:
        output_of(command, {"DEBIAN_FRONTEND": "noninteractive"}, seconds=600)
    except RuntimeError as error:
        unavailable(str(error))


@contextmanager
def _no_services() -> Iterator[None]:
    """Packages of servers start them; a policy of the host's own stays as it is."""
    if NO_SERVICES.exists():
        yield
        return
    NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
    NO_SERVICES.chmod(0o755)
    try:
        yield
    finally:
        NO_SERVICES.unlink()


def output_of(
    command: Sequence[str], environment: Mapping[str, str] = MappingProxyType({}), seconds: float = 60, **options: Any
) -> str:
    """Runs a command; returns what it printed.

    Raises:
        RuntimeError: If it fails, with the end of what it printed.
    """
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds, **options
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} gave {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def free_ports(count: int, address: str = LOOPBACK) -> list[int]:
    """Ports that nothing listens on, all different."""
    sockets = [socket.create_server((address, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def short_folder(name: str) -> Iterator[Path]:
    """A temporary folder of few characters: a path of a socket has at most 107."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        yield Path(folder)


class Server:
    """A server in a session of its own, whose output goes to a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        self.log = log
        self.name = Path(command[0]).name
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
                **options,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Returns when the server is ready.

        Raises:
            RuntimeError: If it ends or is not ready in time, with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self._ended():
                raise RuntimeError(f"{self.name} ended instead of serving:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} was not ready in {seconds} s:\n{self._tail()}")
            time.sleep(0.1)

    def stop(self, how: int = signal.SIGTERM, seconds: float = 20) -> None:
        """Asks the server to end, then kills what is left of its process group."""
        if not self._ended():
            self.process.send_signal(how)
        deadline = time.monotonic() + seconds
        while not self._ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """Kills the process group without warning."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def _ended(self) -> bool:
        """Asks without reaping: until then nobody else can get the number of the process group."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self.process.returncode is not None or os.waitid(os.P_PID, self.process.pid, options) is not None

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def answers(address: str, port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((address, port)) == 0


def processes_with(*names: str, **environment: str) -> list[psutil.Process]:
    """The processes that were started with all of these environment variables, of any value or of the given one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            variables = process.environ()
            if environment.items() <= variables.items() and variables.keys() >= set(names):
                found.append(process)
    return found


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """Kills without warning, and waits until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
