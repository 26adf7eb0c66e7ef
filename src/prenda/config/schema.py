"""Typed schema of the configuration: one frozen dataclass for each group; ranges of settings stand beside the fields.

Hydra composes onto `composition_schema()`; `prenda.config.convert.typed` turns the result into a `TrainConfig`, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from math import inf
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

# Version of the rules by which settings become a result: random draws, splits, schedules, steps of the optimiser.
# Raise it with every change after which the same settings train another network. Runs of version 1 recorded none.
RESULTS_VERSION = 2


@dataclass(frozen=True)
class Range:
    """Range of a number: from `low` to `high`; an open end is excluded."""

    low: float = -inf
    high: float = inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        above = self.low < value if self.open_low else self.low <= value
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        low = f"more than {self.low}" if self.open_low else f"at least {self.low}"
        high = f" and less than {self.high}" if self.open_high else f" and at most {self.high}"
        return low + (high if self.high != inf else "")


AT_LEAST_1 = Range(low=1)
NOT_NEGATIVE = Range(low=0)
POSITIVE = Range(low=0, open_low=True)
PROBABILITY = Range(low=0, high=1)
SHARE = Range(low=0, high=1, open_low=True, open_high=True)
SEED = Range(low=0, high=2**32 - 1)
PIXELS = Range(low=0, high=4096)
THREADS = Range(low=1, high=1024)
BUILT = ("backbone", "optimizer", "scheduler")  # groups of which a run builds one target each


def setting(
    default: Any,
    *,
    valid: Range | tuple[Any, ...] | None = None,
    decisive: bool = True,
    later: bool = False,
) -> Any:
    """Declare a setting.

    Args:
        default: Default value; a list or dictionary is copied for each configuration.
        valid: Range, or values to choose from. None checks the type alone.
        decisive: Whether it decides a run's result and so belongs to the fingerprint.
        later: Whether it was added after runs had been recorded. The fingerprint then includes it only if it differs
            from its default, so that the fingerprints of earlier runs and sweeps stay the same.
    """
    metadata = {"valid": valid, "decisive": decisive, "later": later}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def group(cls: type, *, decisive: bool = True) -> Any:
    """Declare a group of settings; `decisive` has the same meaning as in `setting`."""
    return field(default_factory=cls, metadata={"decisive": decisive})


class Normalize(Enum):
    """Normalisation of pixels.

    `standard`: zero mean and unit deviation over the training part; `unit`: pixels from 0 to 1; `imagenet`: mean and
    deviation of ImageNet's photos, which pretrained networks were trained with.
    """

    standard = "standard"
    unit = "unit"
    imagenet = "imagenet"


class Balance(Enum):
    """`none`: each image counts the same; `loss`: each class counts the same; `sampler`: so, by drawing its images."""

    none = "none"
    loss = "loss"
    sampler = "sampler"


class TrackingKind(Enum):
    """`mlflow`: a store or a server; `offline`: files in the run's own folder, MLflow is not imported."""

    mlflow = "mlflow"
    offline = "offline"


class ReportLevel(Enum):
    """Files that a run writes beside its scores, tables and predictions.

    `full`: training images scored too, every picture, and `report.html`; `light`: confusion matrices; `none`: nothing.
    """

    full = "full"
    light = "light"
    none = "none"


@dataclass(frozen=True)
class PathsConfig:
    """Folders, absolute, so that the current folder of a command does not matter."""

    home: str = "${prenda.home:}"
    data: str = "${paths.home}/data"
    outputs: str = "${paths.home}/outputs"
    mlruns: str = "${paths.home}/mlruns"


