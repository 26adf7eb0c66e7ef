from __future__ import annotations

import hashlib
import io
import re
import tarfile
import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prenda.data import photo_archive
from prenda.data.datasets import clothing, find
from prenda.data.datasets.clothing import Clothing
from prenda.data.photo_files import PhotoSettings
from prenda.errors import DataError
from tests.data.photos import write_split_shop

Made = dict[str, bytes]
CLOTHING = find("clothing")


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Made:
    """Tiny photos by split/class/name, taken for the official ones."""
    folder = write_split_shop(tmp_path / "made", train=3, scored=1)
    made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))}
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(made.items()))
    monkeypatch.setattr(clothing, "CONTENT", hashlib.sha256(lines.encode()).hexdigest())
    return made


def tarred(photos: Made, root: str = "clothing", mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in photos.items():
            member = tarfile.TarInfo(f"{root}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(photos: Made, root: str = "clothing-dataset-small-master") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in photos.items():
            packed.writestr(f"{root}/{name}", content)
    return buffer.getvalue()


def loaded(folder: Path) -> int:
    assert isinstance(CLOTHING, Clothing)
    CLOTHING.fetch(folder)
    return len(CLOTHING.files(folder, PhotoSettings()).paths)


@pytest.fixture
def offline(monkeypatch) -> list[str]:
    """Addresses that were asked for; none answers."""
    asked = list[str]()

    def refuse(address: str, **_: object) -> None:
        asked.append(address)
        raise urllib.error.URLError("no internet")

    monkeypatch.setattr(photo_archive.HTTPS, "open", refuse)
    return asked


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("clothing-dataset-small.tar", tarred),
        ("clothing-dataset-small.tar.gz", lambda photos: tarred(photos, "clothing-dataset-small-master", "w:gz")),
        ("clothing-dataset-small-master.zip", zipped),
    ],
)
def test_an_archive_in_the_folder_is_unpacked(photos, tmp_path, offline, name, pack: Callable[[Made], bytes]):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(pack(photos))
    assert loaded(tmp_path / "data") == len(photos)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        ".clothing-dataset-small.lock",
        name if name < "clothing" else "clothing",
        "clothing" if name < "clothing" else name,
    ]
    assert not offline


@pytest.mark.parametrize("name", ["clothing", "clothing-dataset-small", "clothing-dataset-small-master"])
def test_photos_that_are_unpacked_are_taken(photos, tmp_path, offline, name):
    (tmp_path / "made").rename(tmp_path / name)
    assert loaded(tmp_path) == len(photos)
    assert not offline


def test_it_is_downloaded_if_it_is_missing(photos, tmp_path, monkeypatch):
    content = tarred(photos | {"README.md": b"x"}, "clothing-dataset-small-master", "w:gz")
    monkeypatch.setattr(photo_archive.HTTPS, "open", lambda address, timeout: io.BytesIO(content))
    assert loaded(tmp_path / "data") == len(photos)
    assert clothing.ARCHIVE.startswith("https://")


def test_without_internet_the_error_says_where_to_put_it(tmp_path, offline):
    told = (
        f"data.dir is {tmp_path}, where clothing-dataset-small is missing, and {clothing.ARCHIVE} did not answer "
        f"(<urlopen error no internet>). Download it elsewhere, put it into {tmp_path} as clothing-dataset-small.tar.gz"
    )
    with pytest.raises(DataError, match=re.escape(told)):
        loaded(tmp_path)
    assert not (tmp_path / "clothing").exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_nothing_but_https_is_opened(address):
    with pytest.raises(urllib.error.URLError, match="unknown url type"):
        photo_archive.HTTPS.open(address, timeout=1)


@pytest.mark.parametrize("change", ["changed", "renamed", "missing", "more"])
def test_other_photos_are_refused(photos, tmp_path, change):
    first = tmp_path / "made/train/coat/000.jpg"
    if change == "changed":
        first.write_bytes((tmp_path / "made/train/coat/001.jpg").read_bytes())
    elif change == "more":
        first.with_name("more.jpg").write_bytes(first.read_bytes())
    elif change == "missing":
        first.unlink()
    else:
        first.rename(first.with_name("other.jpg"))
    (tmp_path / "made").rename(tmp_path / "clothing")
    told = (
        rf"data.dir is {tmp_path}, where the \d+ files in clothing/ are not those of clothing-dataset-small .+ "
        rf"Remove {tmp_path}/clothing, and `prenda data fetch clothing` brings it again. For photos of your own, use"
    )
    with pytest.raises(DataError, match=told):
        loaded(tmp_path)


def test_nothing_is_written_outside_and_no_link_is_made(photos, tmp_path):
    buffer = io.BytesIO(tarred(photos))
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for name in ("../../escaped.jpg", "/escaped.jpg", "clothing/train/../../escaped.jpg", "train/../escaped.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"bad"))
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "clothing/train/coat/000.jpg")):
            member = tarfile.TarInfo(f"clothing/train/coat/link{kind.decode()}.jpg")
            member.type, member.linkname = kind, target
            tar.addfile(member)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/clothing-dataset-small.tar").write_bytes(buffer.getvalue())
    assert loaded(tmp_path / "data") == len(photos)
    assert not list(tmp_path.parent.rglob("*escaped*"))
    assert not Path("/escaped.jpg").exists()
    assert not any(path.is_symlink() for path in (tmp_path / "data").rglob("*"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no archive", "clothing-dataset-small.tar is no complete archive (file could not be opened successfully"),
        (tarred({"train/coat/0.jpg": bytes(2000)})[:1200], "clothing-dataset-small.tar is no complete archive ("),
        (
            tarred({"README.md": b"x"}),
            "clothing-dataset-small.tar holds no photos in train, validation and test: fetch",
        ),
    ],
)
def test_a_damaged_archive_is_named_and_leaves_nothing(tmp_path, content, told):
    (tmp_path / "clothing-dataset-small.tar").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(told)):
        loaded(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("clothing")) == [
        "clothing-dataset-small.tar"
    ]


def test_an_archive_that_is_too_large_is_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(photo_archive, "LARGEST_FILE", 100)
    (tmp_path / "clothing-dataset-small.tar").write_bytes(tarred(photos))
    with pytest.raises(DataError, match=r"clothing-dataset-small.tar is larger than .* has ever been: fetch it again"):
        loaded(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"where clothing-dataset-small cannot be kept \((Not a directory|File exists)"):
        loaded(tmp_path / "file")
