"""Results of a sweep: MLflow record, tables, figures, HTML report, and the best trial as an experiment file."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from prenda.config.identity import parameters
from prenda.config.schema import TrainConfig
from prenda.errors import UserError
from prenda.report.sweep.report import Swept, SweptTrial, markdown, write_sweep
from prenda.report.tables import read_history
from prenda.search.driver import Sweep
from prenda.search.experiment import EXPERIMENTS, experiment_command, write_experiment
from prenda.search.plan import Plan
from prenda.search.progress import show_end
from prenda.search.recorded_plan import KEPT
from prenda.search.space import VARIABLES, display_values
from prenda.search.study import best_trials, directions, state_of
from prenda.system.atomic_write import write_atomically
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
    write_atomically(folder / KEPT, (sweep.folder / KEPT).read_bytes())
    best = best_trials(sweep.study)
    for place, trial in enumerate(best):
        name = "best_trial" if place == 0 else f"best_trial_{trial.number}"  # conf/experiment/ has a `best` of its own
        try:
            write_experiment(sweep.plan, trial, sweep.folder, folder, name)
        except (UserError, OSError) as error:
            print(f"prenda: trial {trial.number} could not be written as an experiment: {error}", file=sys.stderr)
    description = markdown(swept)
    tags = {f"best/{name}": str(value) for name, value in display_values(best[0]).items()} if best else {}
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
        importance=importance(study),
        best=[trial.number for trial in best_trials(study)],
    )


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
        parameters=display_values(trial),
        values=list(trial.values) if trial.state is TrialState.COMPLETE else [],
        curve=curves.get(objective, {}),
        seconds=trial.user_attrs.get("seconds"),
        note=trial.user_attrs.get("note", "" if same is None else f"the same settings as trial {same}"),
    )


def importance(study: Study) -> dict[str, float]:
    """Return the importance of each parameter for the first objective; empty after too few finished trials.

    A skipped trial repeats another, so it counts neither for the threshold nor for the importance.
    """
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    finished = [trial for trial in trials if state_of(trial) == "finished"]
    if len(finished) < LEAST_TRIALS:
        return {}
    distinct = optuna.create_study(directions=study.directions)
    distinct.add_trials(finished)
    target = (lambda trial: trial.values[0]) if len(study.directions) > 1 else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importances = optuna.importance.get_param_importances(distinct, target=target)
    except (ValueError, RuntimeError, ZeroDivisionError):  # all scores are equal, or no parameter is in all trials
        return {}
    return {setting.removeprefix(VARIABLES): share for setting, share in importances.items()}


def _show(sweep: Sweep, swept: Swept, best: list[FrozenTrial], folder: Path) -> None:
    lines = []
    for trial in best:
        scores = "  ".join(f"{name} {value:.6g}" for name, value in zip(swept.objectives, trial.values, strict=True))
        chosen = " ".join(f"{setting}={value}" for setting, value in display_values(trial).items())
        lines.append(f"Best: trial {trial.number}  {scores}  {chosen}  (run {_to_paste(sweep, trial)})")
    places = {"Sweep": str(folder / "sweep.html")}
    if (folder / EXPERIMENTS / "best_trial.yaml").is_file():
        places["Again"] = experiment_command(sweep.plan, folder, "best_trial")
    if sweep.record.id is not None:
        places["MLflow run"] = f"{sweep.record.id} in {sweep.plan.tracking.uri}"
    show_end(sweep.counts, lines, places)


def _to_paste(sweep: Sweep, trial: FrozenTrial) -> str:
    """Return what names the trial's run in any command: its short id, or offline its folder."""
    folder = sweep.folder / trial.user_attrs["folder"]
    recorded = run_id(folder)
    return shlex.quote(str(folder)) if recorded is None else short_id(recorded)
