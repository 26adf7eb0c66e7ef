"""Sources of data sets in MNIST's format: a system package, official mirrors, a Debian package.

Each source is a context manager. It yields a function from a file's name to the folder that may hold the file, with or
without .gz, or to None. It adds to `answers` why it has no files, for the text of an error.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NETWORK_TIMEOUT = 20  # seconds without an answer
PACKAGE_TIMEOUT = 300  # seconds for apt-get, which may first download its package lists

Place = Callable[[str], Path | None]


@contextmanager
def system_package(system_dirs: Sequence[str], answers: list[str]) -> Iterator[Place]:
    """Look into the folders where an installed package has the files."""
    folders = [Path(folder) for folder in system_dirs if Path(folder).is_dir()]
    if not folders:
        answers.append("no system package holds them")
    yield lambda _: folders[0] if folders else None


@contextmanager
def official_mirrors(title: str, answers: list[str]) -> Iterator[Place]:
    """Download from torchvision's mirrors of its data set `title`; a mirror that failed is not tried again."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    mirrors = list(getattr(datasets, title).mirrors)
    with tempfile.TemporaryDirectory() as scratch:

        def download(name: str) -> Path | None:
            for mirror in tuple(mirrors):
                try:
                    download_url(f"{mirror}{name}.gz", scratch)
                except (OSError, RuntimeError) as error:
                    answers.append(f"{mirror} did not answer ({error})")
                    mirrors.remove(mirror)
                else:
                    return Path(scratch)
            return None

        default_timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(NETWORK_TIMEOUT)  # torchvision's download has no timeout of its own
        try:
            yield download
        finally:
            socket.setdefaulttimeout(default_timeout)


@contextmanager
def debian_package(package: str | None, system_dirs: Sequence[str], answers: list[str]) -> Iterator[Place]:
    """Download a Debian package and unpack it without installing it, which needs no root."""
    if package is None or shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        answers.append("no Debian package has them" if package is None else "this is no Debian system")
        yield lambda _: None
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _unpack(package, Path(scratch))
        except (OSError, subprocess.SubprocessError) as error:
            output = str(getattr(error, "stderr", "") or error).strip()
            answers.append(f"apt-get could not fetch {package} ({output.splitlines()[-1]})")
        unpacked = [Path(scratch) / folder.lstrip("/") for folder in system_dirs]
        yield lambda _: unpacked[0]


def _unpack(package: str, scratch: Path) -> None:
    def run(*command: str) -> None:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT)

    try:
        run("apt-get", "download", package)
    except subprocess.CalledProcessError:
        # The system's package lists are missing or old, and updating them needs root: download separate lists.
        lists = scratch / "lists"
        (lists / "partial").mkdir(parents=True)
        options = (f"-oDir::State::Lists={lists}", f"-oDir::Cache={scratch / 'cache'}", "-oAPT::Sandbox::User=")
        run("apt-get", *options, "update")
        run("apt-get", *options, "download", package)
    for file in scratch.glob("*.deb"):
        run("dpkg-deb", "-x", str(file), str(scratch))
