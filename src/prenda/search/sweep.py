"""Command that runs or resumes a sweep."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig
from optuna.study import Study

from prenda.config.convert import as_plain
from prenda.errors import ConfigError
from prenda.search.driver import Sweep
from prenda.search.driver_lock import driver_lock
from prenda.search.launchers.base import TrialLauncher, rehearsed
from prenda.search.plan import Plan, make_plan
from prenda.search.recorded_plan import Start, compare_plan, record_plan
from prenda.search.results import finish, open_record
from prenda.search.space import text
from prenda.search.study import check_search, create_study, extend_study, load_study
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
        study = _study(plan, folder)
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


def _study(plan: Plan, folder: Path) -> Study:
    """Return the study of the sweep: new, of an earlier start, or of one that had fewer values.

    Raises:
        ConfigError: If a setting is not valid, or the folder's sweep has other settings; nothing was changed then.
    """
    check_search(plan.search)
    if plan.search.sampler is None:
        list(plan.space.grid())  # refuses an interval
    study = load_study(plan.search, folder)
    start = compare_plan(plan, folder, study)
    if start is not Start.same:
        _rehearse(plan)
    if study is None:
        return create_study(plan.search, folder, plan.name)
    if start is Start.extended:
        drawn = {p.setting: p.distribution for p in plan.space.parameters if p.distribution is not None}
        return extend_study(study, plan.search, folder, plan.name, drawn)
    return study


def _rehearse(plan: Plan) -> None:
    """Build what trials at the bounds of the search space need, without training.

    Raises:
        ConfigError: If a setting is not valid, with the trial in which it was found.
    """
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
    if sweep.left_out:
        total += f" (search.n_trials) and {sweep.left_out} combinations left out"
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
