"""Finds, fetches and verifies the files of a data set."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from prenda.data.generated import generate
from prenda.errors import DataError
from prenda.system.atomic_write import write_whole

NETWORK_TIMEOUT = 20  # seconds without an answer
PACKAGE_TIMEOUT = 300  # seconds for apt-get, which may have to read its lists first
DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Source:
    """One data set in MNIST's file format.

    Attributes:
        title: Its name in torchvision, which is also its folder below `data.dir`.
        class_names: In the order of the labels.
        checksums: MD5 of each of FILES; of the content, or of the official .gz file where `compressed`.
        compressed: Whether the published checksums are of the .gz files, which are then kept as they are.
        system_dirs: Where a system package leaves the files.
        debian_package: The package that holds them, if there is one.
    """

    title: str
    class_names: tuple[str, ...]
    checksums: tuple[str, ...]
    compressed: bool = False
    system_dirs: tuple[str, ...] = ()
    debian_package: str | None = None

    def file_name(self, index: int) -> str:
        return FILES[index] + (".gz" if self.compressed else "")


SOURCES = {
    # MD5 of the contents of the files as they are since 31 August 2017; older ones leaked training images into test.
    "fashion_mnist": Source(
        "FashionMNIST",
        GARMENTS,
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
        system_dirs=("/usr/share/datasets/fashion-mnist",),
        debian_package="dataset-fashion-mnist",
    ),
    "mnist": Source(
        "MNIST",
        DIGITS,
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    # The checksums that torchvision publishes for the official files.
    "kmnist": Source(
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        compressed=True,
    ),
}
NAMES = (*SOURCES, "generated")


@dataclass(frozen=True)
class LabelledImages:
    """A data set in memory, its official parts kept apart.

    Attributes:
        train_images, test_images: (N, C, H, W), uint8, 0 is background.
        train_labels, test_labels: (N,), int64, indices into `class_names`.
        content_hash: SHA-256 of pixels and labels, hexadecimal.
    """

    class_names: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    content_hash: str


def class_names(name: str) -> tuple[str, ...]:
    """Raises: DataError: If there is no data set of this name."""
    if name == "generated":
        return GARMENTS
    if name not in SOURCES:
        raise DataError(f"data.name is {name!r}: choose one of {', '.join(NAMES)}.")
    return SOURCES[name].class_names


def fetch(name: str, data_dir: Path) -> None:
    """Makes every file of the data set present and verified below `data_dir`; does nothing when they are.

    Processes that fetch at once wait for each other, and a file appears under its name only when whole.

    Raises:
        DataError: If no source has a file, naming each source's answer and what to put where.
    """
    class_names(name)
    if name == "generated" or not _absent(SOURCES[name], data_dir):
        return
    source = SOURCES[name]
    folder = _folder(source, data_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            _fetch_missing(source, data_dir, folder)
    except OSError as error:
        raise DataError(
            f"data.dir is {data_dir}, where {source.title} cannot be kept ({error.strerror or error}): "
            "make room or give data.dir=… a folder that can be written."
        ) from error


def load(name: str, data_dir: Path) -> LabelledImages:
    """Reads a data set that `fetch` has made present.

    Raises:
        DataError: If a file is missing or is not the official one.
    """
    names = class_names(name)
    if name == "generated":
        tensors = generate(2000, seed=1) + generate(500, seed=2)
    else:
        images, labels, test_images, test_labels = map(_parse, _contents(SOURCES[name], data_dir))
        tensors = images[:, None], labels.long(), test_images[:, None], test_labels.long()
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.numpy().data)
    return LabelledImages(names, *tensors, content_hash=digest.hexdigest())


def _folder(source: Source, data_dir: Path) -> Path:
    return data_dir / source.title / "raw"  # torchvision's own layout, so either finds the other's files


def _verified(source: Source, index: int, path: Path) -> bytes | None:
    """The content of a file, or nothing if it is missing, cut or another one. Takes `path` with or without .gz."""
    packed = path.with_name(FILES[index] + ".gz")
    for candidate in (path.with_name(FILES[index]), packed):
        try:
            content = raw = candidate.read_bytes()
            if candidate == packed:
                content = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            continue
        checked = raw if source.compressed else content
        if hashlib.md5(checked, usedforsecurity=False).hexdigest() == source.checksums[index]:
            return content
    return None


def _read(source: Source, index: int, data_dir: Path) -> bytes | None:
    for folder in (_folder(source, data_dir), data_dir):
        content = _verified(source, index, folder / FILES[index])
        if content is not None:
            return content
    return None


def _contents(source: Source, data_dir: Path) -> Iterator[bytes]:
    for index in range(len(FILES)):
        content = _read(source, index, data_dir)
        if content is None:
            raise _missing(source, index, data_dir, [])
        yield content


def _absent(source: Source, data_dir: Path) -> list[int]:
    """Which of FILES are missing or are not the official ones."""
    return [index for index in range(len(FILES)) if _read(source, index, data_dir) is None]


def _fetch_missing(source: Source, data_dir: Path, folder: Path) -> None:
    absent, answers = _absent(source, data_dir), list[str]()
    for find in (_from_system, _from_mirrors, _from_debian):
        if not absent:
            return
        with find(source, answers) as place:
            for index in absent:
                found = place(FILES[index])
                if found is not None:
                    _take(source, index, found, folder)
        absent = _absent(source, data_dir)
    if absent:
        raise _missing(source, absent[0], data_dir, answers)


def _take(source: Source, index: int, found: Path, folder: Path) -> None:
    """Copies one file from where a source has it, under its name only once it is verified and on the disk."""
    content = _verified(source, index, found)
    if content is None:
        return
    target = folder / source.file_name(index)
    write_whole(target, found.with_name(target.name).read_bytes() if source.compressed else content)


@contextmanager
def _from_system(source: Source, answers: list[str]) -> Iterator[Callable[[str], Path | None]]:
    folders = [Path(folder) for folder in source.system_dirs if Path(folder).is_dir()]
    if not folders:
        answers.append("no system package holds them")
    yield lambda name: folders[0] / name if folders else None


@contextmanager
def _from_mirrors(source: Source, answers: list[str]) -> Iterator[Callable[[str], Path | None]]:
    """The official mirrors that torchvision knows; after one has failed, the next is asked."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    official = getattr(datasets, source.title)
    mirrors = list(official.mirrors)
    with tempfile.TemporaryDirectory() as scratch:

        def download(name: str) -> Path | None:
            for mirror in tuple(mirrors):
                try:
                    download_url(f"{mirror}{name}.gz", scratch)
                except (OSError, RuntimeError) as error:
                    answers.append(f"{mirror} did not answer ({error})")
                    mirrors.remove(mirror)
                else:
                    return Path(scratch) / name
            return None

        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(NETWORK_TIMEOUT)  # torchvision's download has no timeout of its own
        try:
            yield download
        finally:
            socket.setdefaulttimeout(before)


