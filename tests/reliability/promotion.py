"""Attacks on `prenda promote`."""

from __future__ import annotations

import random

from prenda.bundle import format as bundle
from tests.model_selection.test_promote import Store
from tests.prediction.bundles import photo
from tests.reliability.commands import Course
from tests.reliability.records import rows
from tests.reliability.scenario import MOST_FAULTS, Scenario, same

ALIASES = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"
VERSIONS = "SELECT version, run_id FROM model_versions ORDER BY version"
DECISIONS = "SELECT version, value FROM model_version_tags WHERE key = 'prenda.decision' ORDER BY version"


class Promote(Scenario):
    """A promotion that is killed and given again; there is one champion at each moment, the same for all commands."""

    name = "promote"
    modules = (
        "prenda.model_selection.promote",
        "prenda.prediction.classify",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
    )

    def prepare(self) -> None:
        self.home.mkdir(exist_ok=True)
        store = Store(self.home)
        self.runs = {name: store.run(name, right) for name, right in (("old", 250), ("worse", 240), ("better", 450))}
        self.commands.done("promote", "old")
        self.photo = photo(self.folder / "photo.jpg")
        self.keep_home()
        self.courses: dict[tuple[str, ...], Course] = {}

    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        run, more, decision = generator.choice(
            [("better", (), "better"), ("worse", (), "kept out"), ("worse", ("--force", "a reason"), "forced")]
        )
        command = ("promote", run, *more)
        if command not in self.courses:
            self.fresh_home()
            self.courses[command] = self.commands.done(*command).course
        self.fresh_home()
        for _ in range(generator.randint(1, most)):
            if not self.disturb(generator, self.courses[command], *command):
                break
            self.check({self.runs["old"], self.runs[run]})
        self.commands.done(*command)
        self.check({self.runs["old" if decision == "kept out" else run]})
        same("versions", [(1, self.runs["old"]), (2, self.runs[run])], rows(self.home, VERSIONS))
        same("decisions", [(1, "first"), (2, decision)], rows(self.home, DECISIONS))
        same("promotion in progress", False, (self.home / "outputs/champions/.bundles/.promotion.json").exists())
        same("remains", [], [path.name for path in (self.home / "outputs/champions").rglob(".part-*")])

    def check(self, allowed: set[str]) -> None:
        """Check that there is one champion, for MLflow as for `prenda predict`."""
        self.commands.done("predict", str(self.photo), codes=(0, 3))  # 3: the photo is blank
        (alias,) = rows(self.home, ALIASES)
        (run,) = (run for version, run in rows(self.home, VERSIONS) if version == alias[1])
        (place,) = (path for path in (self.home / "outputs/champions").iterdir() if path.name[0] != ".")
        same("champion on the disk", run, bundle.read(place).run_id)
        same("one of the champions", True, run in allowed)
