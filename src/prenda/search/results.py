"""Results of a sweep: MLflow record, tables, figures, HTML report, and the best trial as an experiment file."""

from __future__ import annotations

import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from prenda.config.convert import as_plain
from prenda.config.identity import parameters
from prenda.config.recorded import load
from prenda.config.schema import TrainConfig
from prenda.report.sweep.report import Swept, SweptTrial, markdown, write_sweep
from prenda.report.tables import read_history
from prenda.search.driver import Sweep, best_trials, state_of
from prenda.search.plan import KEPT, Plan
from prenda.search.progress import show_end
from prenda.search.space import VARIABLES, display_values
from prenda.search.study import directions
from prenda.tracking.records import short_id
from prenda.tracking.run_folder import run_id
from prenda.tracking.runs import Run
from prenda.tracking.sweeps import close_sweep, open_sweep

SUMMARY = "summary"  # in a sweep's folder: the files that MLflow keeps too
LEAST_TRIALS = 6  # finished ones that the importance of parameters needs


def open_record(plan: Plan, folder: Path) -> Run:
    """Open the sweep's MLflow run with its search space and the settings that all trials share."""
    space = {f"space/{setting}": line for setting, line in plan.space.describe().items()}
    chosen = set(plan.space.describe())
    common = {name: value for name, value in parameters(_first(plan)).items() if name not in chosen}
    return open_sweep(plan.tracking, folder / SUMMARY, plan.name, plan.command, common | space)


def finish(sweep: Sweep, stopped: bool) -> None:
    """Write, record and print the results."""
    folder = sweep.folder / SUMMARY
    swept = gather(sweep.plan, sweep.study, sweep.folder)
    write_sweep(folder, swept)
    (folder / KEPT).write_text((sweep.folder / KEPT).read_text(encoding="utf-8"), encoding="utf-8")
    best = best_trials(sweep.study)
    for place, trial in enumerate(best):
        name = "best_trial" if place == 0 else f"best_trial_{trial.number}"  # conf/experiment/ has a `best` of its own
        write_experiment(sweep, trial, folder / "experiment" / f"{name}.yaml")
    description = markdown(swept)
    tags = {f"best/{name}": str(value) for name, value in display_values(best[0].params).items()} if best else {}
    sweep.record.log_description(description)
    if tags:
        sweep.record.log_tags(tags)
    close_sweep(sweep.record, "KILLED" if stopped else "FAILED" if sweep.gave_up else "FINISHED", sweep.folder)
    _show(sweep, swept, best, folder)


def gather(plan: Plan, study: Study, folder: Path) -> Swept:
    """Collect the study's trials for the report."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state is not TrialState.WAITING]
    retried = {trial.user_attrs.get("retry_of") for trial in trials}
    objectives = list(plan.search.objectives)
    return Swept(
        name=plan.name,
        command=plan.command,
        objectives=objectives,
        directions=directions(objectives),
        trials=[_swept(trial, folder, objectives[0]) for trial in trials if trial.number not in retried],
        importance=_importance(study),
        best=[trial.number for trial in best_trials(study)],
    )


def write_experiment(sweep: Sweep, trial: FrozenTrial, path: Path) -> None:
    """Write all settings of a trial as a conf/experiment file that reproduces its run."""
    config = load(sweep.folder / trial.user_attrs["folder"] / "config.yaml")
    plain = as_plain(config)
    decisive = {setting.name for setting in fields(config) if setting.metadata.get("decisive", True)}
    defaults = [{f"override /{group}": choice} for group, choice in config.choices.items() if group in decisive]
    body: dict[str, Any] = {"defaults": defaults, **{name: plain[name] for name in plain if name in decisive}}
    del body["data"]["dir"]  # differs between machines
    scores = ", ".join(
        f"{name} {value:.6g}" for name, value in zip(sweep.plan.search.objectives, trial.values, strict=True)
    )
    head = (
        "# @package _global_\n"
        f"# Trial {trial.number} of the sweep {sweep.plan.name}: {scores}. Bit-identical on the same machine:\n"
        f"#\n#   prenda train --config-dir {path.parents[1]} experiment={path.stem}\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + OmegaConf.to_yaml(OmegaConf.create(body)), encoding="utf-8")


def _first(plan: Plan) -> TrainConfig:
    """Return the configuration of some trial."""
    return plan.configuration(next(plan.space.probes(set(plan.groups))))


def _swept(trial: FrozenTrial, folder: Path, objective: str) -> SweptTrial:
    history = folder / str(trial.user_attrs.get("folder")) / "metrics" / "metrics.csv"
    curves = read_history(history) if history.is_file() else {}
    same = trial.user_attrs.get("same_as")
    return SweptTrial(
        number=trial.number,
        state=state_of(trial),
        parameters=display_values(trial.params),
        values=list(trial.values) if trial.state is TrialState.COMPLETE else [],
        curve=curves.get(objective, {}),
        seconds=trial.user_attrs.get("seconds"),
        note=trial.user_attrs.get("note", "" if same is None else f"the same settings as trial {same}"),
    )


def _importance(study: Study) -> dict[str, float]:
    """Return the importance of each parameter for the first objective; empty after too few finished trials."""
    finished = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    if len(finished) < LEAST_TRIALS:
        return {}
    target = (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importances = optuna.importance.get_param_importances(study, target=target)
    except (ValueError, RuntimeError, ZeroDivisionError):  # all scores are equal, or no parameter is in all trials
        return {}
    return {setting.removeprefix(VARIABLES): share for setting, share in importances.items()}


def _show(sweep: Sweep, swept: Swept, best: list[FrozenTrial], folder: Path) -> None:
    lines = []
    for trial in best:
        scores = "  ".join(f"{name} {value:.6g}" for name, value in zip(swept.objectives, trial.values, strict=True))
        chosen = " ".join(f"{setting}={value}" for setting, value in display_values(trial.params).items())
        lines.append(f"Best: trial {trial.number}  {scores}  {chosen}  (run {_to_paste(sweep, trial)})")
    places = {"Sweep": str(folder / "sweep.html")}
    if best:
        places["Again"] = f"prenda train --config-dir {folder} experiment=best_trial"
    if sweep.record.id is not None:
        places["MLflow run"] = f"{sweep.record.id} in {sweep.plan.tracking.uri}"
    show_end(sweep.counts, lines, places)


def _to_paste(sweep: Sweep, trial: FrozenTrial) -> str:
    """Return what names the trial's run in any command: its short id, or offline its folder."""
    folder = sweep.folder / trial.user_attrs["folder"]
    recorded = run_id(folder)
    return str(folder) if recorded is None else short_id(recorded)
