from __future__ import annotations

import os
import pickle

import pytest
import torch

from prenda.training.checkpoints import AtomicCheckpointIO, read


class Planted:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file was run')",))


def test_what_is_written_is_read(tmp_path):
    AtomicCheckpointIO().save_checkpoint({"epoch": 3, "state_dict": {"w": torch.ones(2)}}, tmp_path / "new/a.ckpt")
    content = read(tmp_path / "new/a.ckpt")
    assert content["epoch"] == 3
    assert content["state_dict"]["w"].tolist() == [1, 1]


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(
        OSError, match=r"No space left on device: the checkpoint cannot be kept, make room for: '.*a.ckpt'"
    ):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert read(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"state_dict": Planted()}, tmp_path / "planted.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        read(tmp_path / "planted.ckpt")
