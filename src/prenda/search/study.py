"""Optuna study of a sweep, in a database."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.study import Study

from prenda.config.instantiate import build
from prenda.config.schema import SearchConfig
from prenda.errors import ConfigError
from prenda.search.outcome import AT_THE_END, OBJECTIVES
from prenda.system.redaction import complete, without_passwords

WAIT = 60  # seconds for a lock of a database that is a file


def open_storage(url: str) -> RDBStorage:
    """Open the database and create its tables if they are missing.

    Raises:
        ConfigError: If it does not answer.
    """
    arguments: dict[str, Any] = {"connect_args": {"timeout": WAIT}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(complete(url), engine_kwargs=arguments | {"pool_pre_ping": True})
    except Exception as error:  # each database has its own
        reason = (str(error.__cause__ or error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"search.storage is {without_passwords(url)!r}, which cannot be used ({reason}): start the database or "
            "fix the address, such as postgresql+psycopg2://USER:PASSWORD@HOST/NAME, or leave it out to keep the "
            "study in a file of the sweep."
        ) from error


def open_study(search: SearchConfig, storage: str, name: str) -> Study:
    """Create or load the study of this name, with the sampler and the pruner of `search`.

    Raises:
        ConfigError: If the database does not answer, or a setting of the sampler or pruner is not valid.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if search.pruner is not None and len(search.objectives) > 1:
        raise ConfigError("search.pruner needs one objective, but search.objectives has more: use search/pruner=none.")
    if search.pruner is not None and search.objectives[0] in AT_THE_END:
        raise ConfigError(
            f"search.pruner compares trials epoch by epoch, but search.objectives has {search.objectives[0]!r}, which "
            "is known only at the end of a run: use search/pruner=none, or a validation metric such as val/accuracy."
        )
    pruner = None if search.pruner is None else build(search.pruner, "search.pruner")
    sampler(search, 0)  # refused before the study is created
    study = optuna.create_study(
        study_name=name,
        storage=open_storage(storage),
        pruner=pruner or optuna.pruners.NopPruner(),
        directions=directions(search.objectives),
        load_if_exists=True,
    )
    study.sampler = sampler(search, len(study.trials)) or optuna.samplers.RandomSampler()
    return study


def directions(objectives: Sequence[str]) -> list[Literal["maximize", "minimize"]]:
    """Direction of optimisation for each objective."""
    return ["maximize" if OBJECTIVES[name] else "minimize" for name in objectives]


def sampler(search: SearchConfig, trials: int) -> BaseSampler | None:
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
