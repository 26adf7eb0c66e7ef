"""Optuna study of a sweep, in a database."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from prenda.config.instantiate import build
from prenda.config.schema import SearchConfig
from prenda.errors import ConfigError
from prenda.search.outcome import AT_THE_END, OBJECTIVES
from prenda.system.atomic_write import write_atomically
from prenda.system.redaction import complete, without_passwords
from prenda.system.sqlite_address import sqlite_address

WAIT = 60  # seconds for a lock of a database that is a file
STUDY = ".study"  # in a sweep's folder: the study's name in its database


def check_search(search: SearchConfig) -> None:
    """Check the settings of a sweep that its study uses.

    Raises:
        ConfigError: If one of them is not valid, or they do not agree.
    """
    objectives = search.objectives
    if not objectives:
        raise ConfigError(f"search.objectives is []: name at least one of {', '.join(OBJECTIVES)}.")
    for objective in objectives:
        if not isinstance(objective, str) or objective not in OBJECTIVES:
            raise ConfigError(f"search.objectives has {objective!r}: choose among {', '.join(OBJECTIVES)}.")
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"search.objectives is [{', '.join(objectives)}]: name each score once.")
    if search.sampler is not None and search.n_trials is None and search.hours is None:
        raise ConfigError("search.n_trials and search.hours are null: give the search an end by one of them.")
    if search.pruner is not None and len(objectives) > 1:
        raise ConfigError("search.pruner needs one objective, but search.objectives has more: use search/pruner=none.")
    if search.pruner is not None and objectives[0] in AT_THE_END:
        raise ConfigError(
            f"search.pruner compares trials epoch by epoch, but search.objectives has {objectives[0]!r}, which "
            "is known only at the end of a run: use search/pruner=none, or a validation metric such as val/accuracy."
        )
    _pruner(search)
    _sampler(search, 0)


def open_storage(url: str) -> RDBStorage:
    """Open the database and create its tables if they are missing.

    Raises:
        ConfigError: If it does not answer.
    """
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):  # without a pool, nothing is open between two questions
        arguments = {"connect_args": {"timeout": WAIT}, "poolclass": NullPool}
    try:
        return RDBStorage(complete(url), engine_kwargs=arguments)
    except Exception as error:  # each database has its own
        reason = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
        if url.startswith("sqlite"):
            raise ConfigError(
                f"The study in {without_passwords(url)} cannot be used ({reason}): wait for a program that holds it, "
                "restore the file from a copy, or start another sweep with search.name=…"
            ) from error
        raise ConfigError(
            f"search.storage is {without_passwords(url)!r}, which cannot be used ({reason}): start the database or "
            "fix the address, such as postgresql+psycopg2://USER:PASSWORD@HOST/NAME, or leave it out to keep the "
            "study in a file of the sweep."
        ) from error


def storage_address(search: SearchConfig, folder: Path) -> str:
    """Return the address of the study's database: `search.storage`, or a file in the sweep's folder."""
    return search.storage or sqlite_address(folder / "study.db")


def create_study(search: SearchConfig, folder: Path, sweep: str) -> Study:
    """Create the study of a new sweep.

    Raises:
        ConfigError: If its database does not answer.
    """
    study = _created(search, open_storage(storage_address(search, folder)), sweep)
    write_atomically(folder / STUDY, study.study_name)
    return study


def load_study(search: SearchConfig, folder: Path) -> Study | None:
    """Return the study of the folder's sweep as an earlier start left it; None for a new sweep.

    Raises:
        ConfigError: If its database does not answer, or does not hold the study.
    """
    path = folder / STUDY
    if not path.is_file():
        return None
    name, address = path.read_text(encoding="utf-8"), storage_address(search, folder)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(address)
    try:
        study = optuna.load_study(study_name=name, storage=storage, pruner=_pruner(search))
    except KeyError as error:
        raise ConfigError(
            f"The sweep in {folder} keeps its study {name} in another database than {without_passwords(address)}: give "
            "the search.storage that it was started with, or start another sweep with search.name=…"
        ) from error
    study.sampler = _sampler(search, len(study.trials)) or optuna.samplers.RandomSampler()
    return study


def extend_study(
    study: Study, search: SearchConfig, folder: Path, sweep: str, distributions: Mapping[str, BaseDistribution]
) -> Study:
    """Replace the study of a grid by one with more values: Optuna allows no other values in the same study.

    Args:
        study: Study of the earlier start.
        search: Settings of the sweep.
        folder: Folder of the sweep.
        sweep: Name of the sweep.
        distributions: Values of each setting of the grid.
    """
    wider = _created(search, study._storage, sweep)
    for trial in study.get_trials():
        if trial.state is not TrialState.WAITING:
            trial.distributions = {name: distributions[name] for name in trial.params}
            wider.add_trial(trial)
    for name, value in study.user_attrs.items():
        wider.set_user_attr(name, value)
    write_atomically(folder / STUDY, wider.study_name)
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    return wider


def fixed(chosen: Mapping[str, Any]) -> str:
    """Return a combination of a grid as a text that is the same for the same values."""
    return json.dumps(chosen, sort_keys=True)


def queued(study: Study) -> set[str] | None:
    """Return the combinations of a grid that its study holds; None for the study of a search."""
    attributes = [trial.system_attrs for trial in study.get_trials(deepcopy=False)]
    if any("fixed_params" not in each for each in attributes):
        return None
    return {fixed(each["fixed_params"]) for each in attributes}


def directions(objectives: Sequence[str]) -> list[Literal["maximize", "minimize"]]:
    """Direction of optimisation for each objective."""
    return ["maximize" if OBJECTIVES[name] else "minimize" for name in objectives]


def state_of(trial: FrozenTrial) -> str:
    """Return a trial's state as the sweep shows it: finished, pruned, failed, skipped or interrupted."""
    if "same_as" in trial.user_attrs:
        return "skipped"
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return states.get(trial.state, "interrupted")


def best_trials(study: Study) -> list[FrozenTrial]:
    """Return the best finished trial, the first of equals, or the Pareto front sorted by the first objective."""
    finished = [trial for trial in study.best_trials if "same_as" not in trial.user_attrs]
    sign = -1 if study.directions[0].name == "MAXIMIZE" else 1
    finished.sort(key=lambda trial: (sign * trial.values[0], trial.number))
    return finished if len(study.directions) > 1 else finished[:1]


def _created(search: SearchConfig, storage: BaseStorage, sweep: str) -> Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        study_name=f"{sweep}-{uuid4().hex[:6]}",
        storage=storage,
        sampler=_sampler(search, 0) or optuna.samplers.RandomSampler(),
        pruner=_pruner(search),
        directions=directions(search.objectives),
    )


def _pruner(search: SearchConfig) -> BasePruner:
    if search.pruner is None:
        return optuna.pruners.NopPruner()
    built: BasePruner = build(search.pruner, "search.pruner")
    return built


def _sampler(search: SearchConfig, trials: int) -> BaseSampler | None:
    """Build the sampler of `search`; the number of trials shifts its seed, so a resumed study draws new values."""
    if search.sampler is None:
        return None
    seed = search.sampler.get("seed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # the Optuna version is pinned
        built: BaseSampler = build(
            search.sampler, "search.sampler", **({} if seed is None else {"seed": seed + trials})
        )
    return built
