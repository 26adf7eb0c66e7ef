"""Recorded plan of a sweep, and its comparison with the plan of a later start."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.study import Study

from prenda.config.identity import differences
from prenda.config.schema import RESULTS_VERSION
from prenda.errors import ConfigError
from prenda.search.plan import Plan
from prenda.search.study import fixed, queued
from prenda.system.atomic_write import write_atomically

# Errors of reading a foreign YAML file, which may have any content.
UNREADABLE = (
    yaml.YAMLError,
    OmegaConfBaseException,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)
KEPT = "sweep.yaml"  # in a sweep's folder: its plan


class Start(Enum):
    """Relation of a plan to the one in the sweep's folder."""

    new = "new"
    same = "same"
    extended = "extended"


def compare_plan(plan: Plan, folder: Path, study: Study | None) -> Start:
    """Compare the plan with that of an earlier start in this folder.

    Args:
        plan: Plan of the command.
        folder: Folder of the sweep.
        study: Study of the earlier start, if there is one.

    Raises:
        ConfigError: If the earlier sweep has another search space or other settings. The text lists the differences.
    """
    path = folder / KEPT
    if not path.is_file():
        return Start.new
    recorded = _recorded(path)
    current: Any = OmegaConf.to_container(OmegaConf.create(plan.record()))
    _check_version(recorded, folder)
    different = differences(_comparable(recorded), _comparable(current))
    if not different:
        return Start.same
    if study is not None and _is_extended(plan, study, recorded, current):
        return Start.extended
    raise ConfigError(
        f"{folder} holds a sweep of another search space or other settings ({different}): restore them "
        "to resume it, or start another with search.name=…. A grid may be extended by more values of its settings."
    )


def _recorded(path: Path) -> dict[str, Any]:
    """Return the recorded plan.

    Raises:
        ConfigError: If the file is damaged.
    """
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        for part in ("settings", "space"):
            if not all(isinstance(each, Mapping if part == "settings" else str) for each in content[part].values()):
                raise ValueError(f"{part} is {reprlib.repr(content[part])}")
        return {**content, "objectives": list(content["objectives"]), "command": str(content["command"])}
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # OmegaConf raises one without for a lone scalar
            raise
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path} is damaged ({reason}): restore it, or start the sweep again with another search.name=…."
        ) from error


def _check_version(recorded: Mapping[str, Any], folder: Path) -> None:
    """Refuse a sweep whose finished trials followed other rules; see `prenda.config.identity.check_version`."""
    versions = {settings.get("results_version", 1) for settings in recorded["settings"].values()} - {RESULTS_VERSION}
    if versions:
        raise ConfigError(
            f"{folder} holds a sweep of results version {versions.pop()}, but this prenda has results version "
            f"{RESULTS_VERSION}, whose training differs: start it again with another search.name=… "
            f"({recorded['command']}), or resume it with the prenda that started it. Its finished trials stay in "
            "`prenda runs` and `prenda compare`."
        )


def record_plan(plan: Plan, folder: Path) -> None:
    """Write the plan to the sweep's folder."""
    write_atomically(folder / KEPT, OmegaConf.to_yaml(OmegaConf.create(plan.record())))


def _is_extended(plan: Plan, study: Study, recorded: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether the plan is the grid of the study with more values, and equal in everything else."""
    earlier = queued(study)
    if plan.search.sampler is not None or earlier is None:
        return False
    given = {p.setting: p.describe() for p in plan.space.parameters if p.distribution is None}
    bases = recorded["settings"]
    return (
        recorded["objectives"] == current["objectives"]
        and recorded["space"].keys() == current["space"].keys()
        and all(recorded["space"][setting] == current["space"][setting] for setting in given)
        and all(current["settings"].get(key) == settings for key, settings in bases.items())
        and earlier <= {fixed(chosen) for chosen in plan.space.grid()}
    )


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record's parts by dotted name; a setting on which all bases agree appears once."""
    flat = {f"space {setting}": line for setting, line in record["space"].items()}
    flat["objectives"] = record["objectives"]
    bases = record["settings"]
    for key, settings in bases.items():
        for setting, value in settings.items():
            shared = all(setting in other and other[setting] == value for other in bases.values())
            flat[setting if shared else f"{setting} with {key}"] = value
    return flat
