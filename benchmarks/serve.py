"""`prenda serve` beside `mlflow models serve` and LitServe: the same network, machine and call, with wrk as client.

    python benchmarks/serve.py                                   the default network on small JPEGs
    python benchmarks/serve.py --bundle FOLDER --photos FOLDER   also a photo model; without --photos on generated ones

    prenda, 1 and 2   `prenda serve` with one and two workers; photos in, answers out. It runs in .venv-serve if
                      `make serve-env` has set it up
    mlflow            `mlflow models serve` with one worker; ready arrays as JSON in, since it takes no photos
    litserve          LitServe with two workers, and prenda's own photo preparation and network behind it; left out
                      unless `make bench-peers` has set it up

For each server: seconds from its start to its first answer; answers a second with --connections connections; latency
with one connection; latency at half of the load that it can bear; and memory after all that, as PSS of all its
processes. wrk runs on the same cores, so the rate is that of server and client together. The processor time of the
server for an answer leaves the client out, and other load hardly changes it: compare that figure.

The ideal is cores / (decoding and preparing + network), both measured in this process, in one thread. `share` is the
rate, of the ideal; `share of work` is the processor time of the ideal, of the server's for an answer. The table is
printed, and written to benchmarks/results/ with --write. Servers end with this program, also on Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

import predict
from http_load import Bodies, LoadError, load, load_at
from http_servers import Command, running
from machine import cores, machine
from prenda.bundle.format import Bundle, read
from prenda.photos.find import find
from prenda.photos.prepare import load as prepared
from prenda.prediction.predictor import Predictor
from prenda.system.signals import Stopped, stop_on_signal
from prenda.tracking.model_files import describe
from written import table, told, write

HERE = Path(__file__).parent
SMALL, LARGE = (75, 100), (900, 1200)  # pixels of generated photos
GENERATED = 50
DEFAULT_RUN = ("data=generated", "data.limit_train=200", "trainer=cpu", "trainer.epochs=1", "tracking=offline")
BOUNDARY = "photo"
HEADERS = (
    "server",
    "up, s",
    "MiB",
    "answers/s",
    "processor ms an answer",
    "p50, ms",
    "p99, ms",
    "p99 at half load, ms",
    "share",
    "share of work",
)


@dataclass(frozen=True)
class Network:
    """A network and the photos that it is asked about."""

    name: str
    bundle: Bundle
    photos: Sequence[Path]


@dataclass(frozen=True)
class Ideal:
    """Processor time of the parts that no server can do without, in ms a photo."""

    preparing: float
    network: float

    @property
    def sum(self) -> float:
        return self.preparing + self.network

    @property
    def rate(self) -> float:
        """Answers a second on all cores."""
        return 1000 * cores() / self.sum


@dataclass(frozen=True)
class Figures:
    """What was measured of one server; times in ms, but `up` in seconds."""

    server: str
    up: float
    memory: float
    rate: float
    processor: float
    p50: float
    p99: float
    half_rate: float
    half_p99: float


def ideal(network: Network, rounds: int = 3) -> Ideal:
    """Measure both parts in one thread; medians of the rounds, after one that warms up."""
    preparation, predictor = network.bundle.preparation, Predictor(network.bundle)
    assert preparation is not None
    contents = [photo.read_bytes() for photo in network.photos]
    pixels = [prepared(content, preparation).pixels[None] for content in contents]

    def taken(function: object, inputs: Sequence[object]) -> float:
        before = time.process_time()
        for each in inputs:
            function(each)  # type: ignore[operator]
        return 1000 * (time.process_time() - before) / len(inputs)

    found = [
        (taken(lambda content: prepared(content, preparation), contents), taken(predictor, pixels))
        for _ in range(rounds + 1)
    ]
    return Ideal(*(statistics.median(values) for values in zip(*found[1:], strict=True)))


def servers(network: Network, scratch: Path) -> dict[str, tuple[Command, Bodies]]:
    """Return the command and the requests of each server that is installed."""
    folder = network.bundle.folder
    settings = {"PRENDA_HOME": str(scratch / "home"), "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow calls uvicorn
    photos = Bodies("image/jpeg", network.photos)
    own = HERE.parent / ".venv-serve/bin/python"
    serve = [
        str(own) if own.exists() else sys.executable,
        "-m",
        "prenda",
        "serve",
        "--model",
        str(folder),
        "--port",
        "{port}",
        "--workers",
    ]
    found = {
        f"prenda, {workers}": (Command([*serve, str(workers)], "/predict", settings), photos) for workers in (1, 2)
    }
    words = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    words += ["--model-uri", str(mlflow_model(folder, scratch)), "--host", "127.0.0.1", "--port", "{port}"]
    found["mlflow"] = Command(words, "/invocations", settings), arrays(network, scratch)
    if python := litserve_python():
        words = [python, str(HERE / "litserve_server.py"), str(folder), "{port}"]
        source = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
        command = Command(words, "/predict", settings | {"PYTHONPATH": source})
        found["litserve"] = command, forms(network.photos, scratch)
    return found


def litserve_python() -> str | None:
    """Return a Python that has LitServe, and say so if there is none."""
    for python in (sys.executable, str(HERE.parent / ".venv-peers/bin/python")):
        if (
            Path(python).exists()
            and not subprocess.run([python, "-c", "import litserve"], capture_output=True).returncode
        ):
            return python
    print("litserve is left out: `make bench-peers` sets it up", flush=True)
    return None


def mlflow_model(folder: Path, scratch: Path) -> Path:
    """Return the bundle as MLflow's registry holds it."""
    model = Path(shutil.copytree(folder, scratch / "mlflow"))
    describe(model, "0" * 32, "m-" + "0" * 32)
    return model


