"""Command that runs or resumes a sweep."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from prenda.config.convert import as_plain
from prenda.errors import ConfigError
from prenda.search.driver import Sweep, driver_lock, open_sweep_study
from prenda.search.launchers.base import TrialLauncher, rehearsed
from prenda.search.outcome import OBJECTIVES
from prenda.search.plan import KEPT, Plan, make_plan, record_plan
from prenda.search.results import finish, open_record
from prenda.search.space import text
from prenda.system.signals import Stopped, stop_on_signal
from prenda.tracking.sweeps import close_sweep


def run_command(
    config: DictConfig,
    loader: ConfigLoader,
    launcher: TrialLauncher,
    params: Mapping[str, Any],
    arguments: Sequence[str],
) -> None:
    """Run the sweep of the command, or resume it.

    Raises:
        ConfigError: If a setting is not valid; no trial was started then.
        SystemExit: If trials failed (1), or signal N stopped the sweep (128 + N).
    """
    defaults = [f"{name}={value}" for name, value in params.items()]
    plan = make_plan(config, loader, [*defaults, *arguments])
    folder = Path(config.hydra.sweep.dir).resolve() / plan.name
    with driver_lock(folder), stop_on_signal():
        _validate(plan, folder)
        study = open_sweep_study(plan, folder)
        launcher.open(folder)
        record_plan(plan, folder)
        sweep = Sweep(plan, launcher, folder, study, open_record(plan, folder))
        stopped = _run(sweep, launcher)
        finish(sweep, stopped is not None)
    if stopped is not None:
        print(f"prenda: {stopped}; run the same command again to resume the sweep.", file=sys.stderr)
        raise SystemExit(128 + stopped.signum)
    if sweep.gave_up:
        message = (
            "search.max_failures was reached: fix the error, then run the same command again with "
            "search.retry_failed=true to resume."
        )
        print(f"prenda: {message}", file=sys.stderr)
    if sweep.counts["failed"]:
        raise SystemExit(1)


def _validate(plan: Plan, folder: Path) -> None:
    """Refuse a sweep with invalid settings before its first trial; a resumed sweep was validated at its start.

    Raises:
        ConfigError: If a setting is not valid, with the trial in which it was found.
    """
    search = plan.search
    for objective in search.objectives:
        if objective not in OBJECTIVES:
            raise ConfigError(f"search.objectives has {objective!r}: choose among {', '.join(OBJECTIVES)}.")
    if search.sampler is not None and search.n_trials is None and search.hours is None:
        raise ConfigError("search.n_trials and search.hours are null: give the search an end by one of them.")
    if search.sampler is None:
        list(plan.space.grid())
    if (folder / KEPT).is_file():
        return
    probes = list(plan.space.probes(set(plan.groups)))
    print("Validating the bounds of the search space (no training) …", flush=True)
    configs = [as_plain(plan.configuration(chosen)) for chosen in probes]
    for chosen, problem in zip(probes, rehearsed(configs), strict=True):
        if problem is not None:
            settings = " ".join(f"{setting}={text(value)}" for setting, value in chosen.items())
            where = f"Found before the first trial, with {settings or 'the settings as they are'}."
            if problem.traceback:
                raise RuntimeError(f"{problem.text}\n{where} There:\n{problem.traceback}")
            raise ConfigError(f"{problem.text}\n{where}")


def _run(sweep: Sweep, launcher: TrialLauncher) -> Stopped | None:
    """Run the sweep; return the signal that stopped it. Any other exception closes its record as failed."""
    total = "any number of trials" if sweep.total is None else f"{sweep.total} trial{'s'[: sweep.total != 1]}"
    print(f"Sweep {sweep.plan.name}: {total}, {sweep.ended} done, {launcher.workers} at a time, in {sweep.folder}")
    try:
        sweep.run()
    except Stopped as stop:
        return stop
    except BaseException:
        close_sweep(sweep.record, "FAILED", sweep.folder)
        raise
    finally:
        launcher.close()
    return None
