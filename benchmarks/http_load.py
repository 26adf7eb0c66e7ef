"""Load of an HTTP server from wrk: at once, or at a given rate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".lua")
ERRORS = ("connect", "read", "write", "status", "timeout")


class LoadError(Exception):
    """A load in which requests failed."""


@dataclass(frozen=True)
class Bodies:
    """Bodies of requests, in files, and their type."""

    content_type: str
    files: Sequence[Path]


@dataclass(frozen=True)
class Load:
    """Result of a load; times in ms."""

    answers: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def load(address: str, bodies: Bodies, connections: int, seconds: float, pause: float = 0.0) -> Load:
    """Post bodies over some connections, each of which pauses for `pause` ms on average after an answer.

    Raises:
        LoadError: If wrk fails, or a request failed.
    """
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s", "-s", SCRIPT, address, "--"]
    command = [*map(str, wrk), bodies.content_type, f"{pause:.3f}", *map(str, bodies.files)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    if ended.returncode:
        raise LoadError(f"wrk failed: {ended.stdout}{ended.stderr}")
    found = json.loads(ended.stdout.strip().splitlines()[-1])
    failed = {kind: count for kind in ERRORS if (count := found.pop(kind))}
    if failed or not found["answers"]:
        raise LoadError(f"{found['answers']} answers with {connections} connections; failed requests: {failed}")
    return Load(**found)


def load_at(address: str, bodies: Bodies, rate: float, connections: int, seconds: float, answer: float) -> Load:
    """Post bodies at about `rate` a second; `answer` is the time in ms that an answer takes."""
    return load(address, bodies, connections, seconds, pause=max(1000 * connections / rate - answer, 0.0))