@contextmanager
def _from_debian(source: Source, answers: list[str]) -> Iterator[Callable[[str], Path | None]]:
    """Debian's package, fetched and unpacked without installing it, so that root is not needed."""
    package = source.debian_package
    if package is None or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        answers.append("no Debian package has them" if package is None else "this is no Debian system")
        yield lambda _: None
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _unpack(package, Path(scratch))
        except (OSError, subprocess.SubprocessError) as error:
            printed = str(getattr(error, "stderr", "") or error).strip()
            answers.append(f"apt-get could not fetch {package} ({printed.splitlines()[-1]})")
        unpacked = [Path(scratch) / folder.lstrip("/") for folder in source.system_dirs]
        yield lambda name: unpacked[0] / name


def _unpack(package: str, scratch: Path) -> None:
    def run(*command: str) -> None:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT)

    try:
        run("apt-get", "download", package)
    except subprocess.CalledProcessError:
        # The system's package lists are missing or old, and renewing them needs root: read lists of our own.
        lists = scratch / "lists"
        (lists / "partial").mkdir(parents=True)
        own = (f"-oDir::State::Lists={lists}", f"-oDir::Cache={scratch / 'cache'}", "-oAPT::Sandbox::User=")
        run("apt-get", *own, "update")
        run("apt-get", *own, "download", package)
    for file in scratch.glob("*.deb"):
        run("dpkg-deb", "-x", str(file), str(scratch))


def _missing(source: Source, index: int, data_dir: Path, answers: list[str]) -> DataError:
    name, folder = source.file_name(index), _folder(source, data_dir)
    wrong = (folder / name).is_file() or (data_dir / name).is_file()
    state = "is not the official file (cut or another version)" if wrong else "is missing"
    tried = f" Tried: {'; '.join(answers)}." if answers else ""
    what = "a .gz file" if source.compressed else "uncompressed content"
    either = name if source.compressed else f"{name} or {name}.gz"
    return DataError(
        f"data.dir is {data_dir}, where {source.title}'s {name} {state}.{tried} "
        f"Put {either} into {folder} ({what} with MD5 {source.checksums[index]}), "
        "or give data.dir=… the folder that holds it."
    )


def _parse(content: bytes) -> Tensor:
    """An IDX file as a uint8 tensor: two zero bytes, type, rank, the sizes as big-endian 32-bit, then the values."""
    rank = content[3]
    sizes = np.frombuffer(content, dtype=">u4", count=rank, offset=4).tolist()
    return torch.frombuffer(bytearray(content[4 + 4 * rank :]), dtype=torch.uint8).reshape(sizes)
