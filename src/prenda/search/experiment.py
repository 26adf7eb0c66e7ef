"""Experiment files of a trial: a folder for `--config-dir` that trains the same network again."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

from prenda.config.convert import as_plain
from prenda.config.paths import CONFIG_DIR
from prenda.config.recorded import load
from prenda.config.schema import TrainConfig
from prenda.search.plan import Plan
from prenda.system.atomic_write import write_atomically
from prenda.tracking.run_folder import CONFIG
from prenda.training.starting_point import identified

EXPERIMENTS = "experiment"


def write_experiment(plan: Plan, trial: FrozenTrial, sweep: Path, folder: Path, name: str) -> None:
    """Write all settings of a trial as an experiment that reproduces its run.

    Args:
        plan: Plan of the sweep.
        trial: The trial.
        sweep: Folder of the sweep.
        folder: Folder for `--config-dir`.
        name: Name of the experiment.

    Raises:
        UserError: If the trial's folder was removed and its settings cannot be composed again.
    """
    config = _configuration(plan, trial, sweep)
    plain = as_plain(config)
    decisive = {setting.name for setting in fields(config) if setting.metadata.get("decisive", True)}
    groups = {group: choice for group, choice in config.choices.items() if group in decisive}
    body: dict[str, Any] = {
        "defaults": [{f"override /{group}": choice} for group, choice in groups.items()],
        **{name: plain[name] for name in plain if name in decisive},
    }
    del body["data"]["dir"]  # differs between machines
    if config.init_from is not None:
        body["init_from"] = config.init_from  # whose content init_sha256 verifies
    scores = ", ".join(
        f"{objective} {value:.6g}" for objective, value in zip(plan.search.objectives, trial.values, strict=True)
    )
    head = (
        "# @package _global_\n"
        f"# Trial {trial.number} of the sweep {plan.name}: {scores}. Bit-identical on the same machine:\n"
        f"#\n#   {experiment_command(plan, folder, name)}\n"
    )
    _write(folder / EXPERIMENTS / f"{name}.yaml", head, body)
    for group, choice in groups.items():
        if not (CONFIG_DIR / group / f"{choice}.yaml").is_file():  # of the user's own --config-dir
            _write(folder / group / f"{choice}.yaml", f"# {group}={choice} of the sweep {plan.name}.\n", body[group])


def experiment_command(plan: Plan, folder: Path, name: str) -> str:
    """Return the command that trains an experiment; it works in any folder."""
    places = [override for override in plan.overrides if override.lstrip("+").startswith(("data.dir=", "paths."))]
    return shlex.join(["prenda", "train", "--config-dir", str(folder), f"experiment={name}", *places])


def _configuration(plan: Plan, trial: FrozenTrial, sweep: Path) -> TrainConfig:
    """Return the settings from the trial's folder; compose them again if the folder was removed."""
    path = sweep / trial.user_attrs["folder"] / CONFIG
    return load(path) if path.is_file() else identified(plan.configuration(trial.params))


def _write(path: Path, head: str, body: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, head + OmegaConf.to_yaml(OmegaConf.create(body)))
