from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from prenda.system.atomic_write import write_atomically

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


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.txt", "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a.txt", "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]
