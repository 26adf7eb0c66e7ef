"""What every participant trains, on which images, and what it tells of its epochs."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from prenda.config.schema import TrainConfig
    from prenda.data.datamodule import ImageDataModule

BACKBONES = {"dense": "dense", "cnn": "cnn", "residual": "resnet"}  # files of conf/backbone by network
PEERS = Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"  # what `make bench-peers` sets up
WARM_UP = 1  # epochs that are not counted


@dataclass(frozen=True)
class Task:
    """Adam at a constant rate of 1e-3, no augmentation."""

    network: str
    images: int  # an epoch
    epochs: int  # that count
    threads: int
    data_dir: str
    data: str = "fashion_mnist"
    batch_size: int = 128
    workers: int = 0  # of the template's loader
    precision: str = "32"  # or bf16-mixed, as Lightning names them

    def overrides(self) -> list[str]:
        """The task as `prenda train` takes it."""
        return [
            f"backbone={BACKBONES[self.network]}",
            "optimizer=adam",
            "optimizer.lr=1e-3",
            "scheduler=constant",
            "augment=none",
            "report=none",
            "trainer=cpu",
            f"trainer.threads={self.threads}",
            f"trainer.precision={self.precision}",
            f"trainer.epochs={WARM_UP + self.epochs}",
            f"data={self.data}",
            f"data.dir={self.data_dir}",
            f"data.limit_train={self.images}",
            f"data.batch_size={self.batch_size}",
        ]


@dataclass(frozen=True)
class Measured:
    """Of each epoch that counts, in seconds.

    Attributes:
        parameters: Trainable ones of the network.
        steps: From the epoch's start to the end of its last step.
        whole: From the epoch's start to the next one's: validation, checkpoints and records included.
        versions: Of what only the participant's own environment has.
    """

    parameters: int
    steps: list[float]
    whole: list[float]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def between(
        cls, parameters: int, starts: list[float], ends: list[float], versions: dict[str, str] | None = None
    ) -> Measured:
        """From the moments when epochs start, with that when training ends, and when their last steps end."""
        assert len(starts) == len(ends) + 1
        steps = [end - start for start, end in zip(starts[:-1], ends, strict=True)]
        whole = [later - start for start, later in pairwise(starts)]
        return cls(parameters, steps[WARM_UP:], whole[WARM_UP:], versions or {})


def prepared(task: Task) -> tuple[TrainConfig, ImageDataModule]:
    """The configuration and the images that `prenda train` would have; seeds and threads are set as it sets them."""
    return composed(task.overrides())


def composed(overrides: list[str]) -> tuple[TrainConfig, ImageDataModule]:
    """As `prepared`, from any overrides."""
    from hydra import compose, initialize_config_dir

    from prenda.config.convert import register, typed
    from prenda.config.paths import CONFIG_DIR
    from prenda.training.build import build_data, prepare_process

    register()
    with initialize_config_dir(str(CONFIG_DIR)):
        config = typed(compose("train", overrides))
    prepare_process(config, processes=1)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    return config, data


def trainable(network: nn.Module) -> int:
    """How many parameters training changes."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
