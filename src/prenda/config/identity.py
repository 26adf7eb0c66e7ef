"""Identity of a run: the fingerprint of its configuration, and its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from prenda.config import recorded
from prenda.config.convert import as_plain, flatten
from prenda.config.schema import RESULTS_VERSION, TrainConfig
from prenda.errors import ConfigError

PLACES = {"data.dir", "paths.data", "init_from"}  # where images or weights lie, whose content decides the result
QUOTES = str.maketrans("", "", "'\" ")
LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class RunDescription:
    """Name, parameters and tags that a run is recorded under."""

    name: str
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]


def check_version(folder: Path) -> None:
    """Refuse a folder that holds a run of another results version.

    Raises:
        ConfigError: If the rest of its training would follow other rules; the text says how to train it again.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return
    earlier = recorded.load(path)
    if earlier.results_version != RESULTS_VERSION:
        raise ConfigError(
            f"{folder} holds a run of results version {earlier.results_version}, but this prenda has results version "
            f"{RESULTS_VERSION}, whose training differs: train the run again in another folder "
            f"({earlier.tracking.command}), or resume it with the prenda that started it. `prenda evaluate` and "
            "`prenda export` take its checkpoints as they are."
        )


def check_folder(config: TrainConfig, folder: Path) -> None:
    """Refuse a folder that holds a run of other settings.

    Raises:
        ConfigError: If settings that decide the result differ; the text names the first of them.
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


def differences(earlier: dict[str, Any], current: dict[str, Any], most: int = 3, origin: str = "given") -> str:
    """Return the first settings that differ, with both values, for the text of an error; empty if all are equal.

    Args:
        earlier: Recorded settings.
        current: Other settings.
        most: Number of settings to name.
        origin: Word after the value of the other settings.
    """
    names = [name for name in sorted(earlier.keys() | current.keys()) if earlier.get(name) != current.get(name)]
    texts = [f"{name}: {earlier.get(name)!r} recorded, {current.get(name)!r} {origin}" for name in names[:most]]
    return "; ".join([*texts, f"{len(names) - most} more"] if len(names) > most else texts)


def fingerprint(config: TrainConfig, content: str | None = None) -> str:
    """Return the SHA-256 of the settings that decide a run's result; runs of equal fingerprint give the same model.

    Args:
        config: Configuration of the run.
        content: Content hash of a data set whose name does not fix its images; see `prenda.data.datasets`.
    """
    return sha256(json.dumps(decisive(config, content), sort_keys=True).encode()).hexdigest()


def configuration(config: TrainConfig) -> str:
    """Return the SHA-256 of the settings that decide a run's result, but for the seed.

    Runs with the same value differ by chance in training alone.
    """
    settings = {name: value for name, value in decisive(config).items() if name != "seed"}
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def decisive(config: TrainConfig, content: str | None = None) -> dict[str, Any]:
    """Return the flattened settings that decide a run's result: all but those that the schema marks otherwise."""
    settings = flatten(_decisive_part(config, as_plain(config)))
    if config.results_version > 1:
        settings["results_version"] = config.results_version
    return settings if content is None else settings | {"data.content": content}


def _decisive_part(config: Any, plain: Mapping[str, Any]) -> dict[str, Any]:
    part = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if not field.metadata.get("decisive", True) or (field.metadata.get("later") and value == _default(field)):
            continue
        part[field.name] = _decisive_part(value, plain[field.name]) if is_dataclass(value) else plain[field.name]
    return part


def _default(setting: Field[Any]) -> Any:
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def target_name(group: Mapping[str, Any]) -> str:
    """Return the short name of a group's target: the module of a backbone, else the last part of the target."""
    parts = str(group["_target_"]).split(".")
    return parts[2] if parts[:2] == ["prenda", "backbones"] else parts[-1].lower()


def make_run_name(config: TrainConfig, overrides: Sequence[str]) -> str:
    """Return a run's name: its experiment, or backbone and data, then the overrides that decide the result, the seed.

    Runs of different overrides have different names. A path is named by its last part and a digest, and a name that is
    too long ends in a digest.
    """
    parts = [config.choices.get("experiment") or f"{config.choices['backbone']}-{config.data.name}"]
    in_front = {"experiment", "seed"} if "experiment" in config.choices else {"backbone", "data", "seed"}
    last_parts = Counter(setting.rpartition(".")[2] for setting in flatten(as_plain(config)))
    for override in overrides:
        setting, _, value = override.lstrip("+~").partition("=")
        if setting in in_front or not (setting in PLACES or _decides(setting)):
            continue
        last = setting.rpartition(".")[2]
        value = _place(value) if setting in PLACES else value
        parts.append(f"{last if last_parts[last] < 2 else setting}={value}".translate(QUOTES))
    full = "-".join(parts)
    if len(full) > LONGEST_NAME:
        full = f"{full[:LONGEST_NAME].rpartition('-')[0]}-{_digest(full)}"  # cuts no number in two
    return f"{full}-seed{config.seed}"


def _decides(setting: str) -> bool:
    """Whether an overridden group or setting decides the result, by the schema; unknown ones may."""
    group: Any = TrainConfig
    for name in setting.replace("/", ".").split("."):
        field = next((field for field in fields(group) if field.name == name), None)
        if field is None:
            return name != "hydra"
        if not field.metadata.get("decisive", True):
            return False
        group = field.default_factory
        if not is_dataclass(group):
            return True
    return True


def _place(value: str) -> str:
    """Return the last part of a path and a digest of it; a name without a slash as it is."""
    return f"{Path(value).name}_{_digest(str(Path(value).expanduser().resolve()))}" if "/" in value else value


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:6]


def run_name(config: TrainConfig) -> str:
    """Return `tracking.run_name`; if it is not set, backbone, data and seed."""
    return config.tracking.run_name or f"{backbone_name(config)}-{config.data.name}-seed{config.seed}"


def backbone_name(config: TrainConfig) -> str:
    """Return the chosen file of conf/backbone; if there is none, the short name of the target."""
    return config.choices.get("backbone") or target_name(config.backbone)


def parameters(config: TrainConfig) -> dict[str, Any]:
    """Return the parameters of a run in MLflow: the choice of each group, and the settings by their dotted names.

    Folders, tracking, the sweep and targets (which the choices name) are in `config.yaml` alone.
    """
    plain = as_plain(config)
    chosen = {group: choice for group, choice in plain.pop("choices").items() if not group.startswith("search")}
    choices: dict[str, Any] = {"backbone": backbone_name(config), "data": config.data.name, **chosen}
    omitted = ("paths", "tracking", "search", "workers")
    settings = flatten({group: value for group, value in plain.items() if group not in omitted})
    return choices | {name: value for name, value in settings.items() if not name.rpartition(".")[2].startswith("_")}


def describe_run(config: TrainConfig) -> RunDescription:
    """Return the name, the parameters and the tags that a run is recorded under."""
    tags = {"backbone": backbone_name(config), "data": config.data.name, "seed": str(config.seed)}
    tags["prenda.configuration"] = configuration(config)
    return RunDescription(run_name(config), parameters(config), tags)
