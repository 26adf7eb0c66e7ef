"""What a training step costs through `prenda train`, beside the same step in a bare PyTorch loop.

    python benchmarks/steps.py                              prints the ratios, dense and convolutional
    python benchmarks/steps.py --most dense=1.5 cnn=1.2     and fails where one is larger: what `.ci/run` calls

An epoch of each in turn, in one process, on the same images and threads, so that whatever else the machine does slows
both. The figure is the median of the epochs' ratios. What is too slow is measured once more before it counts: two
seconds of a neighbour's work are no reason to fail.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir

from loops.bare import train_epoch
from loops.task import Task
from loops.watch import Watch
from prenda.config.convert import register, typed
from prenda.config.instantiate import build
from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import TrainConfig
from prenda.training.train import train

IMAGES = {"dense": 51_200, "cnn": 6_400}  # an epoch
DATA = Path(__file__).parents[1] / "data"


class Beside(Watch):
    """Times a bare epoch after each of Lightning's, on a copy of the network.

    Attributes:
        bare: Seconds of each bare epoch.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.bare: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule
        split = data.split("train")
        self.images, self.labels = data.normalized(split.images), split.labels
        self.network = copy.deepcopy(pl_module.backbone).train()
        self.optimizer = build(self.config.optimizer, "optimizer")(self.network.parameters())
        self.scheduler = build(self.config.scheduler, "scheduler")(self.optimizer, 10_000)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        started = self.clock()
        train_epoch(self.network, self.optimizer, self.scheduler, self.images, self.labels, self.config.data.batch_size)
        self.bare.append(self.clock() - started)

    def ratios(self) -> list[float]:
        """Of each epoch that counts."""
        return [ours / bare for ours, bare in zip(self.measured().steps, self.bare[1:], strict=True)]


def measure(task: Task) -> float:
    """Trains once, and prints and returns the ratio."""
    register()
    with tempfile.TemporaryDirectory() as home, initialize_config_dir(str(CONFIG_DIR)):
        os.environ["PRENDA_HOME"] = home
        config = typed(compose("train", task.overrides()))
        beside = Beside(config)
        train(config, Path(home) / "run", [beside])
    ratio = statistics.median(beside.ratios())
    steps = -(-task.images // task.batch_size)
    ours, bare = (statistics.median(taken) / steps * 1e3 for taken in (beside.measured().steps, beside.bare[1:]))
    print(f"{task.network}: {ours:.2f} ms a step through prenda, {bare:.2f} ms bare: {ratio:.2f} times", flush=True)
    return ratio


def too_slow(task: Task, most: float) -> bool:
    """Whether the ratio is larger than allowed, twice."""
    return measure(task) > most and measure(task) > most


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", nargs="*", default=[], metavar="NETWORK=RATIO", help="largest ratios allowed")
    parser.add_argument("--images", type=int, help="an epoch (default: enough for a few seconds)")
    parser.add_argument("--epochs", type=int, default=7, help="of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(default: all cores)")
    parser.add_argument("--data", default="fashion_mnist", help="data set (default: %(default)s)")
    given = parser.parse_args(arguments)
    most = {network: float("inf") for network in IMAGES} | {
        network: float(ratio) for network, ratio in (each.split("=") for each in given.most)
    }
    failed = False
    for network, images in IMAGES.items():
        task = Task(network, given.images or images, given.epochs, given.threads, str(DATA), given.data)
        if too_slow(task, most[network]):
            print(f"{network}: {most[network]:.2f} times is allowed (benchmarks/steps.py --most).", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
