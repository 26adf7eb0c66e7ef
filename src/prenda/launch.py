"""The Hydra application behind `prenda train`.

Apart from `train`, so that help, completion and `--cfg` answer without waiting for torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from prenda.config import CONFIG_DIR, register, trusted_targets
from prenda.imports import lasting
from prenda.search.launchers import LocalLauncher, RayLauncher, SlurmLauncher
from prenda.search.sweeper import PrendaSweeper

UNNAMED = {"hydra", "paths", "report", "tracking", "trainer"}  # groups, but for these of their settings:
NAMED = {"trainer.epochs", "trainer.precision", "trainer=profile"}
QUOTES = str.maketrans("", "", "'\" ")
LONGEST_NAME = 100  # characters

register()
for plugin in (PrendaSweeper, LocalLauncher, RayLauncher, SlurmLauncher):
    Plugins.instance().register(plugin)


@hydra.main(config_path=str(CONFIG_DIR), config_name="train", execution_whitelist=trusted_targets())
def main(config: DictConfig) -> float:
    """Runs one training; returns the score that a sweep optimises."""
    with lasting():
        from prenda.assemble import Torchrun
        from prenda.train import join, train

    hydra_config = HydraConfig.get()
    torchrun = Torchrun.found()
    if torchrun is not None and not any(each.startswith("hydra.run.dir=") for each in hydra_config.overrides.hydra):
        raise ValueError(
            "hydra.run.dir is not given, and every process that torchrun starts would make up its own: "
            "give hydra.run.dir=/a/folder/that/all/of/them/see."
        )
    choices, overrides = hydra_config.runtime.choices, list(hydra_config.overrides.task)
    config.choices = {group: choice for group, choice in choices.items() if choice and "hydra" not in group}
    config.tracking.command = shlex.join(["prenda", "train", *overrides])
    config.tracking.run_name = config.tracking.run_name or name(config, overrides)
    folder = Path(hydra_config.runtime.output_dir)
    if torchrun is not None and torchrun.rank > 0:
        join(config, folder)
        return float("nan")
    return train(config, folder).score


def name(config: DictConfig, overrides: Sequence[str]) -> str:
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
