from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import optuna
import pytest

from prenda.cli import main
from prenda.search.study import open_storage
from prenda.system.sqlite_address import sqlite_address
from tests import forked
from tests.conftest import TINY
from tests.forked import ForkedCommand

SWEPT = (*TINY, "backbone=dense", "backbone.units=[16]")


class Sweeps:
    """`prenda train -m` as its users run it, and what its sweeps left.

    Args:
        home: The folder of `outputs`.
        forks: Whether drivers and trials are forked from a process that has imported everything.
    """

    def __init__(self, home: Path, forks: bool = True) -> None:
        self.home, self.forks = home, forks

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a sweep in a process group of its own."""
        command = ["train", "-m", *SWEPT, *arguments]
        options: dict[str, Any] = {
            "env": os.environ | {"PRENDA_HOME": str(self.home)},
            "cwd": self.home.parent,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,
        }
        if self.forks:
            return ForkedCommand(command, **options)
        return subprocess.Popen([sys.executable, "-m", "prenda", *command], text=True, **options)

    def run(self, *arguments: str, code: int = 0, pictures: bool = False) -> str:
        """Runs a sweep to its end, its driver in this process; returns what it printed.

        Pictures take a second, so they are drawn only where a test asks for them.
        """
        if self.forks:
            forked.ready()  # whose fork server has all that trials import
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors), pytest.MonkeyPatch.context() as patch:
            if not pictures:
                patch.setattr("prenda.report.sweep.report._pictures", lambda *_: [])
            ended = main(["train", "-m", *SWEPT, *arguments])
        printed = out.getvalue() + errors.getvalue()
        assert ended == code, "\n".join([printed, *self.notes()])
        return printed

    @property
    def folder(self) -> Path:
        (folder,) = (self.home / "outputs/sweeps").iterdir()
        return folder

    @property
    def storage(self) -> str:
        return sqlite_address(self.folder / "study.db")

    def study(self) -> optuna.Study:
        return optuna.load_study(study_name=(self.folder / ".study").read_text(), storage=open_storage(self.storage))

    def studies(self) -> list[str]:
        return optuna.get_all_study_names(open_storage(self.storage))

    def trials(self) -> list[dict[str, Any]]:
        """The rows of the sweep's table."""
        return json.loads((self.folder / "summary/trials.json").read_text())

    def notes(self) -> list[str]:
        """Why trials did not finish: an earlier start of the sweep may have said so, to nobody."""
        failed = [trial for trial in self.study().trials if "note" in trial.user_attrs]
        errors = [path.read_text(encoding="utf-8") for path in self.folder.rglob("error.txt")]
        return [*(f"trial {trial.number}: {trial.user_attrs['note']}" for trial in failed), *errors]

    def states(self) -> list[str]:
        return [row["state"] for row in sorted(self.trials(), key=lambda row: row["number"])]


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    monkeypatch.setattr(sys, "argv", sys.argv)  # which Hydra's front takes its arguments from
    return Sweeps(tmp_path / "home")
