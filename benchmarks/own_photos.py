"""Accuracy of `experiment=shop_own` with few labelled photos a class, from the command to the bundle.

    python benchmarks/own_photos.py --photos FOLDER --shop BUNDLE --each 5 20 --draws 5 [OVERRIDE …]

FOLDER has a sub-folder for each class, of photos that the shop bundle was not trained on. Each draw takes --each photos
of every class at random, at most half of them, and scores on all others. A fifth of what it takes, at least one photo a
class, is for validation. Further arguments are overrides of `prenda train`. The table gives the mean over draws with
its standard error, and the seconds from the command to the bundle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from written import table


@dataclass(frozen=True)
class Draw:
    """What one training reached."""

    accuracy: float
    seconds: float


def choose(photos: Path, each: int, seed: int, target: Path) -> None:
    """Link a random choice of photos into train/, validation/ and test/ folders."""
    random = np.random.default_rng(seed)
    for folder in sorted(path for path in photos.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        order = [files[index] for index in random.permutation(len(files))]
        taken = min(each, len(files) // 2)
        validation = max(1, taken // 5)
        parts = {"train": order[validation:taken], "validation": order[:validation], "test": order[taken:]}
        for split, chosen in parts.items():
            (target / split / folder.name).mkdir(parents=True)
            for file in chosen:
                (target / split / folder.name / file.name).symlink_to(file.resolve())


def train(data: Path, home: Path, shop: str, overrides: Sequence[str]) -> Draw:
    """Train as a user does, and read the scores of the run."""
    folder = home / "run"
    settings = [f"data.dir={data}", f"init_from={shop}", f"hydra.run.dir={folder}", "report=light", *overrides]
    command = [sys.executable, "-m", "prenda", "train", "experiment=shop_own", *settings]
    before = time.perf_counter()
    ended = subprocess.run(command, env=os.environ | {"PRENDA_HOME": str(home)}, text=True, capture_output=True)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    seconds = time.perf_counter() - before
    scores = json.loads((folder / "bundle" / "model.json").read_text("utf-8"))["scores"]
    return Draw(scores["test/accuracy"], seconds)


def measure(photos: Path, shop: str, each: int, draws: int, overrides: Sequence[str]) -> list[Draw]:
    found = []
    for seed in range(draws):
        with tempfile.TemporaryDirectory() as scratch:
            data = Path(scratch) / "photos"
            choose(photos, each, seed, data)
            found.append(train(data, Path(scratch) / "home", shop, [*overrides, f"seed={seed}"]))
        print(f"{each} photos a class, draw {seed}: {found[-1].accuracy:.2%} in {found[-1].seconds:.0f} s", flush=True)
    return found


def row(each: int, draws: Sequence[Draw]) -> list[str]:
    accuracies = [draw.accuracy for draw in draws]
    error = statistics.stdev(accuracies) / sqrt(len(accuracies)) if len(accuracies) > 1 else float("nan")
    seconds = statistics.median(draw.seconds for draw in draws)
    return [str(each), f"{statistics.mean(accuracies):.1%}", f"{error:.1%}", f"{seconds:.0f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of one sub-folder a class")
    parser.add_argument("--shop", required=True, help="bundle or run that training starts from")
    parser.add_argument("--each", type=int, nargs="+", default=[5, 20], help="photos a class (default: 5 20)")
    parser.add_argument("--draws", type=int, default=5, help="random choices (default: %(default)s)")
    asked, overrides = parser.parse_known_args(arguments)
    rows = [row(each, measure(asked.photos, asked.shop, each, asked.draws, overrides)) for each in asked.each]
    print("\n" + table(["photos a class", "test accuracy", "standard error", "seconds"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
