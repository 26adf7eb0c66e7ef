from __future__ import annotations

import errno
import os
import pickle
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from prenda.data import photo_cache
from prenda.data.photo_cache import CacheFile, PreparedPhotos, drop_oldest, open_cache
from prenda.errors import DataError
from prenda.photos.preparation import Preparation
from tests.data.photos import write_photo


@pytest.fixture
def photos(tmp_path) -> PreparedPhotos:
    import hashlib

    paths = tuple(tmp_path / "shop" / f"{number}.jpg" for number in range(4))
    for number, path in enumerate(paths):
        write_photo(path, seed=number)
    digests = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return PreparedPhotos(paths, digests, Preparation("pad", size=16, channels=3))


@pytest.fixture
def prepared(monkeypatch) -> list[int]:
    """The index of each photo that is decoded."""
    seen, original = list[int](), PreparedPhotos.prepare
    monkeypatch.setattr(PreparedPhotos, "prepare", lambda self, index: seen.append(index) or original(self, index))
    return seen


def pixels(file: CacheFile, count: int = 4) -> list[bytes | None]:
    return [file.read(index) for index in range(count)]


def test_photos_are_decoded_once(photos, prepared, tmp_path):
    first = pixels(open_cache(tmp_path / "cache", photos))
    assert sorted(prepared) == [0, 1, 2, 3]
    assert pixels(open_cache(tmp_path / "cache", photos)) == first
    assert len(prepared) == 4
    assert first == [np.ascontiguousarray(photos.prepare(index)).tobytes() for index in range(4)]


def test_the_file_belongs_to_content_and_preparation(photos):
    keys = {
        photos.key,
        PreparedPhotos(photos.paths, photos.digests, Preparation("pad", size=17, channels=3)).key,
        PreparedPhotos(photos.paths, photos.digests, Preparation("pad", size=16, channels=1)).key,
        PreparedPhotos(photos.paths, photos.digests[::-1], photos.preparation).key,
    }
    assert len(keys) == 4
    moved = tuple(Path("/elsewhere") / path.name for path in photos.paths)
    assert PreparedPhotos(moved, photos.digests, photos.preparation).key == photos.key


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_a_damaged_file_is_built_again(photos, prepared, tmp_path, damage):
    built = open_cache(tmp_path / "cache", photos)
    expected, content = pixels(built), built.path.read_bytes()
    spoilt = {"cut": content[:-1], "header": b"x" + content[1:], "empty": b""}[damage]
    built.path.write_bytes(spoilt)
    assert pixels(open_cache(tmp_path / "cache", photos)) == expected
    assert len(prepared) == 8


def test_a_damaged_photo_is_noticed(photos, tmp_path):
    built = open_cache(tmp_path / "cache", photos)
    content = bytearray(built.path.read_bytes())
    content[-1] ^= 1
    built.path.write_bytes(content)
    assert [one is None for one in pixels(open_cache(tmp_path / "cache", photos))] == [False, False, False, True]


def test_the_files_used_longest_ago_are_dropped_first(photos, tmp_path):
    made = []
    for size in (8, 9, 10):
        made.append(open_cache(tmp_path, PreparedPhotos(photos.paths, photos.digests, Preparation("pad", size, 3))))
        os.utime(made[-1].path, (size, size))
    total = sum(file.path.stat().st_size for file in made)
    drop_oldest(tmp_path, [made[0].path.stem], most=total)
    assert all(file.path.is_file() for file in made)
    drop_oldest(tmp_path, [made[0].path.stem], most=made[2].path.stat().st_size)
    assert [file.path.is_file() for file in made] == [True, False, True]
    assert made[1].read(0) is not None  # a run that uses it goes on


def test_partial_files_of_processes_that_are_gone_are_dropped(tmp_path):
    for name, age in (("a.part-1", 2 * photo_cache.ABANDONED), ("b.part-2", 0)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    drop_oldest(tmp_path, [], most=0)
    assert [path.name for path in tmp_path.iterdir()] == ["b.part-2"]


def test_a_reader_opens_its_file_again_in_another_process(photos, tmp_path):
    built = open_cache(tmp_path, photos)
    assert pixels(pickle.loads(pickle.dumps(built))) == pixels(built)


def test_a_photo_that_has_changed_since_it_was_listed_is_named(photos, tmp_path):
    write_photo(photos.paths[2], seed=9)
    told = (
        "'2.jpg' in 'shop' cannot be read any more (its content has changed): leave the photos as they are while "
        "prenda reads them, and run the command again."
    )
    with pytest.raises(DataError, match=re.escape(told)):
        open_cache(tmp_path / "cache", photos)
    photos.paths[2].unlink()
    with pytest.raises(DataError, match=r"'2.jpg' in 'shop' cannot be read any more \(does not exist\)"):
        open_cache(tmp_path / "cache", photos)
    assert not list((tmp_path / "cache").glob("*part*"))


def test_a_full_disk_is_named(photos, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    told = (
        f"The cache of photos in {tmp_path / 'cache'} cannot be written (No space left on device): it needs 0.00 GB. "
        "Make room there, lower data.cache_gb, or set PRENDA_HOME to another folder."
    )
    with pytest.raises(DataError, match=re.escape(told)):
        open_cache(tmp_path / "cache", photos)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_two_runs_build_a_file_once(photos, prepared, tmp_path):
    with ThreadPoolExecutor(2) as runs:
        one, two = runs.map(lambda _: pixels(open_cache(tmp_path / "cache", photos)), range(2))
    assert one == two
    assert sorted(prepared) == [0, 1, 2, 3]
