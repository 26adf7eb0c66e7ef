from __future__ import annotations

import gzip
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from prenda.data import sources
from prenda.data.sources import FILES, Source, fetch, load
from prenda.errors import DataError


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def official() -> dict[str, bytes]:
    """Four files of a data set as small as one can be."""
    random = np.random.default_rng(0)
    return {
        name: idx(random.integers(0, 256, (count, 28, 28) if "idx3" in name else count, dtype=np.uint8) % shades)
        for name, count, shades in zip(FILES, (20, 20, 10, 10), (255, 10, 255, 10), strict=True)
    }


@pytest.fixture
def source(official, tmp_path, monkeypatch) -> Source:
    """That data set in place of Fashion-MNIST, with a system folder of its own and no other way to be had."""
    checksums = tuple(hashlib.md5(official[name]).hexdigest() for name in FILES)
    mine = Source("Tiny", sources.GARMENTS, checksums, system_dirs=(str(tmp_path / "system"),))
    monkeypatch.setitem(sources.SOURCES, "fashion_mnist", mine)
    from torchvision import datasets

    monkeypatch.setattr(datasets, "Tiny", type("Tiny", (), {"mirrors": []}), raising=False)
    return mine


def put(files: dict[str, bytes], folder: Path, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


def test_files_of_a_system_package_are_taken(source, official, tmp_path):
    put(official, tmp_path / "system")
    fetch("fashion_mnist", tmp_path / "data")
    data = load("fashion_mnist", tmp_path / "data")
    assert data.train_images.shape == (20, 1, 28, 28)
    assert data.test_labels.tolist() == list(official[FILES[3]][8:])
    assert data.train_images.numpy().tobytes() == official[FILES[0]][16:]
    assert {path.name for path in (tmp_path / "data/Tiny/raw").iterdir()} == {*FILES, ".lock"}


@pytest.mark.parametrize("packed", [True, False])
def test_files_already_there_are_read_where_they_are(source, official, tmp_path, packed):
    put(official, tmp_path / "data", packed=packed)
    before = sorted(tmp_path.rglob("*"))
    fetch("fashion_mnist", tmp_path / "data")
    assert len(load("fashion_mnist", tmp_path / "data").train_labels) == 20
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"\0", lambda _: b""])
def test_a_cut_or_wrong_file_is_replaced_when_a_source_has_it(source, official, tmp_path, damage):
    put(official, tmp_path / "system")
    put({name: damage(content) for name, content in official.items()}, tmp_path / "data/Tiny/raw", packed=False)
    fetch("fashion_mnist", tmp_path / "data")
    assert load("fashion_mnist", tmp_path / "data").train_images.numpy().tobytes() == official[FILES[0]][16:]


def test_a_wrong_file_that_no_source_has_is_named_and_kept(source, official, tmp_path):
    put(official, tmp_path / "data/Tiny/raw", packed=False)
    damaged = tmp_path / "data/Tiny/raw" / FILES[2]
    damaged.write_bytes(b"mine")
    with pytest.raises(DataError) as error:
        fetch("fashion_mnist", tmp_path / "data")
    told = str(error.value)
    assert f"data.dir is {tmp_path / 'data'}, where Tiny's t10k-images-idx3-ubyte is not the official file" in told
    assert "no system package holds them" in told
    assert f"Put t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz into {tmp_path / 'data/Tiny/raw'}" in told
    assert source.checksums[2] in told
    assert damaged.read_bytes() == b"mine"


