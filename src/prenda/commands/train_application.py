"""The Hydra application behind `prenda train`.

Apart from `train`, so that help, completion and `--cfg` answer without waiting for torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from prenda.config.convert import register, typed
from prenda.config.identity import make_run_name
from prenda.config.instantiate import trusted_targets
from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import TrainConfig
from prenda.errors import ConfigError
from prenda.search.composition import chosen_files
from prenda.search.launchers.local import LocalLauncher
from prenda.search.launchers.ray import RayLauncher
from prenda.search.launchers.slurm import SlurmLauncher
from prenda.search.sweeper import PrendaSweeper
from prenda.system.startup import lasting

register()
for plugin in (PrendaSweeper, LocalLauncher, RayLauncher, SlurmLauncher):
    Plugins.instance().register(plugin)


@hydra.main(config_path=str(CONFIG_DIR), config_name="train", execution_whitelist=trusted_targets())
def main(config: DictConfig) -> float:
    """Runs one training; returns the score that a sweep optimises."""
    with lasting():
        from prenda.training.distributed import Torchrun
        from prenda.training.train import join, train

    hydra_config = HydraConfig.get()
    torchrun = Torchrun.found()
    if torchrun is not None and not any(each.startswith("hydra.run.dir=") for each in hydra_config.overrides.hydra):
        raise ConfigError(
            "hydra.run.dir is not given, and every process that torchrun starts would make up its own: "
            "give hydra.run.dir=/a/folder/that/all/of/them/see."
        )
    run = _named(typed(config), chosen_files(hydra_config.runtime.choices), list(hydra_config.overrides.task))
    folder = Path(hydra_config.runtime.output_dir)
    if torchrun is not None and torchrun.rank > 0:
        join(run, folder)
        return float("nan")
    return train(run, folder).score


def _named(config: TrainConfig, choices: dict[str, str], overrides: Sequence[str]) -> TrainConfig:
    """Fill in what the command line tells: the chosen files of conf/, the command, and the run's name."""
    chosen = replace(config, choices=choices)
    tracking = replace(
        config.tracking,
        command=shlex.join(["prenda", "train", *overrides]),
        run_name=config.tracking.run_name or make_run_name(chosen, overrides),
    )
    return replace(chosen, tracking=tracking)
