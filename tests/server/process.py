"""A real `prenda serve` process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ADDRESS = re.compile(r"serves at http://[\d.]+:(\d+)")


class Server:
    """The process, its port, and the lines of its error output so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.errors: list[str] = []
        self.port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        deadline = time.monotonic() + 60
        while not self.port and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)
            if found := ADDRESS.search(line):
                self.port = int(found[1])

    def close(self) -> None:
        """Read the rest of the error output of a process that has ended."""
        self._reader.join(timeout=10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def serving(*arguments: str, log: Path | None = None, **environment: str) -> Iterator[Server]:
    """Start `prenda serve` on a free port; no process of it is left behind."""
    with (log or Path(os.devnull)).open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prenda", "serve", "--port", "0", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        server = Server(process)
        try:
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            server.close()


def memory(pid: int) -> float:
    """Return the largest memory of a process so far, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
