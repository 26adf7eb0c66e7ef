"""Attacks on `prenda train` and `prenda resume`."""

from __future__ import annotations

import random

from prenda.tracking.run_folder import is_finished
from tests.conftest import TINY
from tests.reliability.records import RecordedRun, check_whole, files, recorded_runs
from tests.reliability.scenario import MOST_FAULTS, Scenario, same
from tests.training.test_resume import SETTINGS, ends_alike
from tests.training.test_train import DENSE

# Everything that a run draws, keeps and records, but for the pictures of a full report.
RUN = (
    *TINY, *DENSE, *SETTINGS, "data.limit_train=600", "trainer.epochs=4", "trainer.threads=1", "tracking=mlflow",
    "tracking.system_metrics=false", "report=light",
)  # fmt: skip


class Train(Scenario):
    """A run that is interrupted and goes on by the same command."""

    name = "train"
    modules = (
        "prenda.commands.train_application",
        "prenda.training.resume",
        "prenda.training.bundling",
        "mlflow.store.tracking.sqlalchemy_store",
    )

    def prepare(self) -> None:
        self.run, self.whole = self.home / "outputs/runs/day/run", self.folder / "whole"
        self.command = ("train", *RUN, f"hydra.run.dir={self.run}")
        self.commands.done("runs", codes=(0, 2))  # makes no store
        self.home.mkdir(exist_ok=True)
        self.keep_home()
        self.course = self.commands.done(*self.command).course
        self.run.rename(self.whole)
        (self.reference,) = recorded_runs(self.home)

    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        self.fresh_home()
        for _ in range(generator.randint(1, most)):
            if not self.disturb(generator, self.course, *self.next_command()):
                break
            check_whole(self.run)
        self.commands.done(*self.next_command())
        self.check()

    def next_command(self) -> tuple[str, ...]:
        """Return the command that goes on."""
        return self.command

    def check(self) -> None:
        """Check that the run ended as the undisturbed one did."""
        ends_alike(self.whole, self.run)
        check_whole(self.run)
        table = "metrics/metrics.csv"
        same(table, (self.whole / table).read_text(), (self.run / table).read_text())
        # The note about the lock stays if the run was killed after its end; the lock itself does not.
        same("files of the run", files(self.whole), files(self.run) - {".writer"})
        (run,) = recorded_runs(self.home)
        check_record(self.reference, run)


class Resume(Train):
    """A run that is interrupted and goes on by `prenda resume`."""

    name = "resume"

    def next_command(self) -> tuple[str, ...]:
        if is_finished(self.run):  # only its last records may be missing
            return ("sync", str(self.run))
        return ("resume", str(self.run)) if (self.run / "config.yaml").is_file() else self.command


def check_record(expected: RecordedRun, run: RecordedRun) -> None:
    """Check that MLflow has of a run what it has of an undisturbed one: each point once and in order."""
    same("status in MLflow", "FINISHED", run.status)
    for name in expected.points.keys() | run.points.keys():
        same(f"{name} in MLflow", expected.points.get(name), run.points.get(name))
    same("models of the run in MLflow", expected.models, run.models)
    # The traceback of a stop stays in the store.
    same("files in MLflow", set(expected.files), set(run.files) - {"error.txt"})
    same("tags in MLflow", set(expected.tags), set(run.tags))
    same("parameters in MLflow", expected.parameters, run.parameters)
