"""Champions on this machine's disk: the bundle of each task's best model, for prediction without MLflow.

`outputs/champions/TASK` is a symbolic link to the bundle in `outputs/champions/.bundles/`. The link changes in one
step, so a process that is killed leaves the old champion or the new one. Imports nothing heavy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from prenda.bundle.format import CARD, DESCRIPTION, NETWORK, README, WEIGHTS, Bundle, checksum, read
from prenda.config.paths import home
from prenda.errors import BundleError

FILES = (DESCRIPTION, NETWORK, WEIGHTS, CARD, README)
BUNDLES = ".bundles"
PREVIOUS = 1  # earlier bundles of a task that stay, for processes that are reading one of them


def folder() -> Path:
    """Return the folder of the champions; it need not exist."""
    return home() / "outputs" / "champions"


def keep(bundle: Bundle, variant: str | None = None) -> Path:
    """Copy a bundle to this machine's champions, in place of its task's earlier one, and return the copy's folder.

    Processes that keep a champion at the same time wait for each other. A process that is killed leaves the earlier
    champion or this one; what it had copied is deleted by the next call.

    Args:
        bundle: The champion.
        variant: Name of a registered model beside the task's own, whose champion is kept beside the task's.

    Raises:
        BundleError: If the task's name cannot be the name of a folder, or the bundle is damaged.
    """
    task = bundle.task if variant is None else f"{bundle.task}@{variant}"
    if not bundle.task or task.startswith(".") or Path(task).name != task:
        raise BundleError(
            f"{bundle.folder / DESCRIPTION} names the task {task!r}, which cannot be the name of a folder: train again."
        )
    champions, bundles = folder(), folder() / BUNDLES
    bundles.mkdir(parents=True, exist_ok=True)
    with FileLock(bundles / ".lock"):
        _delete_remains(champions)
        copied = bundles / f"{task}-{checksum(bundle.folder / DESCRIPTION)[:12]}"
        if not copied.is_dir():
            _copy(bundle.folder, copied)
        _link(champions / task, copied)
        _delete_earlier(bundles, task, copied)
    return champions / task


def kept() -> list[Path]:
    """Return the folders of this machine's champions, one for each task, the newest first; variants are left out."""
    found = [path for path in _entries(folder()) if "@" not in path.name and (path / DESCRIPTION).is_file()]
    return sorted(found, key=lambda path: path.lstat().st_mtime, reverse=True)


def _entries(champions: Path) -> list[Path]:
    return [path for path in champions.iterdir() if path.name[0] != "."] if champions.is_dir() else []


def _copy(source: Path, target: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    for name in FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, part / name)
            _to_disk(part / name)
    read(part)
    part.chmod(0o755)  # mkdtemp's folders are closed to other users
    part.rename(target)
    _to_disk(target.parent)


def _link(link: Path, target: Path) -> None:
    """Point a link at a folder, in one step."""
    part = link.with_name(f".part-{link.name}")
    part.symlink_to(Path(BUNDLES) / target.name)
    part.replace(link)
    _to_disk(link.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete_remains(champions: Path) -> None:
    """Delete what killed processes had begun; the caller holds the lock."""
    for path in [*champions.glob(".part-*"), *(champions / BUNDLES).glob(".part-*")]:
        path.unlink() if path.is_symlink() else shutil.rmtree(path)


def _delete_earlier(bundles: Path, task: str, current: Path) -> None:
    """Delete the bundles that were a task's champions before the previous one."""
    length = len(current.name)
    entries = (path for path in bundles.iterdir() if path.name.startswith(f"{task}-") and path != current)
    earlier = [path for path in entries if len(path.name) == length]  # not of a task with a longer name
    for path in sorted(earlier, key=lambda path: path.stat().st_mtime, reverse=True)[PREVIOUS:]:
        shutil.rmtree(path)
