"""The page that says how to add a metric is followed to the letter, in a copy of the package."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prenda.config.paths import REPOSITORY
from tests import forked
from tests.conftest import TINY

PAGE = REPOSITORY / "docs/extending/metrics.md"
DENSE = ("backbone=dense", "backbone.units=[16]", "trainer.threads=1")


def add_last_entry(module: Path, entry: str) -> None:
    """Makes the entry the last one of the module's `METRICS`."""
    lines = module.read_text(encoding="utf-8").splitlines(keepends=True)
    tree = ast.parse("".join(lines))
    (end,) = (
        node.end_lineno
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "METRICS"
    )
    assert lines[end - 1] == ")\n"
    module.write_text("".join([*lines[: end - 1], entry, *lines[end - 1 :]]), encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A copy of package, configuration and tests with the page's metric, where two runs were trained and compared."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("src", "conf", "tests"):
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shown = r"```python\nMETRICS = \(\n    \.\.\.,  # the entries that are there\n(.*?)\)\n```"
    (entry,) = re.findall(shown, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    add_last_entry(copy / "src/prenda/scoring/metrics.py", entry)
    for seed in (0, 1):
        printed = prenda(copy, "train", *TINY, *DENSE, f"seed={seed}", f"hydra.run.dir={copy / f'run{seed}'}")
        (copy / f"train{seed}.txt").write_text(printed)
    compared = prenda(copy, "compare", str(copy / "run0"), str(copy / "run1"), "--no-record")
    (copy / "compare.txt").write_text(compared)
    return copy


def environment(copy: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(copy / "src"),
        "PRENDA_HOME": str(copy / "home"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
    }


def prenda(copy: Path, *arguments: str) -> str:
    done = forked.run(arguments, cwd=copy, env=environment(copy))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(folder: Path, split: str) -> float:
    """The mean reciprocal rank from a run's kept logits, by sorting them."""
    with np.load(folder / f"predictions/{split}.npz") as kept:
        order = np.argsort(-kept["logits"], axis=1)
        places = (order == kept["labels"][:, None]).argmax(1) + 1
    return float((1 / places).mean())


@pytest.mark.slow
def test_it_is_in_the_scores_and_in_the_metrics_of_each_epoch(home):
    scores = json.loads((home / "run0/scores.json").read_text())
    assert scores["test/mrr"] == pytest.approx(expected(home / "run0", "test"), rel=1e-6)
    assert scores["best/val/mrr"] == pytest.approx(expected(home / "run0", "val"), rel=1e-6)
    with (home / "run0/metrics/metrics.csv").open(newline="") as file:
        (epoch,) = csv.DictReader(file)
    assert float(epoch["val/mrr"]) == pytest.approx(scores["best/val/mrr"], rel=1e-6)


def test_it_is_in_the_table_that_ends_a_training(home):
    scores = json.loads((home / "run0/scores.json").read_text())
    cells = rf"│ mrr +│ {scores['best/val/mrr']:.4f} │ {scores['test/mrr']:.4f} │"
    assert re.search(cells, (home / "train0.txt").read_text())


def test_it_is_compared(home):
    first, second = (json.loads((home / f"run{seed}/scores.json").read_text())["test/mrr"] for seed in (0, 1))
    cells = rf"│ mrr +│ +{first:.4f} │ +{second:.4f} │ +{re.escape(f'{second - first:+.4f}')} │"
    assert re.search(cells, (home / "compare.txt").read_text())


@pytest.mark.slow
def test_a_sweep_makes_it_large_and_a_pruner_looks_at_it(home):
    search = ("search=optimizer", "search.objectives=[val/mrr]", "search.n_trials=2", "search.name=mrr")
    printed = prenda(home, "train", "-m", *TINY, *DENSE, *search)
    trials = json.loads((home / "home/outputs/sweeps/mrr/summary/trials.json").read_text())
    best = max(trial["val/mrr"] for trial in trials if trial["state"] == "finished")
    assert f"val/mrr {best:.6g}" in printed


@pytest.mark.slow
def test_the_tests_of_the_registry_take_it(home):
    page = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"```\npytest (.*)\n```", page)
    shutil.copy(REPOSITORY / "pyproject.toml", home)
    words = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", command]
    done = subprocess.run(words, cwd=home, env=environment(home), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_a_metric_needs_what_it_says[mrr] PASSED" in done.stdout
