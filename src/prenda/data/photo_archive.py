"""Photos of a published data set from its archive: found beside its folder, or downloaded, and unpacked safely."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO

from filelock import FileLock

from prenda.data.photo_layout import FOLDERS
from prenda.errors import DataError

# Opens nothing but https, and proxies: a redirection to a file or to plain http is refused.
HTTPS = urllib.request.OpenerDirector()
for handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
):
    HTTPS.add_handler(handler())
TIMEOUT = 20  # seconds without an answer
SUFFIXES = (".jpg", ".jpeg", ".png")
LARGEST_FILE = 64 * 2**20  # bytes of one photo
LARGEST = 4 * 2**30  # bytes of all photos
SMALLEST = 4096  # bytes that even an empty file takes, so that there are a million at most
LARGEST_HEADER = 2**20  # bytes of a long name or other notes in a tar file, which tarfile reads into memory
NOTES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
DOWNLOAD = 8 * 2**30  # bytes of an archive
CHUNK = 2**20


def fetch_archive(folder: Path, archives: Sequence[Path], address: str, title: str) -> None:
    """Make the folder from the first archive that is there, or from one that is downloaded.

    Processes that fetch at the same time wait for each other; the folder appears complete or not at all.

    Args:
        folder: Folder to make, with train, validation and test.
        archives: Tar or zip files that may be there.
        address: Where the archive is published; https.
        title: Name of the data set, for errors.

    Raises:
        DataError: If no archive is there and none can be downloaded, or it cannot be unpacked.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{title}.lock"), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            if folder.is_dir():
                return
            present = [path for path in archives if path.is_file()]
            archive = present[0] if present else _download(address, Path(scratch) / "archive", folder, title)
            unpacked = Path(scratch) / folder.name
            _unpack(archive, unpacked, address)
            unpacked.replace(folder)
    except OSError as error:
        raise DataError(
            f"data.dir is {folder.parent}, where {title} cannot be kept ({error.strerror or error}): make room or give "
            "data.dir=… a folder that can be written."
        ) from error


def _download(address: str, to: Path, folder: Path, title: str) -> Path:
    try:
        with HTTPS.open(address, timeout=TIMEOUT) as answer, to.open("wb") as file:
            size = 0
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                if size > DOWNLOAD:
                    raise OSError(f"more than {DOWNLOAD / 2**30:.0f} GiB")
                file.write(chunk)
    except (OSError, HTTPException) as error:  # every error of urllib is an OSError
        raise DataError(
            f"data.dir is {folder.parent}, where {title} is missing, and {address} did not answer ({error}). Download "
            f"it elsewhere, put it into {folder.parent} as {title}.tar.gz, or give data.dir=… the folder that holds "
            f"it, unpacked as {folder.name}/."
        ) from error
    return to


def _unpack(archive: Path, folder: Path, name: str) -> None:
    """Write the photos of an archive below `folder`, as split/class/name; everything else in it is left out."""
    try:
        members = _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)
        total, paths = 0, set[tuple[str, str, str]]()
        for path, size, content in members:
            if path in paths:
                raise DataError(f"{archive} holds {'/'.join(path)!r} twice: fetch it again.")
            paths.add(path)
            total += max(size, SMALLEST)
            if size > LARGEST_FILE or total > LARGEST:
                raise DataError(f"{archive} is larger than {name} has ever been: fetch it again.")
            target = folder.joinpath(*path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("xb") as file:
                shutil.copyfileobj(content, file)
    # RuntimeError: zipfile's, for a member with a password or a compression that it does not know.
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DataError(f"{archive} is no complete archive ({error}): remove it, and fetch it again.") from error
    if not folder.is_dir():
        raise DataError(f"{archive} holds no photos in train, validation and test: fetch it again from {name}.")


class _Member(tarfile.TarInfo):
    """Member of a tar file whose notes fit into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Return the member that a header describes.

        Raises:
            tarfile.ReadError: If it says that notes follow which are larger than any name.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.type in NOTES and member.size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member


def _tar_members(archive: Path) -> Iterator[tuple[tuple[str, str, str], int, IO[bytes]]]:
    with tarfile.open(archive, tarinfo=_Member) as tar:
        for member in tar:
            path, content = _place(member.name), tar.extractfile(member) if member.isreg() else None
            if path is not None and content is not None:
                yield path, member.size, content


def _zip_members(archive: Path) -> Iterator[tuple[tuple[str, str, str], int, IO[bytes]]]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            path = _place(member.filename)
            if path is not None and not member.is_dir():
                yield path, member.file_size, packed.open(member)


def _place(name: str) -> tuple[str, str, str] | None:
    """Return split, class and name of a photo in an archive; None for anything else, and for names that lead out."""
    parts = name.removeprefix("./").split("/")
    splits = [folder for folders in FOLDERS.values() for folder in folders]
    if len(parts) not in (3, 4) or parts[-3] not in splits or not parts[-1].lower().endswith(SUFFIXES):
        return None
    if any(part.startswith(".") or "\\" in part or "\0" in part or not part for part in parts[-3:]):
        return None
    return parts[-3], parts[-2], parts[-1]
