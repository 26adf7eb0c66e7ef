"""Recorded run that is reproduced: its configuration, conditions and results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from prenda.config.identity import run_name
from prenda.config.recorded import load
from prenda.config.schema import TrainConfig
from prenda.errors import TrackingError, UserError
from prenda.tracking.lookup import OUTSIDE, FoundRun, data_of, file_of, resolve, tags_of
from prenda.tracking.records import short_id
from prenda.tracking.run_folder import CONFIG
from prenda.tracking.runs import ENVIRONMENT
from prenda.training import conditions
from prenda.training.checkpoints import BEST, Checkpoint
from prenda.training.checkpoints import load as load_checkpoint
from prenda.training.conditions import Conditions
from prenda.training.equality import SCORES


@dataclass(frozen=True)
class Original:
    """A finished run, read from its folder or fetched from MLflow; nothing of it is changed.

    Attributes:
        found: The run.
        store: Address of the store that knows it.
        config: Its configuration.
        scratch: Existing folder for what is fetched.
    """

    found: FoundRun
    store: str
    config: TrainConfig
    scratch: Path

    @classmethod
    def find(cls, store: str, run: str, scratch: Path) -> Original:
        """Return the run that RUN names.

        Raises:
            UserError: If there is no such run, it did not finish, or its files cannot be read.
        """
        found = resolve(store, run)
        if found.folder is None and found.record is None:
            raise TrackingError(f"{run!r} is {OUTSIDE}")
        if found.status != "FINISHED":
            again = f"`prenda resume {found.paste}` finishes it"
            raise UserError(
                f"Run {found.name!r} did not finish (it is {found.status or 'not closed'}), so it has no result to "
                f"reproduce: {'name a run that finished' if found.status == 'PRUNED' else again}."
            )
        file_of(store, found, SCORES, scratch)
        return cls(found, store, load(file_of(store, found, CONFIG, scratch)), scratch)

    @property
    def name(self) -> str:
        """Name of the run."""
        return run_name(self.config) if self.found.record is None else self.found.name

    @property
    def key(self) -> str:
        """Short id of the run; of one that was recorded offline, a digest of its folder's path."""
        return short_id(self.found.id or sha256(str(self.found.folder).encode()).hexdigest())

    @cached_property
    def tags(self) -> dict[str, str]:
        """Tags of the run; none of a run of version 0.1.0 that is named by its folder."""
        return tags_of(self.found)

    @cached_property
    def starts(self) -> list[Conditions]:
        """Conditions of each start of the run; none if it recorded none."""
        path = self.file(conditions.FILE)
        return [] if path is None else conditions.read(path)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Versions of the packages of the run by name; none if it recorded none."""
        path = self.file(ENVIRONMENT)
        return {} if path is None else versions(path.read_text(encoding="utf-8"))

    @cached_property
    def best(self) -> Checkpoint | None:
        """Checkpoint of the selected epoch; None if `prenda runs --prune` freed it."""
        path = self.file(BEST.as_posix())
        return None if path is None else load_checkpoint(path)

    @cached_property
    def content_hash(self) -> str | None:
        """SHA-256 of the images of the run; None if it recorded none."""
        return data_of(self.found) if self.best is None else self.best.content_hash

    def file(self, name: str) -> Path | None:
        """Return a file of the run, fetched if it is not on this machine; None if the run has no such file."""
        try:
            return file_of(self.store, self.found, name, self.scratch)
        except TrackingError:
            return None


def versions(environment: str) -> dict[str, str]:
    """Return the versions in the text of `environment.txt`, by the lower-case names of packages."""
    lines = (line.partition("==") for line in environment.splitlines())
    return {name.lower().replace("_", "-"): version for name, _, version in lines if version}
