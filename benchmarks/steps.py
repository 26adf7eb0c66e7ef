"""What a step of training costs through `prenda train`, beside the same step in a bare PyTorch loop.

    python benchmarks/steps.py                            dense, then the convolutional network; the table
    python benchmarks/steps.py --most dense=1.4 cnn=1.2   fails where a ratio is larger; what `.ci/run` calls

Both run in turn in one process, an epoch each, on the same images with the same threads, so that whatever else the
machine does slows both. The ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from torch.nn.functional import cross_entropy

from prenda import launch  # noqa: F401  # makes the configuration's schema known
from prenda.config import CONFIG_DIR, build
from prenda.data.datamodule import ImageDataModule
from prenda.train import train

NETWORKS = {  # overrides; images an epoch, epochs
    "dense": (["backbone=dense"], 12_800, 20),
    "cnn": (["backbone=cnn"], 9_600, 8),
}
SAME = ["augment=none", "optimizer=adam", "scheduler=constant", "trainer=cpu", "report=none"]


class Bare(Callback):
    """Times the steps of each epoch, and after it as many of a bare loop on a copy of the network.

    Attributes:
        ours: Milliseconds a step of each epoch but the first, from its start to the end of its last step.
        bare: The same of the bare loop.
    """

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.ours: list[float] = []
        self.bare: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data: Any = trainer.datamodule
        assert isinstance(data, ImageDataModule)
        part = data.split("train")
        self.images, self.labels = data.normalized(part.images), part.labels
        self.network = copy.deepcopy(pl_module.backbone).train()
        self.optimizer = build(self.config, "optimizer")(self.network.parameters())
        self.scheduler = build(self.config, "scheduler")(self.optimizer, 10_000)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if arguments[-1] + 1 == trainer.num_training_batches:
            self.ours.append((time.perf_counter() - self.started) / (arguments[-1] + 1) * 1e3)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        started = time.perf_counter()
        batches = torch.split(torch.randperm(len(self.labels)), self.config.data.batch_size)
        for index in batches:
            self.step(self.images.index_select(0, index), self.labels.index_select(0, index))
        self.bare.append((time.perf_counter() - started) / len(batches) * 1e3)

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        loss = cross_entropy(self.network(images), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()


def measure(network: str, overrides: list[str]) -> tuple[float, float]:
    """Median milliseconds of a step: through prenda, and bare."""
    own, images, epochs = NETWORKS[network]
    settings = [*own, *SAME, f"data.limit_train={images}", f"trainer.epochs={epochs}", "data.val_size=500", *overrides]
    with tempfile.TemporaryDirectory() as home, initialize_config_dir(str(CONFIG_DIR)):
        os.environ["PRENDA_HOME"] = home
        config = compose("train", overrides=settings)
        bare = Bare(config)
        train(config, Path(home) / "run", [bare])
    return statistics.median(bare.ours[1:]), statistics.median(bare.bare[1:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", nargs="*", default=[], metavar="NETWORK=RATIO", help="largest ratios allowed")
    parser.add_argument("overrides", nargs="*", help="of the configuration, after --")
    arguments = parser.parse_args()
    most = {name: float(ratio) for name, ratio in (each.split("=") for each in arguments.most)}
    slow = []
    for network in NETWORKS:
        ours, bare = measure(network, arguments.overrides)
        line = f"{network}: a step takes {ours:.2f} ms through prenda, {bare:.2f} ms bare: {ours / bare:.2f} times"
        print(line, flush=True)
        if ours / bare > most.get(network, float("inf")):
            slow.append(f"{line}, where {most[network]:.2f} is allowed")
    print("\n".join(slow), file=sys.stderr)
    return len(slow)


if __name__ == "__main__":
    sys.exit(main())
