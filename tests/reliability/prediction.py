"""Attacks on `prenda predict`."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from PIL import Image

from prenda.prediction.sorting import PART
from tests.prediction.bundles import write_bundle
from tests.reliability.commands import Course
from tests.reliability.scenario import MOST_FAULTS, Scenario, contents, same

PHOTOS = 48
MINE = "a file of somebody's that has a photo's name"


class Predict(Scenario):
    """Photos that are sorted and answered by a command that is killed and given again."""

    name = "predict"
    modules = ("prenda.prediction.classify",)

    def prepare(self) -> None:
        self.home.mkdir(exist_ok=True)
        model = write_bundle(self.folder / "model")
        shop = self.folder / "shop"
        for number in range(PHOTOS):
            _picture(
                shop / f"shelf {number % 4}/{number // 4 % 5}.jpg" if number % 3 else shop / f"{number}.png", number
            )
        self.answers, self.sorted = self.home / "answers.csv", self.home / "sorted"
        self.command = ("predict", str(shop), "--model", str(model))
        self.courses: dict[tuple[str, ...], tuple[Course, dict[str, bytes]]] = {}

    def begin(self) -> None:
        """Make a home in which somebody's own file stands where a photo would be sorted to."""
        shutil.rmtree(self.home, ignore_errors=True)
        for kind in ("Dress", "Bag", "T-shirt-top"):
            (self.sorted / kind).mkdir(parents=True)
            (self.sorted / kind / "1.jpg").write_text(MINE)

    def undisturbed(self, options: tuple[str, ...]) -> tuple[Course, dict[str, bytes]]:
        """Return the course of a command and what it leaves."""
        if options not in self.courses:
            self.begin()
            self.courses[options] = self.commands.done(*self.command, *options).course, contents(self.home)
        return self.courses[options]

    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        options = generator.choice(
            [
                ("--sort-into", str(self.sorted)),
                ("--sort-into", str(self.sorted), "--output", str(self.answers)),
                ("--sort-into", str(self.sorted), "--link"),
                ("--output", str(self.answers)),
            ]
        )
        course, expected = self.undisturbed(options)
        self.begin()
        before = self.faults
        for _ in range(generator.randint(1, most)):
            if not self.disturb(generator, course, *self.command, *options):
                break
            self.check_interrupted(expected)
        self.commands.done(*self.command, *options)
        found = contents(self.home)
        parts = {name for name in found if Path(name).name.startswith(PART)}  # a later command deletes them
        same("no more unfinished copies than faults", True, len(parts) <= self.faults - before)
        same("files", set(expected), set(found) - parts)
        for name, content in expected.items():
            same(f"content of {name}", True, content == found[name])

    def check_interrupted(self, expected: dict[str, bytes]) -> None:
        """Check that each file under a final name is whole."""
        for name, content in contents(self.home).items():
            if not name.endswith(".part") and not any(part.startswith(".") for part in Path(name).parts):
                same(f"{name} is whole", True, content == expected.get(name))


def _picture(path: Path, number: int) -> None:
    """Write a photo; no two of them are equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    color = [0, 0, 0]
    color[number % 3] = 255 - number
    Image.new("RGB", (300, 200), tuple(color)).save(path)
