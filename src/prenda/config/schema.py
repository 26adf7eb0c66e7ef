"""Typed schema of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from prenda.config.paths import home


class Normalize(Enum):
    """`standard`: zero mean and unit deviation over the training part; `unit`: pixels from 0 to 1."""

    standard = "standard"
    unit = "unit"


class TrackingKind(Enum):
    """`mlflow`: a store or a server; `offline`: files in the run's own folder, MLflow is not imported."""

    mlflow = "mlflow"
    offline = "offline"


class ReportLevel(Enum):
    """What a run writes beside its scores, tables and predictions.

    `full`: training images scored too, every picture, and `report.html`; `light`: confusion matrices; `none`: nothing.
    """

    full = "full"
    light = "light"
    none = "none"


@dataclass
class PathsConfig:
    """Folders, absolute, so that the one a command is started in does not matter."""

    home: str = "${prenda.home:}"
    data: str = "${paths.home}/data"
    outputs: str = "${paths.home}/outputs"
    mlruns: str = "${paths.home}/mlruns"


@dataclass
class DataConfig:
    """Where images come from, their shape, and how they are split."""

    name: str = MISSING
    dir: str = "${paths.data}"
    image_size: int | None = None  # pixels a side; null keeps the data set's own
    channels: int = 1  # 1 grey, 3 the grey repeated as colour
    classes: list[str] | None = None  # names to keep, in this order; null keeps all
    val_size: int = 5000  # images cut from the official training images
    split_seed: int = 0
    limit_train: int | None = None  # training images left after the cut; null keeps all
    normalize: Normalize = Normalize.standard
    flip: float = 0.0  # how often `augment` mirrors these images; 0 where that makes another class of them
    batch_size: int = 128  # images a step, over all processes together
    eval_batch_size: int = 250


@dataclass
class AugmentConfig:
    """What happens to each image of a training batch."""

    flip: float = 0.0  # probability of a left-right mirror
    shift: int = 0  # largest move in pixels, each direction
    erase: float = 0.0  # probability that a rectangle is blanked
    erase_area: float = 0.15  # largest part of the picture that a rectangle takes


@dataclass
class TrainerConfig:
    """Device, precision and length of training: what becomes Lightning's Trainer."""

    accelerator: str = "auto"  # auto, cpu, gpu or mps
    devices: int = 1  # processes on this machine; -1 is every GPU
    precision: str = "32"  # 32, bf16-mixed or 16-mixed
    epochs: int = 12
    compile: bool = False
    channels_last: bool = True
    sync_batchnorm: bool = False
    deterministic: bool = False  # on a GPU; a CPU run repeats to the bit anyway
    gradient_clip: float | None = None  # largest norm of all gradients together
    threads: int | None = None  # of a process; null divides the cores
    profile: int = 0  # last training steps of the first epoch to record as a trace; 0 records none


@dataclass
class TrackingConfig:
    """Where runs are recorded."""

    kind: TrackingKind = TrackingKind.mlflow
    uri: str | None = None
    artifacts: str | None = None  # null: where the server says
    experiment: str = "prenda"
    run_name: str | None = None  # null: backbone, data, the overrides that matter, seed
    command: str = "prenda train"  # what was typed; filled in when a run starts
    system_metrics: bool = True
    parent: str | None = None  # MLflow run of the sweep that this one belongs to; filled in by it


@dataclass
class ReportConfig:
    """What a run shows of itself at its end, and while it trains."""

    level: ReportLevel = ReportLevel.full
    every_n_epochs: int = 0  # between two confusion matrices of validation while training; 0 makes none


@dataclass
class SearchConfig:
    """What a sweep (`prenda train -m`) tries, for how long, and where it keeps count.

    Expressions are Hydra's: `choice(a, b)`, `range(1, 4)`, `interval(0, 1)`, `tag(log, interval(1e-4, 1e-1))`.
    """

    name: str | None = None  # of its folder in outputs/sweeps; null: from the command
    space: dict[str, Any] = field(default_factory=dict)  # expressions by setting
    when: dict[str, dict[str, Any]] = field(default_factory=dict)  # more of them, under conditions like `backbone=cnn`
    variables: dict[str, Any] = field(default_factory=dict)  # names that expressions may choose and settings refer to
    objectives: list[str] = field(default_factory=lambda: ["val/accuracy"])  # figures of a run; several give a front
    n_trials: int | None = None  # in all, however often it is interrupted; null: every combination of a grid
    hours: float | None = None  # of running, likewise in all; no trial starts after them
    max_failures: int | None = 5  # failed trials after which no more are started; null: never
    retry_failed: bool = False  # start failed trials once more
    retries: int = 0  # how often a trial whose process was lost goes on by itself before it counts as failed
    storage: str | None = None  # database of the count; null: a file in the sweep's folder
    sampler: dict[str, Any] | None = None  # of Optuna; null: every combination
    pruner: dict[str, Any] | None = None  # of Optuna; null: every trial trains to its end


@dataclass
class TrainConfig:
    """One run, whole. `backbone`, `optimizer` and `scheduler` are checked by what they build."""

    paths: PathsConfig = field(default_factory=PathsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    backbone: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    workers: int = 1  # trials of a sweep that run at a time
    choices: dict[str, str] = field(default_factory=dict)  # the file of each group of conf/; filled in likewise
    seed: int = 0
    label_smoothing: float = 0.0
    ema: float | None = None  # decay of the weights' moving average; null trains without one
    mirrored_scoring: bool = False  # score the mean of a picture's logits and of its mirror image's
    shifted_scoring: int = 0  # and of the picture moved by so many pixels, down to the right and up to the left


def register() -> None:
    """Makes the schema and the `prenda.home` resolver known to Hydra; safe to call again."""
    OmegaConf.register_resolver("prenda.home", lambda: str(home()), replace=True)
    # For a search that chooses how many layers there are, and how wide.
    OmegaConf.register_resolver("prenda.repeat", lambda width, depth: [width] * depth, replace=True)
    OmegaConf.register_resolver(
        "prenda.double", lambda width, depth: [width * 2**stage for stage in range(depth)], replace=True
    )
    ConfigStore.instance().store(name="train_schema", node=TrainConfig, replace=True)
