"""Default configuration of `prenda train`, and the settings of a run that differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from prenda.config.convert import as_plain, typed
from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import TrainConfig

FILLED_IN = {"tracking.command", "tracking.run_name", "tracking.parent", "init_sha256"}  # by the program, not by a user


def changed(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from the defaults, nested by group.

    `choices` holds the chosen files that differ from the default ones, even if no setting of them differs.
    """
    usual, given = defaults(), as_plain(config)
    different: dict[str, Any] = {}
    for group, settings in given.items():
        if group != "choices":
            part = _different(settings, usual.get(group), group)
            if part is not None:
                different[group] = part
    files = {group: file for group, file in config.choices.items() if usual["choices"].get(group) != file}
    return {"choices": files} | different if files else different


def _different(value: Any, usual: Any, name: str) -> Any:
    """Return the differing part of a group, or the value of a differing setting; None if nothing differs."""
    if name in FILLED_IN or value == usual:
        return None
    if (
        not isinstance(value, Mapping)
        or not isinstance(usual, Mapping)
        or value.get("_target_") != usual.get("_target_")
    ):
        return value
    parts = {key: _different(entry, usual.get(key), f"{name}.{key}") for key, entry in value.items()}
    return {key: part for key, part in parts.items() if part is not None} or None


def defaults() -> dict[str, Any]:
    """Return the configuration of `prenda train` without overrides, in plain types.

    It is read from the files that conf/train.yaml chooses, because Hydra needs half a second for the same result.
    """
    return as_plain(typed(_chosen_files()))


@cache
def _chosen_files() -> dict[str, Any]:
    """Return the content of the files that conf/train.yaml chooses, by group."""
    root = _read("train")
    entries = [entry for entry in root.pop("defaults") if isinstance(entry, dict)]
    chosen = {group: file for entry in entries for group, file in entry.items() if file and " " not in group}
    groups = {group: _with_bases(group, file) for group, file in chosen.items()}
    root.pop("hydra")
    return root | groups | {"choices": chosen}


def _with_bases(group: str, file: str) -> dict[str, Any]:
    """Return the settings of a group's file, merged over those of the files in its defaults list."""
    content = _read(f"{group}/{file}")
    bases = [base for base in content.pop("defaults", []) if base != "_self_"]
    settings: dict[str, Any] = {}
    for base in bases:
        settings |= _with_bases(group, base)
    return settings | content


def _read(name: str) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / f"{name}.yaml"), resolve=False)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