def arrays(network: Network, scratch: Path) -> Bodies:
    """Write the prepared pixels of the photos as MLflow takes them."""
    assert network.bundle.preparation is not None
    files = []
    for place, photo in enumerate(network.photos):
        pixels = prepared(photo.read_bytes(), network.bundle.preparation).pixels
        files.append(scratch / f"{place}.json")
        files[-1].write_text(json.dumps({"inputs": pixels[None].tolist()}), encoding="utf-8")
    return Bodies("application/json", files)


def forms(photos: Sequence[Path], scratch: Path) -> Bodies:
    """Write the photos as forms, which LitServe takes."""
    files = []
    for place, photo in enumerate(photos):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="request"; filename="photo.jpg"\r\n\r\n'
        files.append(scratch / f"{place}.form")
        files[-1].write_bytes(head.encode() + photo.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode())
    return Bodies(f"multipart/form-data; boundary={BOUNDARY}", files)


def measure(name: str, command: Command, bodies: Bodies, connections: int, seconds: float, scratch: Path) -> Figures:
    """Start a server, load it in three ways, and end it."""
    first = bodies.files[0].read_bytes()
    with running(command, first, bodies.content_type, scratch / "server.log") as server:
        load(server.address, bodies, connections, min(seconds, 2))  # warms up
        alone = load(server.address, bodies, 1, seconds)
        before = server.processor_seconds()
        full = load(server.address, bodies, connections, seconds)
        processor = 1000 * (server.processor_seconds() - before) / full.answers
        half = load_at(server.address, bodies, full.rate / 2, 2 * connections, seconds, alone.p50)
        return Figures(
            name, server.seconds_to_up, server.memory(), full.rate, processor, alone.p50, alone.p99, half.rate, half.p99
        )


def row(found: Figures, of: Ideal) -> list[str]:
    ready = found.server == "mlflow"  # decodes nothing: its shares would be of other work
    half = f"{found.half_p99:.1f} ({found.half_p99 / found.p99:.1f} x, at {found.half_rate:.0f}/s)"
    shares = ["", ""] if ready else [f"{found.rate / of.rate:.0%}", f"{of.sum / found.processor:.0%}"]
    figures = [f"{found.up:.1f}", f"{found.memory:.0f}", f"{found.rate:.0f}", f"{found.processor:.2f}"]
    return [found.server, *figures, f"{found.p50:.1f}", f"{found.p99:.1f}", half, *shares]


