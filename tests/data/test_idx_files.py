from __future__ import annotations

import dataclasses
import gzip
import hashlib
import multiprocessing
from pathlib import Path

import pytest

from prenda.data.idx_files import FILES, IdxDataSet
from prenda.errors import DataError
from tests.data.conftest import put


def test_images_and_labels_are_those_of_the_files(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    tiny.fetch(tmp_path / "data")
    data = tiny.load(tmp_path / "data")
    assert data.train_images.shape == (20, 1, 28, 28)
    assert data.test_labels.tolist() == list(official[FILES[3]][8:])
    assert data.train_images.numpy().tobytes() == official[FILES[0]][16:]
    assert {path.name for path in (tmp_path / "data/Tiny/raw").iterdir()} == {*FILES, ".lock"}


@pytest.mark.parametrize("packed", [True, False])
def test_files_already_there_are_read_where_they_are(tiny, official, tmp_path, packed):
    put(official, tmp_path / "data", packed=packed)
    before = sorted(tmp_path.rglob("*"))
    tiny.fetch(tmp_path / "data")
    assert len(tiny.load(tmp_path / "data").train_labels) == 20
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"\0", lambda _: b""])
def test_a_cut_or_wrong_file_is_replaced_when_a_source_has_it(tiny, official, tmp_path, damage):
    put(official, tmp_path / "system")
    put({name: damage(content) for name, content in official.items()}, tmp_path / "data/Tiny/raw", packed=False)
    tiny.fetch(tmp_path / "data")
    assert tiny.load(tmp_path / "data").train_images.numpy().tobytes() == official[FILES[0]][16:]


def test_a_wrong_file_that_no_source_has_is_named_and_kept(tiny, official, tmp_path):
    put(official, tmp_path / "data/Tiny/raw", packed=False)
    damaged = tmp_path / "data/Tiny/raw" / FILES[2]
    damaged.write_bytes(b"mine")
    with pytest.raises(DataError) as error:
        tiny.fetch(tmp_path / "data")
    told = str(error.value)
    assert f"data.dir is {tmp_path / 'data'}, where Tiny's t10k-images-idx3-ubyte is not the official file" in told
    assert "no system package holds them" in told
    assert f"Put t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz into {tmp_path / 'data/Tiny/raw'}" in told
    assert tiny.checksums[2] in told
    assert damaged.read_bytes() == b"mine"


def test_a_missing_file_is_named(tiny, tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte is missing"):
        tiny.load(tmp_path / "data")


def test_a_packed_file_that_is_cut_is_not_taken(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    whole = (tmp_path / "system" / (FILES[0] + ".gz")).read_bytes()
    (tmp_path / "system" / (FILES[0] + ".gz")).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="train-images-idx3-ubyte is missing"):
        tiny.fetch(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_named(tiny, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(
        DataError, match=r"data.dir is .*data, where Tiny cannot be kept \(Not a directory\): make room"
    ):
        tiny.fetch(tmp_path / "data")


def test_checksums_of_packed_files_are_checked_and_kept_packed(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    packed = [(tmp_path / "system" / f"{name}.gz").read_bytes() for name in FILES]
    checksums = tuple(hashlib.md5(content).hexdigest() for content in packed)
    data_set = dataclasses.replace(tiny, checksums=checksums, compressed=True)
    data_set.fetch(tmp_path / "data")
    assert len(data_set.load(tmp_path / "data").train_labels) == 20
    (tmp_path / "data/Tiny/raw" / (FILES[0] + ".gz")).write_bytes(gzip.compress(official[FILES[0]], 1))
    with pytest.raises(DataError, match=r"a .gz file with MD5"):
        data_set.load(tmp_path / "data")


def _fetch_and_load(data_set: IdxDataSet, folder: Path) -> str:
    data_set.fetch(folder)
    return data_set.load(folder).content_hash


@pytest.mark.slow
def test_processes_that_fetch_at_once_do_not_harm_each_other(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        hashes = pool.starmap(_fetch_and_load, [(tiny, tmp_path / "data")] * 3)
    assert len(set(hashes)) == 1


def test_a_half_written_file_of_a_killed_process_is_never_taken(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    folder = tmp_path / "data/Tiny/raw"
    folder.mkdir(parents=True)
    (folder / (FILES[0] + ".part")).write_bytes(official[FILES[0]][:100])
    tiny.fetch(tmp_path / "data")
    assert not list(folder.glob("*.part"))
    assert len(tiny.load(tmp_path / "data").train_labels) == 20
