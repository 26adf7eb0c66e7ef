"""Clients that send `prenda serve` changed pictures, and whatever its OpenAPI document allows and forbids.

Attack a server with pictures for ten minutes, and then by schemathesis for ten:

    python -m tests.reliability.hostile_clients --minutes 10
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from prenda.config.paths import REPOSITORY
from prenda.data.photo_layout import labelled_files
from prenda.photos.preparation import Preparation
from tests.prediction.bundles import write_bundle
from tests.server.process import Server, memory, serving
from tests.server.test_predict import kinds_of_photo

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
MEMORY = 300  # MiB of the server under attack
BETWEEN = 20  # changed pictures between two good ones
MOST_BYTES = 2**17  # of a changed picture; --max-body takes more than four of them
EXTREMES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f" + b"\xff" * 3,
    b"\0\0\0\x01",
    b"\x80\0\0\0",
)
GOOD = kinds_of_photo()["plain.jpg"]
HEAD = 400  # bytes in which most files have sizes, counts and offsets


def changed(generator: random.Random, content: bytes, other: bytes) -> bytes:
    """Return a file with one to eight faults; `other` is one that a part may come from."""
    data = bytearray(content)
    for _ in range(generator.randint(1, 8)):
        place = generator.randrange(min(HEAD, len(data) + 1) if generator.random() < 0.7 else len(data) + 1)
        end = place + generator.choice((1, 2, 4, generator.randrange(1, 200)))
        match generator.choice(("bit", "extreme", "insert", "delete", "repeat", "splice", "cut")):
            case "bit" if place < len(data):
                data[place] ^= 1 << generator.randrange(8)
            case "extreme":
                value = generator.choice(EXTREMES)
                data[place : place + len(value)] = value
            case "insert":
                data[place:place] = generator.randbytes(end - place)
            case "delete":
                del data[place:end]
            case "repeat":
                data[place:place] = data[place:end] * generator.choice((1, 2, 50))
            case "splice":
                data[place:end] = other[place:end]
            case "cut" if generator.random() < 0.2:
                del data[place:]
    return bytes(data[:MOST_BYTES])


def attack(client: httpx.Client, seed: int) -> int:
    """Send a request of changed pictures; return the status of its answer.

    Raises:
        AssertionError: If it is neither an answer nor a refusal.
    """
    generator = random.Random(f"pictures {seed}")
    kinds = sorted(kinds_of_photo().items())
    files = [
        (name, changed(generator, content, generator.choice(kinds)[1]))
        for name, content in generator.choices(kinds, k=generator.randint(1, 4))
    ]
    match generator.choice(("form", "form", "body", "correction")):
        case "form":
            picture = generator.choice(("true", "false"))
            answer = client.post(f"/predict?picture={picture}", files=[("photos", file) for file in files])
        case "body":
            answer = client.post("/predict", content=files[0][1], headers={"content-type": "image/jpeg"})
        case _:
            answer = client.post("/corrections", files={"photo": files[0]}, data={"type": "Bag"})
    assert answer.status_code in (200, 201, 400, 413, 422), f"seed {seed}: {answer.status_code}, {answer.text[:500]}"
    return answer.status_code


def pictures(server: Server, kept: Path, seeds: Iterator[int]) -> Counter[int]:
    """Attack with one request for each seed; return how often each status came.

    Raises:
        AssertionError: If a request got no answer, a good photo another answer than before, the server needed too much
            memory, or a kept photo is none.
    """
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        expected = _answers(client)
        for seed in seeds:
            statuses[attack(client, seed)] += 1
            if sum(statuses.values()) % BETWEEN == 0:
                assert _answers(client) == expected, f"another answer to a good photo after seed {seed}"
    assert server.process.poll() is None
    assert memory(server.process.pid) < MEMORY
    assert [file.problem for file in labelled_files(kept) if file.problem] == []
    return statuses


def schemathesis(server: Server, folder: Path, *options: str, seconds: float) -> str:
    """Let schemathesis ask the server; return what it printed.

    Raises:
        AssertionError: If it found a fault.
    """
    configuration = ["--config-file", str(REPOSITORY / "tests/server/schemathesis.toml")]
    done = subprocess.run(
        [str(SCHEMATHESIS), *configuration, "run", f"{server.url}/openapi.json", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_model(folder: Path) -> Path:
    """Write a bundle that makes a thumbnail of each photo, which runs most of the code for photos."""
    return write_bundle(folder, Preparation("thumbnail", 28, 1), image_shape=[1, 28, 28])


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack until the time is over; the first fault ends it."""
    parser = argparse.ArgumentParser("python -m tests.reliability.hostile_clients", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of each of both attacks (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first request (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not SCHEMATHESIS.is_file():
        parser.error("schemathesis is not installed: pip install --constraint requirements.lock schemathesis")
    with tempfile.TemporaryDirectory(prefix="prenda-clients-") as scratch:
        folder = Path(scratch)
        kept, options = folder / "kept", ("--timeout", "5", "--max-body", "1")
        model = write_model(folder / "model")
        with serving("--model", str(model), "--keep-corrections", str(kept), *options) as server:
            until = time.monotonic() + 60 * given.minutes
            statuses = pictures(server, kept, _seeds(given.seed, until))
            print(f"{statuses.total()} requests of changed pictures: {dict(sorted(statuses.items()))}", flush=True)
            until, rounds, cases = time.monotonic() + 60 * given.minutes, 0, 0
            for seed in _seeds(given.seed, until):
                printed = schemathesis(server, folder, "--max-examples", "100", "--seed", str(seed), seconds=1800)
                rounds, cases = rounds + 1, cases + sum(map(int, re.findall(r"(\d+) generated", printed)))
            print(f"{rounds} runs of schemathesis, {cases} requests; {memory(server.process.pid):.0f} MiB at most")
    return 0


def _seeds(first: int, until: float) -> Iterator[int]:
    while time.monotonic() < until:
        yield first
        first += 1


def _answers(client: httpx.Client) -> object:
    answer = client.post("/predict", files={"photos": ("a.jpg", GOOD)})
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"]


if __name__ == "__main__":
    raise SystemExit(main())
