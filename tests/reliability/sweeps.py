"""Attacks on a search: `prenda train -m` with a sampler."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.conftest import TINY
from tests.reliability.records import check_whole, recorded_runs
from tests.reliability.scenario import MOST_FAULTS, Scenario, same
from tests.reliability.training import check_record
from tests.training.test_resume import ends_alike
from tests.training.test_train import DENSE

SEEDS, TRIALS = 4, 3
TRIAL = (
    *TINY, *DENSE, "trainer.epochs=3", "trainer.threads=1", "tracking=mlflow", "tracking.system_metrics=false",
)  # fmt: skip


class Sweep(Scenario):
    """A search whose driver is killed, alone or with its trials, and goes on by the same command."""

    name = "sweep"
    modules = ("prenda.commands.train_application", "mlflow.store.tracking.sqlalchemy_store")

    def prepare(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.keep_home()
        self.commands.done("train", "-m", *TRIAL, f"seed=range({SEEDS})", "search.name=whole")
        whole = (self.home / "outputs/sweeps/whole").rename(self.folder / "whole")
        self.whole = {self.seed(trial): trial for trial in (whole / "trials").iterdir()}
        self.records = {run.parameters["seed"]: run for run in recorded_runs(self.home) if "seed" in run.parameters}
        self.sweep = self.home / "outputs/sweeps/search"
        self.fresh_home()
        self.course = self.commands.done(*self.command(workers=1)).course

    def seed(self, trial: Path) -> str:
        """Return the seed of a trial."""
        (line,) = (line for line in (trial / "config.yaml").read_text().splitlines() if line.startswith("seed: "))
        return line.removeprefix("seed: ")

    def command(self, workers: int) -> tuple[str, ...]:
        """Return the command of the search."""
        space = ("search=seeds", "search/sampler=random", f"seed=range({SEEDS})", f"search.n_trials={TRIALS}")
        return ("train", "-m", *TRIAL, *space, "search.name=search", f"workers={workers}")

    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        self.fresh_home()
        command = self.command(generator.choice([1, 1, 2]))
        for _ in range(generator.randint(1, most)):
            if not self.disturb(generator, self.course, *command):
                break
            check_whole(self.sweep)
        self.commands.done(*command)
        self.check()

    def check(self) -> None:
        """Check that each trial ran once, to the bits of an undisturbed run of its seed."""
        check_whole(self.sweep)
        rows: list[dict[str, Any]] = json.loads((self.sweep / "summary/trials.json").read_text())
        same("numbers of the trials", list(range(TRIALS)), sorted(row["number"] for row in rows))
        same("states besides finished and skipped", set(), {row["state"] for row in rows} - {"finished", "skipped"})
        finished = [row for row in rows if row["state"] == "finished"]
        same("finished trials of a seed", len({row["seed"] for row in finished}), len(finished))
        trials = {self.seed(trial): trial for trial in (self.sweep / "trials").iterdir()}
        same("folders of trials", len(finished), len(list((self.sweep / "trials").iterdir())))
        for seed, trial in trials.items():
            ends_alike(self.whole[seed], trial)
        self.check_records(max(row["val/accuracy"] for row in finished), set(trials))

    def check_records(self, best: float, seeds: set[str]) -> None:
        """Check that MLflow has the sweep and each of its trials once."""
        recorded = recorded_runs(self.home)
        (parent,) = (run for run in recorded if run.tags.get("prenda.kind") == "sweep")
        trials = [run for run in recorded if run is not parent]
        same("seeds of the trials in MLflow", sorted(seeds), sorted(run.parameters["seed"] for run in trials))
        same("parents in MLflow", {parent.id}, {run.tags.get("mlflow.parentRunId") for run in trials})
        for run in trials:
            check_record(self.records[run.parameters["seed"]], run)
        same("status of the sweep in MLflow", "FINISHED", parent.status)
        points = parent.points["best/val/accuracy"]
        same("steps of the best score", sorted({step for step, _ in points}), [step for step, _ in points])
        same("best score in MLflow", best, points[-1][1])
