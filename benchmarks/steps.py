"""Time of a training step in `prenda train`, compared with the same step in a bare PyTorch loop.

    python benchmarks/steps.py                              prints the ratios, dense and convolutional
    python benchmarks/steps.py --most dense=1.5 cnn=1.2     fails if a ratio is larger: `.ci/run` calls this

Epochs of both alternate in one process, on the same images and threads, so that other load on the machine slows both.
The figure is the median of the epochs' ratios. A ratio that is too large is measured again before it counts, because a
short burst of other load is no reason to fail.
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
    """Callback that times a bare epoch after each Lightning epoch, on a copy of the network.

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
        """Return the ratio of each measured epoch."""
        return [ours / bare for ours, bare in zip(self.measured().steps, self.bare[1:], strict=True)]


def measure(task: Task) -> float:
    """Train once; print and return the ratio."""
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
    """Return whether the ratio is larger than allowed in two measurements."""
    return measure(task) > most and measure(task) > most


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", nargs="*", default=[], metavar="NETWORK=RATIO", help="largest ratios allowed")
    parser.add_argument("--images", type=int, help="an epoch (default: enough for a few seconds)")
    parser.add_argument("--epochs", type=int, default=7, help="of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="(default: all cores)")
    parser.add_argument("--data", default="fashion_mnist", help="data set (default: %(default)s)")
    asked = parser.parse_args(arguments)
    most = {network: float("inf") for network in IMAGES} | {
        network: float(ratio) for network, ratio in (pair.split("=") for pair in asked.most)
    }
    failed = False
    for network, images in IMAGES.items():
        task = Task(network, asked.images or images, asked.epochs, asked.threads, str(DATA), asked.data)
        if too_slow(task, most[network]):
            print(f"{network}: {most[network]:.2f} times is allowed (benchmarks/steps.py --most).", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
