"""Identity of a run: the fingerprint of its configuration, and its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from prenda.config import recorded
from prenda.config.plain import as_plain, flatten
from prenda.errors import ConfigError

UNNAMED = {"hydra", "paths", "report", "tracking", "trainer"}  # groups, but for these of their settings:
NAMED = {"trainer.epochs", "trainer.precision", "trainer=profile"}
QUOTES = str.maketrans("", "", "'\" ")
LONGEST_NAME = 100  # characters


def check_folder(config: DictConfig, folder: Path) -> None:
    """Refuses a folder that holds a run of other settings.

    Raises:
        ValueError: Naming the first settings that differ.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return
    different = differences(decisive(recorded.load(path)), decisive(config))
    if different:
        raise ConfigError(
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


def make_run_name(config: DictConfig, overrides: Sequence[str]) -> str:
    """What tells a run from others: its experiment, or backbone and data, then what was overridden, then the seed.

    Where it is recorded and what is reported makes no difference to the model, and is left out.
    """
    parts = [config.choices.get("experiment") or f"{config.choices['backbone']}-{config.data.name}"]
    named = {"experiment", "seed"} if "experiment" in config.choices else {"backbone", "data", "seed"}
    for override in overrides:
        setting, _, value = override.lstrip("+~").partition("=")
        unnamed = setting.partition(".")[0] in UNNAMED and not {setting, override} & NAMED
        if unnamed or setting in named or setting == "data.dir":
            continue
        parts.append(f"{setting.rpartition('.')[2]}={value}".translate(QUOTES))
    whole = "-".join(parts)
    cut = whole if len(whole) <= LONGEST_NAME else whole[:LONGEST_NAME].rpartition("-")[0]  # no half a number
    return f"{cut}-seed{config.seed}"


def run_name(config: DictConfig) -> str:
    """`tracking.run_name`, else backbone, data and seed."""
    return config.tracking.run_name or f"{backbone_name(config)}-{config.data.name}-seed{config.seed}"


def backbone_name(config: DictConfig) -> str:
    """The file of conf/backbone that was chosen, else the short name of the target."""
    return config.choices.get("backbone") or target_name(config.backbone)


def parameters(config: DictConfig) -> dict[str, Any]:
    """What MLflow compares runs by: the choice of each group, and the flattened settings under their dotted names.

    Folders, the record itself, the sweep and targets (which the choices stand for) are left to `config.yaml`.
    """
    plain = as_plain(config)
    chosen = {group: choice for group, choice in plain.pop("choices").items() if not group.startswith("search")}
    choices: dict[str, Any] = {"backbone": backbone_name(config), "data": config.data.name, **chosen}
    left = ("paths", "tracking", "search", "workers")
    settings = flatten({group: value for group, value in plain.items() if group not in left})
    return choices | {name: value for name, value in settings.items() if not name.rpartition(".")[2].startswith("_")}