def test_a_missing_file_is_named(source, tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte is missing"):
        load("fashion_mnist", tmp_path / "data")


def test_a_packed_file_that_is_cut_is_not_taken(source, official, tmp_path):
    put(official, tmp_path / "system")
    whole = (tmp_path / "system" / (FILES[0] + ".gz")).read_bytes()
    (tmp_path / "system" / (FILES[0] + ".gz")).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="train-images-idx3-ubyte is missing"):
        fetch("fashion_mnist", tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_named(source, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(
        DataError, match=r"data.dir is .*data, where Tiny cannot be kept \(Not a directory\): make room"
    ):
        fetch("fashion_mnist", tmp_path / "data")


def test_official_mirrors_are_asked_in_turn(source, official, tmp_path, monkeypatch):
    from torchvision import datasets

    put(official, tmp_path / "served")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirrors = ["http://127.0.0.1:9/", f"http://127.0.0.1:{server.server_port}/"]  # nobody listens on the first
        monkeypatch.setattr(datasets.Tiny, "mirrors", mirrors)
        fetch("fashion_mnist", tmp_path / "data")
        server.shutdown()
    assert len(load("fashion_mnist", tmp_path / "data").test_labels) == 10


def test_a_mirror_that_does_not_answer_is_named(source, tmp_path, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets.Tiny, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/ did not answer \(.*refused"):
        fetch("fashion_mnist", tmp_path / "data")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is Debian's")
@pytest.mark.parametrize("lists_are_old", [False, True])
def test_a_debian_package_is_unpacked_without_installing(official, source, tmp_path, monkeypatch, lists_are_old):
    """A real package; apt-get is played by a script that needs `update` first where the system's lists are old."""
    system = tmp_path / "system"
    put(official, tmp_path / f"package{system}")
    (tmp_path / "package/DEBIAN").mkdir()
    (tmp_path / "package/DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: tiny\n"
    )
    deb = tmp_path / "tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tmp_path / "package"), str(deb)], check=True, capture_output=True)
    updated = tmp_path / "updated"
    if not lists_are_old:
        updated.touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text(
        f'#!/bin/sh\ncase "$*" in *update*) touch {updated};; *) [ -f {updated} ] && cp {deb} .;; esac\n'
    )
    (tmp_path / "bin/apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setitem(
        sources.SOURCES,
        "fashion_mnist",
        Source("Tiny", source.class_names, source.checksums, system_dirs=(str(system),), debian_package="tiny"),
    )
    fetch("fashion_mnist", tmp_path / "data")
    assert len(load("fashion_mnist", tmp_path / "data").train_labels) == 20
    assert not system.exists()


def test_a_debian_package_that_cannot_be_had_is_told(source, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate package tiny' >&2; exit 100\n")
    (tmp_path / "bin/apt-get").chmod(0o755)
    (tmp_path / "bin/dpkg-deb").symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    changed = Source("Tiny", source.class_names, source.checksums, system_dirs=("/nowhere",), debian_package="tiny")
    monkeypatch.setitem(sources.SOURCES, "fashion_mnist", changed)
    with pytest.raises(DataError, match=r"apt-get could not fetch tiny \(E: Unable to locate package tiny\)"):
        fetch("fashion_mnist", tmp_path / "data")


def test_checksums_of_packed_files_are_checked_and_kept_packed(official, tmp_path, monkeypatch):
    put(official, tmp_path / "system")
    packed = [(tmp_path / "system" / f"{name}.gz").read_bytes() for name in FILES]
    checksums = tuple(hashlib.md5(content).hexdigest() for content in packed)
    mine = Source("Tiny", sources.DIGITS, checksums, compressed=True, system_dirs=(str(tmp_path / "system"),))
    monkeypatch.setitem(sources.SOURCES, "kmnist", mine)
    fetch("kmnist", tmp_path / "data")
    assert len(load("kmnist", tmp_path / "data").train_labels) == 20
    (tmp_path / "data/Tiny/raw" / (FILES[0] + ".gz")).write_bytes(gzip.compress(official[FILES[0]], 1))
    with pytest.raises(DataError, match=r"a .gz file with MD5"):
        load("kmnist", tmp_path / "data")


def _fetch_and_load(source: Source, folder: Path) -> str:
    sources.SOURCES["fashion_mnist"] = source
    fetch("fashion_mnist", folder)
    return load("fashion_mnist", folder).content_hash


def test_processes_that_fetch_at_once_do_not_harm_each_other(source, official, tmp_path):
    put(official, tmp_path / "system")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        hashes = pool.starmap(_fetch_and_load, [(source, tmp_path / "data")] * 3)
    assert len(set(hashes)) == 1


def test_a_half_written_file_of_a_killed_process_is_never_taken(source, official, tmp_path):
    put(official, tmp_path / "system")
    folder = tmp_path / "data/Tiny/raw"
    folder.mkdir(parents=True)
    (folder / (FILES[0] + ".part")).write_bytes(official[FILES[0]][:100])
    fetch("fashion_mnist", tmp_path / "data")
    assert not list(folder.glob("*.part"))
    assert len(load("fashion_mnist", tmp_path / "data").train_labels) == 20


def test_the_content_hash_changes_with_the_content(source, official, tmp_path):
    put(official, tmp_path / "system")
    fetch("fashion_mnist", tmp_path / "data")
    one = load("fashion_mnist", tmp_path / "data").content_hash
    assert one == load("fashion_mnist", tmp_path / "data").content_hash
    assert one != load("generated", tmp_path).content_hash


def test_generated_pictures_are_the_same_each_time_and_differ_between_parts(tmp_path):
    one, two = load("generated", tmp_path), load("generated", tmp_path)
    assert one.content_hash == two.content_hash
    assert not np.array_equal(one.train_images[:500], one.test_images)
    assert one.test_labels.bincount().tolist() == [50] * 10


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "a file").write_text("")
    told = r"data.dir is .*a file, where FashionMNIST cannot be kept \(.*irectory.*\): make room or give data.dir=… a"
    with pytest.raises(DataError, match=told):
        fetch("fashion_mnist", tmp_path / "a file")
