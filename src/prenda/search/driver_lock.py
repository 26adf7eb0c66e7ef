"""Lock of a sweep's folder: one driver at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prenda.errors import ConfigError
from prenda.system.process_lock import process_lock

LOCK, DRIVER = ".lock", ".driver"  # in a sweep's folder: the lock, and the process that holds it


@contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Lock the sweep's folder against other drivers; remove the folder at the end if the sweep wrote nothing.

    Raises:
        ConfigError: If another process holds the lock. The text names its number and host.
    """

    def busy(holder: str) -> None:
        raise ConfigError(
            f"{folder} is in use: {holder} runs this sweep. Wait for it, or start another sweep with search.name=…"
        )

    folder.mkdir(parents=True, exist_ok=True)
    with process_lock(folder / LOCK, folder / DRIVER, busy):
        try:
            yield
        finally:
            _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder without results. The lock must be held: later, the folder may belong to another driver."""
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {LOCK, DRIVER}:
            for name in (LOCK, DRIVER):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
