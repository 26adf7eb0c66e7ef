from __future__ import annotations

import os
import pickle
import zipfile

import pytest
import torch

from prenda.errors import CheckpointError
from prenda.training.checkpoint_digest import COMMENT, LENGTH, damage
from prenda.training.checkpoints import AtomicCheckpointIO, read
from tests.training.damage import overwrite_weights, remove_digest


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
    with pytest.raises(OSError, match=r"No space left on device: the checkpoint cannot be written: '.*a.ckpt'"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert read(path)["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"state_dict": Planted()}, tmp_path / "planted.ckpt")
    with pytest.raises(CheckpointError, match="is no checkpoint of prenda") as refused:
        read(tmp_path / "planted.ckpt")
    assert isinstance(refused.value.__cause__, pickle.UnpicklingError)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.arange(1000)}}, path)
    return path


def test_a_checkpoint_is_an_archive_that_any_reader_takes(written):
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"prenda sha256 ")
    assert torch.load(written, weights_only=True)["state_dict"]["w"][-1] == 999


def test_every_changed_byte_before_the_digest_is_found(written):
    whole = written.read_bytes()
    for place in range(0, len(whole) - COMMENT - LENGTH, 37):
        changed = bytearray(whole)
        changed[place] ^= 1
        written.write_bytes(changed)
        assert damage(written).startswith("its SHA-256 is "), place


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_part_of_a_checkpoint_is_refused(part, written):
    whole = written.read_bytes()
    written.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(CheckpointError, match=r"a.ckpt is damaged \(.*restore it from a copy"):
        read(written)


def test_without_a_digest_the_checksums_of_the_archive_count(written):
    remove_digest(written)
    assert read(written)["state_dict"]["w"][-1] == 999
    overwrite_weights(written)
    with pytest.raises(CheckpointError, match=r"a.ckpt is damaged \(the checksum of archive/data/\d in it is wrong\)"):
        read(written)


def test_lightning_reads_no_damaged_checkpoint(written):
    overwrite_weights(written)
    with pytest.raises(CheckpointError, match=r"a.ckpt is damaged \(its SHA-256 is \w{12}…, not \w{12}…\)"):
        AtomicCheckpointIO().load_checkpoint(written)
