"""Time of an epoch, compared with a bare loop and with other libraries.

    python benchmarks/epochs.py                                every network and participant, three rounds
    python benchmarks/epochs.py --networks cnn --rounds 1      part of it
    python benchmarks/epochs.py one prenda dense --images 500  one sample, as a line of JSON

    bare      the lower limit: a loop over tensors in memory that only trains
    prenda    `prenda train` with its defaults: progress bar, MLflow on sqlite, validation, checkpoints
    template  plain Lightning, a picture at a time
    keras     Keras' own fit on arrays in memory (`make bench-peers` sets it up)

All train the same network on the same images with Adam in batches of 128, on the CPU, with as many threads, in the same
precision. A sample is a process that trains a warm-up epoch and some measured ones; the participants alternate.
The steps of an epoch are compared, without the work between epochs. The table is printed and written to
benchmarks/results/epochs.md, every sample to epochs.json (epochs-bf16-mixed, with --precision bf16-mixed). Run it on an
idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import comparison
from comparison import Sample
from loops.task import BACKBONES, PEERS, Measured, Task
from loops.terminal import run
from machine import cores, machine
from written import RESULTS, told, write

REPOSITORY = Path(__file__).parents[1]
MODULES = {"bare": "bare", "prenda": "command", "template": "template", "keras": "keras_peer"}
IMAGES = {"dense": 55000, "cnn": 12800, "residual": 3840}  # an epoch
TEMPLATE_IMAGES = {"dense": 11000}  # its seconds are scaled
EPOCHS = {"dense": 4, "cnn": 2, "residual": 2}  # that count


def one(participant: str, task: Task) -> Sample:
    """Measure a participant in this process."""
    return named(participant, task, import_module(f"loops.{MODULES[participant]}").measure(task))


def named(participant: str, task: Task, found: Measured) -> Sample:
    return {"participant": participant, "network": task.network, "images": task.images, **asdict(found)}


def sample(participant: str, task: Task, home: str) -> Sample:
    """Measure a participant in its own process and terminal."""
    output = Path(home) / "sample.json"
    options = asdict(task) | {"home": home, "output": output}
    del options["network"]
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    run([sys.executable, __file__, "one", participant, task.network, *words])
    taken: Sample = json.loads(output.read_text(encoding="utf-8"))
    return taken


def compare(asked: argparse.Namespace, participants: Sequence[str]) -> list[Sample]:
    """Return every sample, network by network, with alternating participants."""
    samples = []
    with tempfile.TemporaryDirectory() as home:
        for network in asked.networks:
            for turn in range(1, asked.rounds + 1):
                for participant in participants:
                    task = _task(asked, network, participant)
                    taken = sample(participant, task, home) | {"round": turn, "epoch_images": asked.images[network]}
                    samples.append(taken)
                    print(f"{network}, round {turn}: {participant} {comparison.seconds(taken):.3f} s", flush=True)
            comparison.check_parameters(samples)
    return samples


def _task(asked: argparse.Namespace, network: str, participant: str) -> Task:
    images = asked.images[network]
    if participant == "template":
        images = min(images, asked.template_images.get(network, images))
    return Task(
        network=network,
        images=images,
        epochs=asked.epochs[network],
        threads=asked.threads,
        data_dir=asked.data_dir,
        data=asked.data,
        batch_size=asked.batch_size,
        workers=asked.workers,
        precision=asked.precision,
    )


def report(samples: Sequence[Sample], asked: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the content of epochs.json and the text of epochs.md."""
    where = machine("torch", "pytorch-lightning") | {"threads": asked.threads}
    for measured in samples:
        where |= measured["versions"]
    lines = comparison.goals(samples)
    today = date.today().isoformat()
    content = {"date": today, "machine": where, "settings": _settings(asked), "goals": lines, "samples": list(samples)}
    text = "\n\n".join(
        [
            "# An epoch",
            f"{today}, `python benchmarks/epochs.py`, precision: {asked.precision}, rounds: {asked.rounds}, "
            "images an epoch: "
            + ", ".join(f"{network} {asked.images[network]:,}" for network in asked.networks)
            + f".\n{told(where)}",
            comparison.figures(samples),
            "\n".join(f"- {line}" for line in [*comparison.scaled(samples), *lines]),
        ]
    )
    return content, text


def _settings(asked: argparse.Namespace) -> dict[str, Any]:
    elsewhere = ("data_dir", "results")  # folders of this machine
    return {name: value for name, value in vars(asked).items() if name not in elsewhere}


def _present(participants: Sequence[str]) -> list[str]:
    if "keras" not in participants or PEERS.exists():
        return list(participants)
    print("keras is left out: `make bench-peers` sets it up", flush=True)
    return [participant for participant in participants if participant != "keras"]


def _by_network(words: Sequence[str]) -> dict[str, int]:
    pairs = (word.partition("=") for word in words)
    return {network: int(value) for network, _, value in pairs}


def _options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options of both a sample and the whole benchmark."""
    parser.add_argument("--threads", type=int, default=cores(), help="of each participant (default: all cores)")
    parser.add_argument("--workers", type=int, default=0, help="of the template's loader (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", choices=["32", "bf16-mixed"], default="32", help="(default: %(default)s)")
    parser.add_argument("--data", default="fashion_mnist", help="a file of conf/data")
    parser.add_argument("--data-dir", default=str(REPOSITORY / "data"))
    return parser


def _parse_one(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _options(argparse.ArgumentParser("epochs.py one"))
    parser.add_argument("participant", choices=MODULES)
    parser.add_argument("network", choices=BACKBONES)
    parser.add_argument("--images", type=int, required=True, help="an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="that count (default: %(default)s)")
    parser.add_argument("--home", help="where prenda keeps its runs (default: a folder that is removed)")
    parser.add_argument("--output", type=Path, help="file for the line of JSON (default: it is printed)")
    return parser.parse_args(arguments)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _options(parser)
    parser.add_argument("--networks", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--participants", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--rounds", type=int, default=3)
    for name, default in (("images", IMAGES), ("template-images", TEMPLATE_IMAGES), ("epochs", EPOCHS)):
        shown = " ".join(f"{network}={value}" for network, value in default.items())
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="NETWORK=N", help=f"(default: {shown})")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder (default: benchmarks/results)")
    asked = parser.parse_args(arguments)
    asked.images = IMAGES | _by_network(asked.images)
    asked.template_images = TEMPLATE_IMAGES | _by_network(asked.template_images)
    asked.epochs = EPOCHS | _by_network(asked.epochs)
    return asked


def main_one(arguments: Sequence[str]) -> None:
    asked = vars(_parse_one(arguments))
    participant, home, output = (asked.pop(name) for name in ("participant", "home", "output"))
    with tempfile.TemporaryDirectory() as own:
        os.environ["PRENDA_HOME"] = home or own
        line = json.dumps(one(participant, Task(**asked)))
    print(line) if output is None else output.write_text(line, encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    asked = _parse(arguments)
    content, text = report(compare(asked, _present(asked.participants)), asked)
    write("epochs" if asked.precision == "32" else f"epochs-{asked.precision}", content, text, asked.results)
    print(f"\n{text}")


if __name__ == "__main__":
    main_one(sys.argv[2:]) if sys.argv[1:2] == ["one"] else main(sys.argv[1:])
