"""Data sets in MNIST's file format: fetching, verifying and reading their four IDX files."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prenda.data.contract import DataSet, LabelledImages
from prenda.data.idx_sources import debian_package, official_mirrors, system_package
from prenda.errors import DataError
from prenda.system.atomic_write import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2**30  # bytes of a file, also of an unpacked one; the largest official ones have 47 MB
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, kw_only=True)
class IdxDataSet(DataSet):
    """A published data set in MNIST's file format, whose checksums fix its content.

    Attributes:
        title: Name of the data set in torchvision, and of its folder in `data.dir`.
        checksums: MD5 of each of FILES: of the content, or of the official .gz file if `compressed`.
        compressed: Whether the published checksums are those of the .gz files, which are then kept compressed.
        system_dirs: Folders where a system package installs the files.
        debian_package: Name of the Debian package with the files, if there is one.
    """

    title: str
    checksums: tuple[str, ...]
    compressed: bool = False
    system_dirs: tuple[str, ...] = ()
    debian_package: str | None = None
    content_is_fixed: bool = field(default=True, init=False)

    def fetch(self, data_dir: Path) -> None:
        """Fetch the missing files into `data_dir` and verify them.

        Processes that fetch at the same time wait for each other, and files are written atomically.

        Raises:
            DataError: If no source has a file; the text names each source's answer, the file and its folder.
        """
        if not self.absent(data_dir):
            return
        from filelock import FileLock

        folder = self.folder(data_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock"):
                self._fetch_absent(data_dir)
        except OSError as error:
            raise DataError(
                f"data.dir is {data_dir}, where {self.title} cannot be kept ({error.strerror or error}): "
                "make room or give data.dir=… a folder that can be written."
            ) from error

    def load(self, data_dir: Path) -> LabelledImages:
        """Read and verify the four files.

        Raises:
            DataError: If a file is missing or is not the official one.
        """
        images, labels, test_images, test_labels = map(_parse, self._contents(data_dir))
        return LabelledImages(
            self.class_names, images[:, None], labels.long(), test_images[:, None], test_labels.long()
        )

    def absent(self, data_dir: Path) -> list[int]:
        """Return which of FILES are missing or are not the official ones, as indices."""
        return [index for index in range(len(FILES)) if self._read(index, data_dir) is None]

    def folder(self, data_dir: Path) -> Path:
        """Return the folder of the files. The layout is torchvision's, so either library finds the other's files."""
        return data_dir / self.title / "raw"

    def file_name(self, index: int) -> str:
        """Return the name under which one of FILES is kept."""
        return FILES[index] + (".gz" if self.compressed else "")

    def _read(self, index: int, data_dir: Path) -> bytes | None:
        for folder in (self.folder(data_dir), data_dir):
            content = self._verified(index, folder)
            if content is not None:
                return content
        return None

    def _verified(self, index: int, folder: Path) -> bytes | None:
        """Return the content of a file, compressed or not; None if it is missing, truncated or another version."""
        packed = folder / (FILES[index] + ".gz")
        for candidate in (folder / FILES[index], packed):
            try:
                with candidate.open("rb") as file:
                    content = raw = file.read(LARGEST + 1)
                if candidate == packed:
                    with gzip.open(candidate) as unpacked:
                        content = unpacked.read(LARGEST + 1)
            except (OSError, EOFError, zlib.error):
                continue
            checked = raw if self.compressed else content
            if hashlib.md5(checked, usedforsecurity=False).hexdigest() == self.checksums[index]:
                return content
        return None

    def _contents(self, data_dir: Path) -> Iterator[bytes]:
        for index in range(len(FILES)):
            content = self._read(index, data_dir)
            if content is None:
                raise self._missing(index, data_dir, [])
            yield content

    def _fetch_absent(self, data_dir: Path) -> None:
        absent, answers = self.absent(data_dir), list[str]()
        for source in (
            partial(system_package, self.system_dirs),
            partial(official_mirrors, self.title),
            partial(debian_package, self.debian_package, self.system_dirs),
        ):
            if not absent:
                return
            with source(answers) as locate:
                for index in absent:
                    origin = locate(FILES[index])
                    if origin is not None:
                        self._copy(index, origin, self.folder(data_dir))
            absent = self.absent(data_dir)
        if absent:
            raise self._missing(absent[0], data_dir, answers)

    def _copy(self, index: int, source: Path, folder: Path) -> None:
        """Copy one file from a source's folder with an atomic write, if its checksum is right."""
        content = self._verified(index, source)
        if content is not None:
            name = self.file_name(index)
            write_atomically(folder / name, (source / name).read_bytes() if self.compressed else content)

    def _missing(self, index: int, data_dir: Path, answers: list[str]) -> DataError:
        name, folder = self.file_name(index), self.folder(data_dir)
        wrong = (folder / name).is_file() or (data_dir / name).is_file()
        state = "is not the official file (truncated or another version)" if wrong else "is missing"
        tried = f" Tried: {'; '.join(answers)}." if answers else ""
        what = "a .gz file" if self.compressed else "uncompressed content"
        either = name if self.compressed else f"{name} or {name}.gz"
        return DataError(
            f"data.dir is {data_dir}, where {self.title}'s {name} {state}.{tried} "
            f"Put {either} into {folder} ({what} with MD5 {self.checksums[index]}), "
            "or give data.dir=… the folder that holds it."
        )


def _parse(content: bytes) -> Tensor:
    """Return an IDX file as a uint8 tensor.

    The format: two zero bytes, type, rank, the sizes as big-endian 32-bit integers, then the values.
    """
    import torch

    rank = content[3]
    sizes = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(rank)]
    return torch.frombuffer(bytearray(content[4 + 4 * rank :]), dtype=torch.uint8).reshape(sizes)