def text(network: Network, of: Ideal, found: Sequence[Figures], connections: int) -> str:
    """Return a heading, the table and the ideal."""
    size = network.bundle.image_shape[1]
    return "\n\n".join(
        [
            f"## {network.name}, {size}x{size}",
            table(HEADERS, [row(each, of) for each in found]),
            f"{len(network.photos)} photos; rates with {connections} connections, the first p50 and p99 with one. "
            f"Decoding and preparing take {of.preparing:.2f} ms of a core for a photo, the network {of.network:.2f}: "
            f"{of.rate:.0f} answers a second are the most on {cores()} cores.",
        ]
    )


def default_bundle(scratch: Path) -> Path:
    """Train the default network for a moment: its speed does not depend on what it has learned."""
    settings = [*DEFAULT_RUN, "report=light", f"hydra.run.dir={scratch}/run"]
    environment = os.environ | {"PRENDA_HOME": str(scratch / "home")}
    ended = subprocess.run(
        [sys.executable, "-m", "prenda", "train", *settings], env=environment, capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return scratch / "run/bundle"


def networks(asked: argparse.Namespace, scratch: Path) -> list[Network]:
    """Return the default network unless it is left out, and the one of --bundle."""
    found = []
    if not asked.only_bundle:
        small = [found.path for found in predict.generate(scratch / "small", GENERATED, SMALL)]
        bundle = read(asked.default or default_bundle(scratch))
        found.append(Network("Default network, small JPEGs", bundle, small))
    if asked.bundle:
        photos = find([str(asked.photos)]) if asked.photos else predict.generate(scratch / "large", GENERATED, LARGE)
        found.append(Network("Photo model", read(asked.bundle), [each.path for each in photos][:GENERATED]))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="bundle of a photo model, measured too")
    parser.add_argument("--photos", type=Path, help="folder of photos for it (default: generated)")
    parser.add_argument("--default", type=Path, help="bundle of the default network (default: trained for a moment)")
    parser.add_argument("--only-bundle", action="store_true", help="leave the default network out")
    parser.add_argument("--only", nargs="+", metavar="SERVER", help="words that the servers' names begin with")
    parser.add_argument("--connections", type=int, default=4, help="at full load (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of each load (default: %(default)s)")
    parser.add_argument("--note", help="added to the written table, such as what else ran")
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/results/ too")
    asked = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed: `apt-get install wrk`")
    try:
        with stop_on_signal(), tempfile.TemporaryDirectory() as scratch:
            return _run(asked, Path(scratch))
    except Stopped as stop:
        return 128 + stop.signum


def _run(asked: argparse.Namespace, scratch: Path) -> int:
    described = machine("onnxruntime", "pillow", "fastapi", "uvicorn", "mlflow")
    note = f" {asked.note}" if asked.note else ""
    pages = [f"# prenda serve beside other servers\n\n{date.today()}.{note} {told(described)}"]
    content: dict[str, Any] = {"machine": described, "load_before": psutil.getloadavg()[0]}
    for number, network in enumerate(networks(asked, scratch)):
        (folder := scratch / str(number)).mkdir()
        of, found = ideal(network), measured(network, asked, folder)
        pages.append(text(network, of, found, asked.connections))
        content[network.name] = {"ideal": asdict(of), "servers": [asdict(each) for each in found]}
        print(f"\n{pages[-1]}\n", flush=True)
        if asked.write:
            write("serve", content, "\n\n".join(pages))
    return 0


def measured(network: Network, asked: argparse.Namespace, scratch: Path) -> list[Figures]:
    """Measure the servers in turn; one that does not start or whose requests fail is left out, with the reason."""
    found = []
    for name, (command, bodies) in servers(network, scratch).items():
        if asked.only is None or name.startswith(tuple(asked.only)):
            try:
                found.append(measure(name, command, bodies, asked.connections, asked.seconds, scratch))
                print(f"{name}: {found[-1].rate:.0f} answers a second", flush=True)
            except LoadError as error:
                print(f"{name} is left out: {error}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
