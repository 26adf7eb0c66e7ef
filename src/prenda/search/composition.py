"""Configurations as Hydra composes them, including its own settings. Imports little, for help and completion."""

from __future__ import annotations

from collections.abc import Mapping

from omegaconf import DictConfig, OmegaConf


def chosen_files(choices: Mapping[str, str | None]) -> dict[str, str]:
    """Return the file of conf/ that was chosen for each group, but for Hydra's own groups."""
    return {group: choice for group, choice in choices.items() if choice and "hydra" not in group}


def without_hydra(config: DictConfig) -> DictConfig:
    """Return the configuration of a run without Hydra's own settings."""
    run = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    OmegaConf.set_struct(run, True)  # as in Hydra: an unknown setting is refused
    return run
