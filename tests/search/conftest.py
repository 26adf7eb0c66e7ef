from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.conftest import TINY

SWEPT = (*TINY, "backbone=dense", "backbone.units=[16]")


class Sweeps:
    """`prenda train -m` as its users run it, and what its sweeps left."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a sweep in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "prenda", "train", "-m", *SWEPT, *arguments],
            env=os.environ | {"PRENDA_HOME": str(self.home)},
            cwd=self.home.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Runs a sweep to its end; returns what it printed."""
        with self.start(*arguments) as process:
            try:
                printed, _ = process.communicate(timeout=240)
            finally:
                process.kill()
        assert process.returncode == code, printed
        return printed

    @property
    def folder(self) -> Path:
        (folder,) = (self.home / "outputs/sweeps").iterdir()
        return folder

    def study(self) -> optuna.Study:
        storage = f"sqlite:///{self.folder / 'study.db'}"
        return optuna.load_study(study_name=(self.folder / ".study").read_text(), storage=storage)

    def trials(self) -> list[dict[str, Any]]:
        """The rows of the sweep's table."""
        return json.loads((self.folder / "summary/trials.json").read_text())

    def states(self) -> list[str]:
        return [row["state"] for row in sorted(self.trials(), key=lambda row: row["number"])]


@pytest.fixture
def sweeps(tmp_path: Path) -> Sweeps:
    return Sweeps(tmp_path / "home")


Start = Callable[..., subprocess.Popen[str]]
