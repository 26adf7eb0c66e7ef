"""Champions on this machine's disk: the bundle of each task's best model, for prediction without MLflow.

`outputs/champions/TASK` is a symbolic link to the bundle in `outputs/champions/.bundles/`. The link changes in one
step, so a process that is killed leaves the old champion or the new one. Imports nothing heavy.

MLflow's alias decides who is champion. A promotion that is killed after the alias moved and before the link changed
leaves a record of itself, from which `settle` finishes it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from prenda.bundle.format import CARD, DESCRIPTION, NETWORK, README, WEIGHTS, Bundle, checksum, read
from prenda.config.paths import home
from prenda.errors import BundleError
from prenda.system.atomic_write import write_atomically

FILES = (DESCRIPTION, NETWORK, WEIGHTS, CARD, README)
BUNDLES = ".bundles"
RECORD = ".promotion.json"  # in it: the promotion that has begun
PREVIOUS = 1  # earlier bundles of a task that stay, for processes that are reading one of them


def folder() -> Path:
    """Return the folder of the champions; it need not exist."""
    return home() / "outputs" / "champions"


@dataclass(frozen=True)
class Promotion:
    """A promotion that has begun, as this machine records it.

    Attributes:
        link: Name of the champion's link.
        copied: Name of the folder of the new champion's bundle in `.bundles/`.
        uri: Store of the registered model, without password.
        model: Name of the registered model.
        version: Version to which the alias moves.
    """

    link: str
    copied: str
    uri: str
    model: str
    version: int


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
    name = _link_name(bundle, variant)
    with _lock():
        _choose(name, _copied(bundle, name))
    return folder() / name


@contextmanager
def promotion(bundle: Bundle, variant: str | None, uri: str, model: str, version: int) -> Iterator[None]:
    """Keep a bundle as champion after the body has moved the alias to its version.

    The copy is made before, so that a full disk stops the promotion before the alias moves.

    Args:
        bundle: The new champion.
        variant: As for `keep`.
        uri: Store of the registered model, without password.
        model: Name of the registered model.
        version: Version to which the alias moves.
    """
    name = _link_name(bundle, variant)
    with _lock():
        copied = _copied(bundle, name)
        begun = Promotion(name, copied.name, uri, model, version)
        write_atomically(copied.with_name(RECORD), json.dumps(asdict(begun)))
        yield
        _choose(name, copied)
        copied.with_name(RECORD).unlink()


def is_promoted() -> bool:
    """Return whether a promotion has begun on this machine and has not ended."""
    return (folder() / BUNDLES / RECORD).is_file()


def settle(is_champion: Callable[[Promotion], bool]) -> None:
    """Finish what a killed promotion left on this disk: the link changes if the alias had moved.

    Args:
        is_champion: Says whether the alias is at the promotion's version.
    """
    if not is_promoted():
        return
    bundles = folder() / BUNDLES
    try:
        with _lock(timeout=0):
            begun = _begun(bundles / RECORD)
            if begun is not None and is_champion(begun):
                _choose(begun.link, bundles / begun.copied)
            (bundles / RECORD).unlink()
    except (Timeout, FileNotFoundError):  # it is being promoted now, or another process has settled it
        return


def _begun(path: Path) -> Promotion | None:
    """Return the promotion that a record describes; None if it is damaged, or names a place outside its folder."""
    try:
        begun = Promotion(**json.loads(path.read_bytes()))
        names = begun.link, begun.copied
        return begun if all(Path(name).name == name for name in names) and isinstance(begun.version, int) else None
    except (ValueError, TypeError, RecursionError):
        return None


def kept() -> list[Path]:
    """Return the folders of this machine's champions, one for each task, the newest first; variants are left out."""
    found = [path for path in _entries(folder()) if "@" not in path.name and (path / DESCRIPTION).is_file()]
    return sorted(found, key=lambda path: path.lstat().st_mtime, reverse=True)


def _entries(champions: Path) -> list[Path]:
    return [path for path in champions.iterdir() if path.name[0] != "."] if champions.is_dir() else []


def _lock(timeout: float = -1) -> FileLock:
    """Return the lock of the champions of this machine."""
    bundles = folder() / BUNDLES
    bundles.mkdir(parents=True, exist_ok=True)
    return FileLock(bundles / ".lock", timeout=timeout)


def _link_name(bundle: Bundle, variant: str | None) -> str:
    name = bundle.task if variant is None else f"{bundle.task}@{variant}"
    if not bundle.task or name.startswith(".") or Path(name).name != name:
        raise BundleError(
            f"{bundle.folder / DESCRIPTION} names the task {name!r}, which cannot be the name of a folder: train again."
        )
    return name


def _copied(bundle: Bundle, name: str) -> Path:
    """Return the copy of a bundle in `.bundles/`, which is made if it is not there; the caller holds the lock."""
    _delete_remains(folder())
    copied = folder() / BUNDLES / f"{name}-{checksum(bundle.folder / DESCRIPTION)[:12]}"
    if not copied.is_dir():
        _copy(bundle.folder, copied)
    return copied


def _choose(name: str, copied: Path) -> None:
    """Make a copied bundle the champion under a name, and delete the bundles that came before the previous one.

    The caller holds the lock.
    """
    _link(folder() / name, copied)
    _delete_earlier(copied.parent, name, copied)


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
