"""Hydra sweeper behind `prenda train -m` (`hydra/sweeper=prenda`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from prenda.config.convert import typed
from prenda.config.hydra_errors import past_hydra
from prenda.config.instantiate import refused
from prenda.config.validation import check
from prenda.errors import ConfigError
from prenda.search.composition import without_hydra
from prenda.search.launchers.base import TrialLauncher


class PrendaSweeper(Sweeper):
    """Hydra sweeper that runs a grid or a search; the same command again resumes it.

    Args:
        params: Overrides of every run unless the command sets them, as for Hydra's own sweeper.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings and build the launcher.

        Raises:
            ConfigError: If a setting is out of its range, or the launcher cannot be used.
        """
        self._config, self._loader, self._task = config, hydra_context.config_loader, task_function
        check(typed(without_hydra(config)))
        target = str(config.hydra.launcher.get("_target_"))
        if not target.startswith("prenda."):
            raise ConfigError(f"hydra/launcher is {target}: choose local, ray or slurm.")
        from hydra.core.plugins import Plugins

        with refused(config.hydra.launcher, "hydra.launcher"):
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )
        assert isinstance(launcher, TrialLauncher)
        self._launcher = launcher

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep.

        Raises:
            SystemExit: If trials failed or the sweep gave up (1), or signal N stopped it (128 + N).
        """
        from prenda.search.sweep import run_command

        with past_hydra():
            run_command(self._config, self._loader, self._launcher, self.params, arguments)
