"""Configurations as Hydra composes them, including its own settings. Imports little, for help and completion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prenda.errors import ConfigError


def chosen_files(choices: Mapping[str, str | None]) -> dict[str, str]:
    """Return the file of conf/ that was chosen for each group, but for Hydra's own groups."""
    return {group: choice for group, choice in choices.items() if choice and "hydra" not in group}


def without_hydra(config: DictConfig) -> DictConfig:
    """Return the configuration of a run without Hydra's own settings."""
    run = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    OmegaConf.set_struct(run, True)  # as in Hydra: an unknown setting is refused
    return run


def refuse_sweep(choices: Mapping[str, str | None], overrides: Iterable[str]) -> None:
    """Refuse settings of a sweep in the command of a single run, where they would do nothing.

    Args:
        choices: Chosen file of each group.
        overrides: Overrides of the command.

    Raises:
        ConfigError: If there are any, with the command that starts a sweep.
    """
    settings = [one for one in overrides if re.match(r"[+~]*(search\b|workers=)", one)]
    search = choices.get("search")
    if not settings and search not in (None, "grid"):
        settings = [f"search={search}"]
    if settings:
        raise ConfigError(
            f"{' '.join(settings)} is for a sweep, and this command trains one network: add -m (prenda train -m …), or "
            "leave it out."
        )


def config_folder(sources: Iterable[Any]) -> list[str]:
    """Return the arguments of a command that name the folder of `--config-dir`, absolute; empty without one.

    Args:
        sources: Hydra's `runtime.config_sources`.
    """
    folders = [str(source.path) for source in sources if source.provider == "command-line"]
    return ["--config-dir", folders[0]] if folders else []