@dataclass(frozen=True)
class DataConfig:
    """Source of the images, their shape, and how they are split."""

    name: str = MISSING
    dir: str = setting("${paths.data}", decisive=False)
    image_size: int | None = setting(None, valid=Range(low=1, high=4096))  # pixels a side; null: the data set's own
    channels: int = setting(1, valid=(1, 3))  # 1 grey, 3 the grey repeated as colour
    classes: list[str] | None = None  # names to keep, in this order; null keeps all
    # Images cut from the official training images; null where the split is by folders or shares.
    val_size: int | None = setting(5000, valid=AT_LEAST_1)
    split_seed: int = setting(0, valid=SEED)
    limit_train: int | None = setting(None, valid=AT_LEAST_1)  # training images left after the split; null keeps all
    normalize: Normalize = Normalize.standard
    # Probability with which `augment` mirrors these images; 0 where mirroring changes the class.
    flip: float = setting(0.0, valid=PROBABILITY)
    batch_size: int = setting(128, valid=AT_LEAST_1)  # images a step, over all processes together
    eval_batch_size: int = setting(250, valid=AT_LEAST_1)
    balance: Balance = setting(Balance.none, later=True)  # of classes with unequal numbers of training images
    # The rest is for data sets of photos in folders. Shares are those of each class, where prenda splits.
    val_share: float = setting(0.15, valid=SHARE, later=True)
    test_share: float = setting(0.15, valid=SHARE, later=True)
    max_unreadable: float = setting(0.1, valid=PROBABILITY, later=True)  # share of files that may be unreadable
    mapping: str | None = setting(None, later=True)  # YAML file that merges, renames or drops classes
    memory_gb: float = setting(4.0, valid=NOT_NEGATIVE, decisive=False)  # GB of photos in memory, for each process
    cache_gb: float = setting(20.0, valid=NOT_NEGATIVE, decisive=False)  # GB of prepared photos on the disk
    workers: int = setting(2, valid=Range(low=0, high=256), decisive=False)  # processes that read photos from the disk


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of each image of a training batch."""

    # Smallest part of the area that a random crop takes; 0 crops nothing.
    crop: float = setting(0.0, valid=PROBABILITY, later=True)
    # Strength of random changes of brightness, contrast and saturation.
    color: float = setting(0.0, valid=PROBABILITY, later=True)
    # Pixels a side of training images; null: data.image_size. Smaller ones train faster (arXiv 1906.06423).
    size: int | None = setting(None, valid=Range(low=1, high=4096), later=True)
    flip: float = setting(0.0, valid=PROBABILITY)  # probability of a left-right mirror
    shift: int = setting(0, valid=PIXELS)  # largest move in pixels, each direction
    erase: float = setting(0.0, valid=PROBABILITY)  # probability that a rectangle is blanked
    # Largest part of the picture that a rectangle takes.
    erase_area: float = setting(0.15, valid=Range(low=0, high=1, open_low=True))


@dataclass(frozen=True)
class TrainerConfig:
    """Device, precision and length of training: settings of Lightning's Trainer."""

    accelerator: str = setting("auto", valid=("auto", "cpu", "gpu", "mps"))
    devices: int = 1  # processes on this machine; -1 is every GPU
    # auto: bf16-mixed where the device computes bf16 itself, else 32. A run records which of the two it was.
    precision: str = setting("32", valid=("auto", "32", "bf16-mixed", "16-mixed"))
    epochs: int = setting(12, valid=AT_LEAST_1)
    compile: bool = False
    channels_last: bool = True
    sync_batchnorm: bool = False
    deterministic: bool = False  # on a GPU; a CPU run repeats to the bit anyway
    gradient_clip: float | None = setting(None, valid=POSITIVE)  # largest norm of all gradients together
    threads: int | None = setting(None, valid=THREADS, decisive=False)  # of a process; null divides the cores
    # Last training steps of the first epoch to record as a trace; 0 records none.
    profile: int = setting(0, valid=NOT_NEGATIVE, decisive=False)


@dataclass(frozen=True)
class TrackingConfig:
    """Where runs are recorded."""

    kind: TrackingKind = TrackingKind.mlflow
    uri: str | None = None
    artifacts: str | None = None  # null: where the server says
    required: bool = False  # refuse to start while the server does not answer
    experiment: str = "prenda"
    run_name: str | None = None  # null: backbone, data, the overrides that matter, seed
    command: str = "prenda train"  # as it was typed; filled in when a run starts
    system_metrics: bool = True
    parent: str | None = None  # folder of the record of the sweep that this run belongs to; filled in by it


@dataclass(frozen=True)
class ReportConfig:
    """Report of a run, at its end and while it trains."""

    level: ReportLevel = ReportLevel.full
    # Epochs between two confusion matrices of validation while training; 0 makes none.
    every_n_epochs: int = setting(0, valid=NOT_NEGATIVE)
    # Settings that a run prints at its start: those that differ from the defaults, or all.
    settings: str = setting("changed", valid=("changed", "all"))


