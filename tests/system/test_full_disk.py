"""A disk that is really full: a small file system in memory, which needs the permission to mount it."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytorch_lightning import Trainer

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.cli import main
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.checkpoint_digest import damage
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.model_selection.test_promote import Store
from tests.prediction.bundles import photo, write_bundle
from tests.training.test_resume import FOUR_EPOCHS, ends_alike
from tests.training.test_train import DENSE

ROOM = "make room on the disks of outputs/, mlruns/ and temporary files, then "


class Disk:
    """A disk of 24 MB that a test fills and empties."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self) -> None:
        """Take all room, but for what a new folder and an empty file need."""
        with self._ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            file.writelines(itertools.repeat(b"\0" * 4096))

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted: {mounted.stderr.strip()}")
    monkeypatch.setenv("PRENDA_HOME", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_training_on_a_full_disk_ends_in_one_line_and_resumes_to_the_same_bits(disk, tmp_path, monkeypatch, capsys):
    folder = disk.folder / "outputs/run"

    def fill(_: object, trainer: Trainer, *__: object) -> None:
        if trainer.current_epoch == 2:
            disk.fill()

    monkeypatch.setattr(TrainingProgress, "on_train_epoch_start", fill)
    settings = [*TINY, *DENSE, *FOUR_EPOCHS, "trainer.threads=1"]
    assert main(["train", *settings, f"hydra.run.dir={folder}"]) == 1
    monkeypatch.undo()
    told = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"prenda: \[Errno 28\] .*: {re.escape(ROOM)}`prenda resume {folder}`", told[0])
    assert not [line for line in told if "Traceback" in line]
    assert [damage(folder / f"checkpoints/{name}.ckpt") for name in ("best", "last")] == ["", ""]
    assert main(["resume", str(folder)]) == 1  # still full
    assert ROOM in capsys.readouterr().err
    disk.make_room()
    assert main(["resume", str(folder)]) == 0
    ends_alike(train(configured(*TINY, *DENSE, *FOUR_EPOCHS), tmp_path / "whole").folder, folder)


def test_answers_and_sorted_photos_survive_a_full_disk(disk, tmp_path, capsys):
    model = write_bundle(tmp_path / "model")
    for number in range(6):
        photo(tmp_path / f"shop/{number}.jpg", "Dress")
    output, sorted_to = disk.folder / "list.csv", disk.folder / "sorted"
    command = ["predict", str(tmp_path / "shop"), "--model", str(model)]
    assert main([*command, "--output", str(output)]) == 0
    before = output.read_bytes()
    disk.fill()
    for more in (["--output", str(output)], ["--sort-into", str(sorted_to)]):
        capsys.readouterr()
        assert main([*command, *more]) == 1
        told = capsys.readouterr().err
        assert (told.count("\n"), ROOM in told) == (1, True), told
    assert output.read_bytes() == before
    assert not [path for path in sorted_to.rglob("*") if path.is_file()]
    disk.make_room()
    assert main([*command, "--output", str(output), "--sort-into", str(sorted_to)]) == 0
    assert output.read_bytes() == before
    assert len([path for path in sorted_to.rglob("*") if path.is_file()]) == 6
    assert not list(disk.folder.glob("list.csv.part"))


@pytest.mark.slow
def test_a_promotion_on_a_full_disk_leaves_the_champion(disk, tmp_path, monkeypatch, capsys):
    store = Store(disk.folder)
    first, second = store.run("first", 300), store.run("second", 450)
    assert main(["promote", "first"]) == 0
    disk.fill()
    capsys.readouterr()
    assert main(["promote", "second"]) == 1
    told = capsys.readouterr().err
    assert (told.count("\n"), ROOM in told) == (1, True), told
    assert store.champion("prenda") == first
    assert [bundle.read(path).run_id for path in champions.kept()] == [first]
    disk.make_room()
    assert main(["promote", "second"]) == 0
    assert store.champion("prenda") == second
    assert [bundle.read(path).run_id for path in champions.kept()] == [second]
