"""docs/extending/data-sets.md, followed to the letter in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from prenda.tracking.store import connect
from tests import forked
from tests.extending.pages import commands_of, copy_with, files_of

PAGE = "data-sets.md"
COMMANDS = commands_of(PAGE)
RUN = "cnn_batch_norm-accessories-epochs=3-seed0"
CLASSES = ["Hat", "Scarf", "Glove"]
# What makes a training shorter, and changes neither its result nor its name.
SHORTER = ["trainer.accelerator=cpu", "trainer.threads=1", "report=light", "tracking.system_metrics=false"]
NAMED = f"tracking.run_name='{RUN}'"  # the name that the page shows; a device is named too


def write_images(path: Path, seed: int) -> None:
    """300 training and 60 test images: each class is bright in a third of its own, mirrored or not."""
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", 300), ("test", 60)):
        labels = np.arange(count) % 3
        images = random.integers(0, 100, (count, 24, 28), dtype=np.uint8)
        for label in range(3):
            images[labels == label, 8 * label : 8 * label + 8] += 100
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)


@dataclass
class Checkout:
    """A copy of the project, and what each command of the page printed in it."""

    folder: Path
    printed: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = shlex.split(command)
        assert program == "prenda"
        environment = {name: value for name, value in os.environ.items() if name != "PRENDA_HOME"}
        own = {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}
        return forked.run([*arguments, *more], env=environment | own, cwd=self.folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """The copy with the page's files in it, after the page's commands."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    copy_with(PAGE, made.folder)
    write_images(made.folder / "data/accessories.npz", seed=0)
    for command in COMMANDS:
        done = made.run(command, *([*SHORTER, NAMED] if command.startswith("prenda train") else []))
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        made.printed[command.split()[1]] = done.stdout
    return made


def test_the_page_has_a_python_file_a_yaml_file_and_commands():
    assert list(files_of(PAGE)) == ["src/prenda/data/datasets/accessories.py", "conf/data/accessories.yaml"]
    assert [command.split()[1] for command in COMMANDS] == ["data", "train", "evaluate", "promote"]


@pytest.mark.slow
def test_a_picture_of_the_images_is_written_into_the_copy(checkout):
    picture = Path(checkout.printed["data"].strip())
    assert picture == (checkout.folder / "outputs/accessories.png").resolve()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_run_is_scored_on_its_classes(checkout):
    assert RUN in checkout.printed["train"]
    (written,) = checkout.folder.glob("outputs/runs/*/*/classes/test.json")
    rows = {row["class"]: row for row in json.loads(written.read_text(encoding="utf-8"))}
    assert [rows[name]["support"] for name in CLASSES] == [20, 20, 20]
    kept = np.load(written.parents[1] / "predictions/test.npz")
    assert kept["class_names"].tolist() == CLASSES
    assert (kept["logits"].argmax(1) == kept["labels"]).mean() > 0.9


@pytest.mark.slow
def test_the_model_card_has_its_text(checkout):
    store = connect(f"sqlite:///{checkout.folder}/mlruns/mlflow.db")
    card = store.get_model_version_by_alias("accessories", "champion").description
    sections = dict(re.findall(r"^## (.+?)\n\n(.+?)(?=\n\n## |\Z)", card, re.MULTILINE | re.DOTALL))
    assert sections["Intended use"] == "Sorting studio pictures of accessories. Not for customers' photos."
    assert sections["Data"].startswith("Accessories: grey pictures of hats, scarves and gloves from our own studio.\n")
    assert "- Validation: 60 images split from training" in sections["Data"]
    assert sections["Limits"].splitlines()[-1] == "- Every picture was taken from above, in the same light."


@pytest.mark.slow
def test_images_that_changed_are_refused_unless_asked(checkout):
    images, evaluate = checkout.folder / "data/accessories.npz", f"prenda evaluate {RUN}"
    before = images.read_bytes()
    try:
        write_images(images, seed=1)
        done = checkout.run(evaluate)
        assert done.returncode == 2
        assert f"--data-dir is {checkout.folder / 'data'}, where accessories has the content" in done.stderr
        assert f"but {RUN} was trained on" in done.stderr
        assert checkout.run(evaluate, "--any-data").returncode == 0
    finally:
        images.write_bytes(before)


@pytest.mark.slow
def test_the_same_images_in_another_folder_are_taken(checkout, tmp_path):
    write_images(tmp_path / "accessories.npz", seed=0)
    assert checkout.run(f"prenda evaluate {RUN} --data-dir {tmp_path}").returncode == 0


def test_a_file_that_is_not_there_is_named(checkout, tmp_path):
    done = checkout.run(f"prenda data show accessories --dir {tmp_path}")
    assert done.returncode == 2
    assert f"--dir is {tmp_path}, where accessories.npz cannot be read" in done.stderr
    assert "put the file there, or give --dir the folder that holds it." in done.stderr