@dataclass(frozen=True)
class SearchConfig:
    """Space, length and study of a sweep (`prenda train -m`).

    Expressions are Hydra's: `choice(a, b)`, `range(1, 4)`, `interval(0, 1)`, `tag(log, interval(1e-4, 1e-1))`.
    """

    name: str | None = None  # of its folder in outputs/sweeps; null: from the command
    space: dict[str, Any] = setting({})  # expressions by setting
    when: dict[str, dict[str, Any]] = setting({})  # more of them, under conditions like `backbone=cnn`
    variables: dict[str, Any] = setting({})  # names that expressions may choose and settings refer to
    objectives: list[str] = setting(["val/accuracy"])  # metrics of a run; several give a Pareto front
    n_trials: int | None = setting(None, valid=AT_LEAST_1)  # in all, over every start; null: the whole grid
    hours: float | None = setting(None, valid=POSITIVE)  # of running, over every start; no trial starts after them
    max_failures: int | None = setting(5, valid=AT_LEAST_1)  # failed trials after which no more start; null: never
    retry_failed: bool = False  # start failed trials once more
    retries: int = setting(0, valid=NOT_NEGATIVE)  # restarts of a trial whose process was lost, before it has failed
    storage: str | None = None  # database of the study; null: a file in the sweep's folder
    sampler: dict[str, Any] | None = None  # of Optuna; null: every combination
    pruner: dict[str, Any] | None = None  # of Optuna; null: every trial trains to its end


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of one run.

    `backbone`, `optimizer`, `scheduler` and `callbacks` stay mappings: they are checked by the targets that they build.
    """

    paths: PathsConfig = group(PathsConfig, decisive=False)
    data: DataConfig = group(DataConfig)
    augment: AugmentConfig = group(AugmentConfig)
    backbone: dict[str, Any] = setting({})
    optimizer: dict[str, Any] = setting({})
    scheduler: dict[str, Any] = setting({})
    trainer: TrainerConfig = group(TrainerConfig)
    callbacks: dict[str, Any] = setting({}, later=True)  # Lightning callbacks, each a target under a name of its own
    report: ReportConfig = group(ReportConfig, decisive=False)
    tracking: TrackingConfig = group(TrackingConfig, decisive=False)
    search: SearchConfig = group(SearchConfig, decisive=False)
    workers: int = setting(1, valid=Range(low=1, high=10_000), decisive=False)  # trials of a sweep at a time
    # The file of each group of conf/; filled in when a run starts.
    choices: dict[str, str] = setting({}, decisive=False)
    seed: int = setting(0, valid=SEED)
    # Filled in when a configuration is composed; in the fingerprint, except version 1, which earlier runs lack there.
    results_version: int = setting(RESULTS_VERSION, decisive=False)
    # Run or bundle whose weights the run starts from; their content decides the result, so it is in the fingerprint.
    init_from: str | None = setting(None, decisive=False)
    init_sha256: str | None = setting(None, later=True)  # SHA-256 of these weights; filled in when a run starts
    label_smoothing: float = setting(0.0, valid=Range(low=0, high=1, open_high=True))
    # Decay of the weights' moving average; null trains without one.
    ema: float | None = setting(None, valid=Range(low=0, high=1, open_low=True, open_high=True))
    mirrored_scoring: bool = False  # score the mean of a picture's logits and of its mirror image's
    shifted_scoring: int = setting(0, valid=PIXELS)  # and of the picture moved by so many pixels, in two directions


@cache
def composition_schema() -> DictConfig:
    """Return the schema as a node that Hydra and OmegaConf can merge onto; both merge onto a copy of it.

    OmegaConf makes nodes of frozen dataclasses read-only; copies of this one can be written.
    """
    schema = OmegaConf.structured(TrainConfig)
    assert isinstance(schema, DictConfig)
    groups = [schema[entry.name] for entry in fields(TrainConfig) if is_dataclass(entry.default_factory)]
    for node in (schema, *groups):
        OmegaConf.set_readonly(node, None)
    return schema
