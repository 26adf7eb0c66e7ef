from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from prenda.report.tables import read_predictions, write_predictions
from prenda.system.atomic_write import replacing, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from prenda.system.atomic_write import write_atomically

os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), "new")
"""


@pytest.mark.parametrize("content", ["señal\n", "señal\n".encode(), memoryview("señal\n".encode())])
def test_what_is_written_is_there(content, tmp_path):
    write_atomically(tmp_path / "a.txt", content)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "señal\n"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    write_atomically(tmp_path / "a.txt", "newer")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["newer"]


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError), replacing(tmp_path / "a.txt") as file:
        file.writelines([b"half of the new", "no bytes"])
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_predictions_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path, labels = tmp_path / "test.npz", np.array([1])
    write_predictions(np.zeros((1, 2), np.float32), labels, ["a", "b"], path)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_predictions(np.ones((1, 2), np.float32), labels, ["a", "b"], path)
    assert read_predictions(path).logits.tolist() == [[0, 0]]
    assert [file.name for file in tmp_path.iterdir()] == ["test.npz"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.txt", "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a.txt", "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]
