"""Where the model of a server comes from: a fixed bundle, this machine's champion, or an MLflow server's registry."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prenda.bundle import champions
from prenda.bundle.format import DESCRIPTION, NETWORK, read
from prenda.bundle.tasks import FIRST_MODEL
from prenda.errors import UserError
from prenda.prediction import models
from prenda.server.model import Model
from prenda.server.options import Options

if TYPE_CHECKING:
    from prenda.tracking.registry import Registry

NAMED = re.compile(r"[^/@]+(@[^/@]+|/\d+)")  # as MLflow names a version


class Source(Protocol):
    """Place that holds a model, and may hold another one later."""

    def identity(self) -> Hashable:
        """Return what differs if the model has changed; None if the model never changes or is absent."""

    def load(self) -> tuple[Model, Hashable]:
        """Return the model that is there now, verified, and its identity.

        Raises:
            UserError: If there is none, or it is damaged.
        """


class Fixed:
    """A bundle or a run that the owner named."""

    def __init__(self, model: str) -> None:
        self._model = model

    def identity(self) -> None:
        """Return None: it is not followed."""

    def load(self) -> tuple[Model, None]:
        """Return the model."""
        with tempfile.TemporaryDirectory(prefix="prenda-") as scratch:
            return _tested(Model(models.choose(self._model, Path(scratch)))), None


class LocalChampion:
    """Champion of this machine, as `prenda predict` chooses it; then the champions of the same task."""

    def __init__(self) -> None:
        self._link: Path | None = None

    def identity(self) -> Hashable:
        """Return the bundle that the task's link points to, with the times of its files."""
        if self._link is None or not (self._link / DESCRIPTION).exists():
            return None
        return _identity(self._link.resolve())

    def load(self) -> tuple[Model, Hashable]:
        """Return the champion of the task; at the first call, the model that `prenda predict` would choose."""
        if self._link is None:
            bundle = models.choose(models.CHAMPION, Path())
            self._link = champions.folder() / bundle.task
            if bundle.folder != self._link:  # the newest run: there is no champion yet
                return _tested(Model(bundle)), None
        folder = self._link.resolve()  # the link may change at any time: all files are read from one folder
        identity = _identity(folder)
        return _tested(Model(models.for_photos(read(folder), models.CHAMPION))), identity


class RegisteredModel:
    """A registered model on an MLflow server, under an alias or as a version.

    Args:
        uri: Address of the server.
        model: `champion`, NAME@ALIAS or NAME/VERSION.
    """

    def __init__(self, uri: str, model: str) -> None:
        self._uri = uri
        self._model = f"{FIRST_MODEL}@{model}" if model == models.CHAMPION else model
        if NAMED.fullmatch(self._model) is None:
            raise UserError(
                f"--model is {model!r}: with --tracking-uri, give champion, NAME@ALIAS or NAME/VERSION, such as "
                f"{FIRST_MODEL}@champion."
            )
        self._registry: Registry | None = None

    def identity(self) -> Hashable:
        """Return the version that the alias names."""
        from prenda.tracking.registry import Registry

        if self._registry is None:
            self._registry = Registry(self._uri)
        return self._registry.version(self._model)

    def load(self) -> tuple[Model, Hashable]:
        """Download the version and return its model."""
        version = str(self.identity())
        assert self._registry is not None
        name = re.split("[@/]", self._model)[0]
        with tempfile.TemporaryDirectory(prefix="prenda-") as scratch:
            bundle = self._registry.download(f"{name}/{version}", Path(scratch))
            return _tested(Model(models.for_photos(bundle, self._model), version)), version


def source(options: Options) -> Source:
    """Return where the model of a server comes from."""
    if options.tracking_uri is not None:
        return RegisteredModel(options.tracking_uri, options.model)
    return LocalChampion() if options.model == models.CHAMPION else Fixed(options.model)


def _identity(folder: Path) -> Hashable:
    """Return the folder of a bundle and the times of its files."""
    files = (folder / name for name in (DESCRIPTION, NETWORK))
    return folder, *(path.stat().st_mtime_ns if path.is_file() else None for path in files)


def _tested(model: Model) -> Model:
    model.self_test()
    return model
