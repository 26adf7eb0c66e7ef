"""The settings: their typed schema, what tells runs of one from runs of another, and the targets they may build."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from hydra.utils import execution_whitelist, instantiate
from omegaconf import MISSING, DictConfig, OmegaConf

PACKAGE = Path(__file__).parent
REPOSITORY = PACKAGE.parents[1]
# A wheel carries conf/ inside the package; a checkout has it at the top, where people look for it.
CONFIG_DIR = REPOSITORY / "conf" if (REPOSITORY / "conf" / "train.yaml").is_file() else PACKAGE / "conf"


def home() -> Path:
    """The folder that holds data/, outputs/ and mlruns/: $PRENDA_HOME, else the checkout, else the current folder."""
    if "PRENDA_HOME" in os.environ:
        return Path(os.environ["PRENDA_HOME"]).expanduser().resolve()
    return REPOSITORY if CONFIG_DIR.parent == REPOSITORY else Path.cwd()


def trusted_targets() -> tuple[str, ...]:
    """What `_target_` may name. Code outside the package joins through $PRENDA_TRUSTED_TARGETS, never through a YAML.

    The variable holds Hydra whitelist entries separated by commas, for example `my_shop.backbones.*`.
    """
    own = (
        "prenda.backbones.*",
        "prenda.optimizers.*",
        "prenda.schedules.*",
        "torch.optim.*",
        "optuna.samplers.*",
        "optuna.pruners.*",
    )
    extra = os.environ.get("PRENDA_TRUSTED_TARGETS", "")
    return own + tuple(entry.strip() for entry in extra.split(",") if entry.strip())


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


def build(config: DictConfig, group: str, *args: Any, **kwargs: Any) -> Any:
    """Instantiates one group of the configuration, from trusted targets only.

    Raises:
        ValueError: If the group names an untrusted target, or holds a setting that its target does not know or accept.
    """
    with refused(config, group), execution_whitelist(trusted_targets()):
        return instantiate(OmegaConf.select(config, group), *args, _convert_="all", **kwargs)


@contextmanager
def refused(config: DictConfig, group: str) -> Iterator[None]:
    """Whatever goes wrong inside is told as an error of this group's settings.

    Raises:
        ValueError: The one that names a setting of the group, as it is; anything else with the group's name and help.
    """
    try:
        yield
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, ValueError) and str(cause).startswith(f"{group}."):
            raise ValueError(str(cause)) from error
        reason = (str(cause) or type(cause).__name__).splitlines()[0]
        node = OmegaConf.select(config, group)
        settings = {key: value for key, value in node.items() if not str(key).startswith("_")}
        hint = " Targets outside prenda must be listed in $PRENDA_TRUSTED_TARGETS." if "whitelist" in str(error) else ""
        raise ValueError(
            f"{group}: {node.get('_target_')} cannot be made from {settings} "
            f"({reason}): correct its settings, or choose one of conf/{group.replace('.', '/')}.{hint}"
        ) from error


def without_passwords(text: str) -> str:
    """The text with addresses as others may see them."""
    return re.sub(r"(://[^:/@\s]+:)[^@\s]+@", r"\1…@", text)


def check_folder(config: DictConfig, folder: Path) -> None:
    """Refuses a folder that holds a run of other settings.

    Raises:
        ValueError: Naming the first settings that differ.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return
    kept = OmegaConf.merge(TrainConfig, OmegaConf.load(path))
    assert isinstance(kept, DictConfig)
    different = differences(decisive(kept), decisive(config))
    if different:
        raise ValueError(
            f"{folder} holds a run of other settings ({different}): give another folder, or the settings that it was "
            "started with."
        )


def differences(there: dict[str, Any], here: dict[str, Any], most: int = 3) -> str:
    """The first settings that differ, with their values, for an error's text; empty where all are equal."""
    names = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    told = [f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in names[:most]]
    return "; ".join([*told, f"{len(names) - most} more"] if len(names) > most else told)


def fingerprint(config: DictConfig) -> str:
    """SHA-256 of what decides a run's result: two runs of one fingerprint give the same model."""
    return sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()


def decisive(config: DictConfig) -> dict[str, Any]:
    """What decides a run's result, flattened: no folders, record, report, sweep, names, threads, trace."""
    plain = as_plain(config)
    for group in ("paths", "tracking", "report", "search", "workers", "choices"):
        plain.pop(group)
    plain["data"].pop("dir")
    for setting in ("threads", "profile"):
        plain["trainer"].pop(setting)
    return flatten(plain)


def target_name(node: DictConfig) -> str:
    """The short name of what a group builds: the module of a backbone, else the last word of its target."""
    parts = str(node._target_).split(".")
    return parts[2] if parts[:2] == ["prenda", "backbones"] else parts[-1].lower()


def as_plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as dictionaries, lists and scalars."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    return cast(dict[str, Any], plain)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`; lists stay whole."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
