"""Every metric that is monitored, swept or documented is one that a run logs or scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prenda.config.paths import CONFIG_DIR, REPOSITORY
from prenda.report.tables import read_history
from prenda.search.outcome import AT_THE_END, EACH_EPOCH, OBJECTIVES
from prenda.training.checkpoints import MONITOR
from prenda.training.train import train
from tests.conftest import TINY, configured, unwritten
from tests.training.test_train import DENSE

GUIDES = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"), *CONFIG_DIR.rglob("*.yaml")]
# `val/accuracy` and the like; neither a path (`predictions/test.npz`) nor a group of names (`best/val/…`).
NAME = re.compile(r"(?<![\w/.])(?:best/)?(?:train|val|test)/[a-z0-9_]+(?:/[\w-]+)?(?![\w/.]*\w)")
# Metrics that a reader of docs/extending adds.
EXAMPLES = {"val/mrr", "test/mrr", "best/val/mrr", "val/weight_norm"}


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> dict[str, set[str]]:
    """Names of the figures of each epoch and of the scores at the end."""
    folder = tmp_path_factory.mktemp("run")
    with unwritten():
        train(configured(*TINY, *DENSE, "report=full"), folder)
    scores = json.loads((folder / "scores.json").read_text())
    return {"epoch": set(read_history(folder / "metrics/metrics.csv")), "end": set(scores)}


def names_in(path: Path) -> set[str]:
    return set(NAME.findall(path.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_what_is_monitored_is_logged_each_epoch(known):
    assert MONITOR in known["epoch"]


def test_objectives_are_scored_and_what_a_pruner_looks_at_is_logged_each_epoch(known):
    assert set(EACH_EPOCH) <= known["epoch"]
    assert {f"best/{name}" for name in EACH_EPOCH} | set(AT_THE_END) <= known["end"]
    assert set(OBJECTIVES) == set(EACH_EPOCH) | set(AT_THE_END)


@pytest.mark.parametrize("path", [path for path in GUIDES if names_in(path)], ids=lambda path: path.name)
def test_what_is_documented_is_logged_or_scored(path, known):
    assert names_in(path) - EXAMPLES <= known["epoch"] | known["end"]


def test_pages_name_metrics(known):
    found = set().union(*map(names_in, GUIDES))
    assert {"val/accuracy", "val/brier", "best/val/accuracy", "test/f1/T-shirt-top"} <= found


def test_directions_in_the_guide_are_those_of_the_registry():
    guide = (REPOSITORY / "docs/sweeps.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (maximised|minimised) \| (.*?) \|$", guide, re.MULTILINE))
    larger, smaller = (re.findall(r"`(.*?)`", rows[direction]) for direction in ("maximised", "minimised"))
    assert all(OBJECTIVES[name] for name in larger)
    assert not any(OBJECTIVES[name] for name in smaller)
    assert set(AT_THE_END) <= set(smaller)
