"""What each override of a private part of Lightning saves of a training step, measured alone.

    python benchmarks/overrides.py                  prints a table and writes it to benchmarks/results/overrides.md
    python benchmarks/overrides.py --only NVML --networks dense --rounds 500
                                                    one override more precisely; prints only

Two networks train, each on one thread: `dense` (784-512-10), and `tiny` (784-8-10), whose step is nearly all Python and
therefore shows small differences better. For 25 steps one override changes: it is taken away if prenda has it, or put
in if it was dropped. For 25 steps before or after, nothing changes. The difference of the two is one sample. CPU time
is that of the training thread; on a busy machine it says more than wall time. The first row changes nothing and shows
the noise.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from pytorch_lightning.callbacks import Callback

from loops.task import Task
from machine import machine
from prenda.config.convert import register, typed
from prenda.config.paths import CONFIG_DIR
from prenda.training.lightning_overrides import NVML_CHECK, IdleProfiler, LightningModule, ModelCheckpoint
from prenda.training.train import train
from written import RESULTS, table, told, write

BLOCK, SETTLE = 25, 4  # steps with the same setting, and those of them that are not timed
DATA = Path(__file__).parents[1] / "data"
NETWORKS = {"dense": ("[512]", 1), "tiny": ("[8]", 3)}  # units, and how many times as many rounds
WORTH = 20  # µs a step
CLOCKS = ("cpu", "wall")


@contextmanager
def without(owner: type, attribute: str) -> Iterator[None]:
    """Takes an attribute away from a class, which then has the one that it inherits."""
    kept = vars(owner)[attribute]
    delattr(owner, attribute)
    try:
        yield
    finally:
        setattr(owner, attribute, kept)


@contextmanager
def with_empty(owner: type, attribute: str) -> Iterator[None]:
    """Gives a class a method that does nothing, in place of the one that it inherits."""
    setattr(owner, attribute, lambda *_: None)
    try:
        yield
    finally:
        delattr(owner, attribute)


@contextmanager
def with_variable(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


# By name: what changes it for a while. A dropped one is put in, so that its gain is measured with the sign turned.
KEPT: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "IdleProfiler.profile": lambda: without(IdleProfiler, "profile"),
    "ModelCheckpoint.state_key": lambda: without(ModelCheckpoint, "state_key"),
    "LightningModule.__setattr__": lambda: without(LightningModule, "__setattr__"),
    "disable_nvml_check": lambda: with_variable(NVML_CHECK, "1"),
}
DROPPED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "ModelCheckpoint.on_train_batch_end, empty": lambda: with_empty(ModelCheckpoint, "on_train_batch_end"),
}
NOTHING = "nothing (noise)"
CHANGES = {NOTHING: nullcontext, **KEPT, **DROPPED}


@dataclass(frozen=True)
class Block:
    """Some steps: which override was changed, and µs of each step."""

    name: str
    changed: bool
    cpu: float
    wall: float


class Switch(Callback):
    """Changes one override for every other block of steps, in random order, and times the blocks."""

    def __init__(self, names: Sequence[str], rounds: int) -> None:
        order = random.Random(0)  # noqa: S311
        self._plan = [
            (name, changed)
            for _ in range(rounds)
            for name in order.sample(names, len(names))
            for changed in order.sample([False, True], 2)
        ]
        self._blocks: list[Block] = []
        self._change = ExitStack()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if len(self._blocks) == len(self._plan) or batch_idx // BLOCK >= int(trainer.num_training_batches) // BLOCK:
            return
        name, changed = self._plan[len(self._blocks)]
        place = batch_idx % BLOCK
        if place == 0 and changed:
            self._change.enter_context(CHANGES[name]())
        elif place == SETTLE:
            self._started = time.thread_time(), time.perf_counter()
        elif place == BLOCK - 1:
            ended = time.thread_time(), time.perf_counter()
            cpu, wall = (
                (end - start) / (place - SETTLE) * 1e6 for start, end in zip(self._started, ended, strict=True)
            )
            self._blocks.append(Block(name, changed, cpu, wall))
            self._change.close()

    def on_exception(self, *_: Any) -> None:
        self._change.close()

    def steps(self, clock: str) -> list[float]:
        """µs of a step as prenda is."""
        return [getattr(block, clock) for block in self._blocks if not block.changed]

    def gains(self, name: str, clock: str) -> list[float]:
        """µs that an override saves a step, of each pair of blocks."""
        ours, others = (
            [getattr(block, clock) for block in self._blocks if block.name == name and block.changed is changed]
            for changed in (False, True)
        )
        sign = -1 if name in DROPPED else 1
        return [sign * (other - our) for our, other in zip(ours, others, strict=True)]


def measure(network: str, names: Sequence[str], rounds: int, images: int, data: str) -> Switch:
    """Trains one network for so many rounds of pairs."""
    units, times = NETWORKS[network]
    rounds *= times
    blocks = -(-images // 128) // BLOCK
    task = Task("dense", images, -(-rounds * len(names) * 2 // blocks), 1, str(DATA), data)
    switch = Switch(names, rounds)
    register()
    with tempfile.TemporaryDirectory() as home, initialize_config_dir(str(CONFIG_DIR)):
        os.environ["PRENDA_HOME"] = home
        config = typed(compose("train", [*task.overrides(), f"backbone.units={units}", "tracking=offline"]))
        gc.freeze()  # as `prenda train` does, so that the collector leaves the imported libraries alone
        try:
            train(config, Path(home) / "run", [switch])
        finally:
            gc.unfreeze()
    return switch


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, its standard error (as of normal samples, from the quartiles), and the quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    error = 1.2533 * (high - low) / 1.349 / len(values) ** 0.5
    return {"median": median, "error": error, "low": low, "high": high}


def report(measured: dict[str, Switch], names: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The content of overrides.json and of overrides.md."""
    content: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine("torch", "pytorch-lightning")}
    for network, switch in measured.items():
        content[network] = {
            "pairs": len(switch.gains(NOTHING, "cpu")),
            "step": {clock: statistics.median(switch.steps(clock)) for clock in CLOCKS},
            "gains": {name: {clock: summary(switch.gains(name, clock)) for clock in CLOCKS} for name in names},
        }
    rows = [
        [name, "kept" if name in KEPT else "dropped" if name in DROPPED else "", network]
        + [cell for clock in CLOCKS for cell in _cells(content[network]["gains"][name][clock])]
        for name in names
        for network in measured
    ]
    headers = ["override", "", "network", "CPU, µs a step", "quartiles", "wall, µs a step", "quartiles"]
    steps = "; ".join(
        f"{network} {content[network]['step']['cpu']:.0f} µs CPU, {content[network]['step']['wall']:.0f} wall, "
        f"{content[network]['pairs']} pairs"
        for network in measured
    )
    text = (
        f"What each override saves of a training step (`python benchmarks/overrides.py`, {content['date']}): the "
        f"median of paired differences ± its standard error, and their quartiles. An override that saves less than "
        f"{WORTH} µs is dropped.\n\n{table(headers, rows, left=3)}\n\n"
        f"A step as prenda is: {steps}. {told(content['machine'])}"
    )
    return content, text


def _cells(gain: dict[str, float]) -> list[str]:
    return [f"{gain['median']:.0f} ± {gain['error']:.0f}", f"{gain['low']:.0f} to {gain['high']:.0f}"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds",
        type=int,
        default=150,
        help="pairs of each override, for tiny three times as many (default: %(default)s)",
    )
    parser.add_argument("--images", type=int, default=51_200, help="an epoch (default: %(default)s)")
    parser.add_argument("--data", default="fashion_mnist", help="data set (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the tables")
    parser.add_argument("--only", help="overrides with this in their name; prints without writing")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args(arguments)
    wanted = (given.only or "").lower()
    names = [name for name in CHANGES if name == NOTHING or wanted in name.lower()]
    measured = {each: measure(each, names, given.rounds, given.images, given.data) for each in given.networks}
    content, text = report(measured, names)
    if given.only is None:
        write("overrides", content, text, given.output)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
