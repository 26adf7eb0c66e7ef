"""Hydra application behind `prenda train`.

It is separate from `train`, so that help, completion and `--cfg` answer without importing torch.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from prenda.config.convert import register, typed
from prenda.config.hydra_errors import PastHydra, explained, past_hydra, user_error
from prenda.config.hydra_options import check_options
from prenda.config.identity import make_run_name
from prenda.config.instantiate import check_target, trusted_targets
from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import BUILT, TrainConfig
from prenda.errors import ConfigError
from prenda.search.composition import chosen_files, config_folder, refuse_sweep
from prenda.search.launchers.local import LocalLauncher
from prenda.search.launchers.ray import RayLauncher
from prenda.search.launchers.slurm import SlurmLauncher
from prenda.search.sweeper import PrendaSweeper
from prenda.system.redaction import without_passwords
from prenda.system.startup import heavy_imports

register()
for plugin in (PrendaSweeper, LocalLauncher, RayLauncher, SlurmLauncher):
    Plugins.instance().register(plugin)


def main() -> None:
    """Run the command in `sys.argv`: one training, or with `-m` a sweep.

    Raises:
        UserError: If Hydra refuses the command, or a setting is invalid.
    """
    check_options(sys.argv[1:])
    error = _failure()
    if error is not None:  # raised here, so that its traceback has no frames of Hydra
        raise error


def _failure() -> Exception | None:
    """Run Hydra; return its error, explained by prenda where Hydra refused the command."""
    try:
        _application()
    except PastHydra as carrier:
        return carrier.error
    except Exception as error:  # from Hydra before prenda's code ran, or from a class that Hydra instantiates
        return user_error(error, sys.argv[1:]) or error
    return None


@hydra.main(config_path=str(CONFIG_DIR), config_name="train", execution_whitelist=trusted_targets())
def _application(config: DictConfig) -> None:
    with past_hydra():
        _train(_read(config))


def _read(config: DictConfig) -> TrainConfig:
    """Return the typed configuration; refuse unknown settings, groups without target and dangling `${…}`."""
    try:
        run = typed(config)
    except OmegaConfBaseException as error:
        raise explained(error, sys.argv[1:]) from error
    for group in BUILT:
        check_target(getattr(run, group), group)
    return run


def _train(config: TrainConfig) -> None:
    """Run one training; every process of torchrun but the first only joins it."""
    hydra_config = HydraConfig.get()
    refuse_sweep(hydra_config.runtime.choices, hydra_config.overrides.task)
    with heavy_imports():
        from prenda.training.distributed import Torchrun
        from prenda.training.train import join, train

    torchrun = Torchrun.found()
    if torchrun is not None and not any(entry.startswith("hydra.run.dir=") for entry in hydra_config.overrides.hydra):
        raise ConfigError(
            "hydra.run.dir is not given, and every process of torchrun would choose its own: "
            "give hydra.run.dir=/a/folder/that/all/of/them/see."
        )
    command = [*config_folder(hydra_config.runtime.config_sources), *hydra_config.overrides.task]
    run = _named(config, chosen_files(hydra_config.runtime.choices), list(hydra_config.overrides.task), command)
    folder = Path(hydra_config.runtime.output_dir)
    if torchrun is not None and torchrun.rank > 0:
        join(run, folder)
    else:
        train(run, folder)


def _named(
    config: TrainConfig, choices: dict[str, str], overrides: Sequence[str], command: Sequence[str]
) -> TrainConfig:
    """Fill in the chosen files of conf/, the command, and the run's name, from the command line."""
    chosen = replace(config, choices=choices)
    tracking = replace(
        config.tracking,
        command=without_passwords(shlex.join(["prenda", "train", *command])),
        run_name=config.tracking.run_name or make_run_name(chosen, overrides),
    )
    return replace(chosen, tracking=tracking)
