"""Models in MLflow: a run's bundle as a logged model, and the versions of a registered one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from prenda.bundle import format as bundle
from prenda.bundle.format import CARD, foreign_links
from prenda.bundle.tasks import FIRST_MODEL
from prenda.errors import BundleError, TrackingError
from prenda.system.redaction import complete, without_passwords
from prenda.system.sqlite_address import sqlite_path
from prenda.tracking.lookup import connect_existing, fetch, find
from prenda.tracking.model_files import describe
from prenda.tracking.records import short_id
from prenda.tracking.seeds import Seeds, seeds_of
from prenda.tracking.store import variable_kept

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
DECISION = "prenda.decision"  # tag of a version
UNFINISHED = "unfinished"  # value of that tag until the alias has moved
LONGEST_DESCRIPTION = 5000  # characters, MLflow's own limit
PROMOTIONS = "\n\n## Promotion\n\n"  # heading in a version's description
CUT = "\n\n(The whole card is the model's `card.md`.)\n"


@dataclass(frozen=True)
class RecordedModel:
    """What a run left of its model, fetched.

    Attributes:
        model_id: Of the logged model that is the bundle.
        predictions: `predictions/test.npz`.
        classes: `classes/test.json`.
    """

    run_id: str
    run_name: str
    backbone: str
    model_id: str
    bundle: bundle.Bundle
    predictions: Path
    classes: Path


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    number: int
    run_id: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    registered: datetime


def log_bundle(client: MlflowClient, run_id: str, folder: Path) -> str:
    """Record a bundle as a model of the run, which MLflow loads without running any code of it; return its id.

    The run's status stays as it is, and no run needs to be active. The run names the model once all of it is there.
    """
    from mlflow.entities import LoggedModelOutput

    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment, "bundle", run_id)
    model_id: str = model.model_id
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = Path(shutil.copytree(folder, Path(scratch) / "model", ignore=foreign_links))
            describe(files, run_id, model_id)
            client.log_model_artifacts(model_id, str(files))
        client.finalize_logged_model(model_id, "READY")
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    return model_id


class Registry:
    """The registered models of a store, and the runs' models that may become their versions.

    Raises:
        TrackingError: If there is no such store.
    """

    def __init__(self, uri: str) -> None:
        self._client = connect_existing(uri)
        self.uri = uri

    @contextmanager
    def promotion_lock(self) -> Iterator[None]:
        """Lets one process at a time decide about a local store's models; a server's are not locked."""
        database = sqlite_path(self.uri)
        if database is None:
            yield
            return
        with FileLock(database.with_suffix(".promote.lock")):
            yield

    def scores_without_bundle(self, run: str, into: Path) -> tuple[str, dict[str, float]] | None:
        """Id and scores of a run that was scored but kept no bundle, as those of sweeps; None if it has one.

        Raises:
            TrackingError: If there is no such run, or it was not scored.
        """
        found = find(self._client, run)
        if found.outputs and found.outputs.model_outputs:
            return None
        scores: dict[str, float] = json.loads(fetch(self._client, found, "scores.json", into).read_text("utf-8"))
        return found.info.run_id, scores

    def add_bundle(self, run_id: str, folder: Path) -> None:
        """Add to a finished run the bundle that it left out."""
        log_bundle(self._client, run_id, folder)

    def model_of_run(self, run: str, into: Path) -> RecordedModel:
        """Return the model of a run, named by id or name, with what it answered on the test images.

        Raises:
            TrackingError: If there is no such run, or it lacks one of these.
            BundleError: If a file of the bundle is not what was written.
        """
        found = find(self._client, run)
        run_id, run_name = found.info.run_id, found.info.run_name
        outputs = found.outputs.model_outputs if found.outputs else []
        if not outputs:
            raise TrackingError(f"Run {run_name!r} ({found.info.status}) holds no bundle: name a run that finished.")
        model_id = outputs[-1].model_id
        with self._had(f"The model of run {run_name!r}"):
            place = self._client.get_logged_model(model_id).artifact_location
            files = self._download(place, into / "bundle")
        predictions, classes = (
            fetch(self._client, found, artifact, into) for artifact in ("predictions/test.npz", "classes/test.json")
        )
        backbone = found.data.tags.get("backbone", "–")
        about = _verified(files, f"The bundle of run {run_name!r} ({short_id(run_id)})", place)
        return RecordedModel(run_id, run_name, backbone, model_id, about, predictions, classes)

    def seeds(self, run_id: str) -> Seeds:
        """Return the accuracies of all recorded seeds of a run's configuration."""
        return seeds_of(self._client, run_id)

    def download(self, model: str, into: Path) -> bundle.Bundle:
        """Fetch the bundle of a version, named as MLflow does: `prenda@champion` or `prenda/3`.

        Raises:
            TrackingError: If there is none, or its files cannot be had.
            BundleError: If a file is not what was written.
        """
        number = self.version(model)
        name = model.partition("@")[0] if "@" in model else model.rpartition("/")[0]
        with self._had(f"Model {model!r}"):
            place = self._client.get_model_version_download_uri(name, number)
            files = self._download(place, into)
        return _verified(files, f"Model {model!r}", place)

    def version(self, model: str) -> str:
        """Return the number of a version, named as MLflow does: `prenda@champion` or `prenda/3`.

        Raises:
            TrackingError: If there is none, or the server does not answer.
        """
        name, _, alias = model.partition("@")
        if not alias:
            return model.rpartition("/")[2]
        with self._had(f"Model {model!r}"):
            return str(self._client.get_model_version_by_alias(name, alias).version)

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a registered model, the newest first; none if there is no such model."""
        from mlflow.exceptions import MlflowException

        try:
            aliases = self._client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []
        found = self._client.search_model_versions(f"name = '{model}'", order_by=["version_number DESC"])
        return [_version(entity, aliases) for entity in found]

    def models(self) -> list[str]:
        """Return the names of all registered models, those of prenda's own tasks first."""
        found, token = [], None
        while token != "":
            page = self._client.search_registered_models(page_token=token)
            found += [model.name for model in page]
            token = page.token or ""
        return sorted(found, key=lambda name: (not name.startswith(FIRST_MODEL), name))

    def register(self, model: str, run_id: str, model_id: str, card: str, tags: Mapping[str, str]) -> Version:
        """Make a run's model the next version of a registered one, with its card as description and as `card.md`."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / CARD
            path.write_text(card, encoding="utf-8")
            self._client.log_model_artifact(model_id, str(path))
        # The place itself: for `models:/ID` the registry would ask whichever store is MLflow's global one.
        place = self._client.get_logged_model(model_id).artifact_location
        entity = self._client.create_model_version(
            model,
            place,
            run_id,
            tags={**tags, DECISION: UNFINISHED},
            description=_fitted(card),
            model_id=model_id,
            await_creation_for=0,
        )
        return _version(entity, {})

    def describe(self, model: str, number: int, history: str) -> None:
        """Add a line about a promotion to the end of a version's description."""
        described = self._client.get_model_version(model, str(number)).description or ""
        card, _, lines = described.partition(PROMOTIONS)
        lines += f"- {history}\n"
        self._client.update_model_version(model, str(number), _fitted(card, PROMOTIONS + lines))

    def decide(self, model: str, number: int, outcome: str) -> None:
        """Tag a version with the outcome of its promotion, or with UNFINISHED."""
        self._client.set_model_version_tag(model, str(number), DECISION, outcome)

    def finish(self, model: str, version: Version) -> None:
        """Tag a champion whose promotion was killed with the outcome that its description ends with."""
        if version.tags.get(DECISION) == UNFINISHED:
            described = self._client.get_model_version(model, str(version.number)).description or ""
            last = described.rstrip("\n").rpartition("\n")[2]
            self.decide(model, version.number, last.partition(" UTC: ")[2].partition(" against ")[0])

    def set_champion(self, model: str, number: int) -> None:
        """Move the alias `champion` to a version, in one step."""
        self._client.set_registered_model_alias(model, CHAMPION, str(number))

    @contextmanager
    def _had(self, what: str) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise TrackingError(
                f"{what} cannot be had from {without_passwords(self.uri)} ({reason}): `prenda models` lists what is "
                "registered; a model whose files were deleted must be trained again."
            ) from error

    def _download(self, place: str, into: Path) -> Path:
        """Download an artifact address; MLflow would look for `models:/…` in its global store instead."""
        from mlflow.artifacts import download_artifacts

        into.mkdir(parents=True, exist_ok=True)
        with variable_kept():
            return Path(download_artifacts(artifact_uri=place, dst_path=str(into), tracking_uri=complete(self.uri)))


def _verified(files: Path, what: str, place: str) -> bundle.Bundle:
    """Return a fetched bundle; an error names where it was fetched from, not the temporary folder."""
    try:
        return bundle.read(files)
    except BundleError as error:
        reason = str(error).rpartition(": ")[0].replace(f"{files}/", "").replace(str(files), "its folder")
        raise BundleError(
            f"{what} cannot be used ({reason}): restore the files in {without_passwords(place)}, or train it again."
        ) from error


def _fitted(card: str, promotions: str = "") -> str:
    """Return a description within MLflow's limit: the card is cut first, then the earliest promotions."""
    while len(promotions) > LONGEST_DESCRIPTION // 2 and promotions.count("\n- ") > 1:
        first = promotions.index("\n- ", len(PROMOTIONS)) + 1
        promotions = PROMOTIONS + promotions[first:]
    promotions = promotions[: LONGEST_DESCRIPTION // 2]
    room = LONGEST_DESCRIPTION - len(promotions)
    if len(card) > room:
        card = card.removesuffix(CUT)[: room - len(CUT)].rpartition("\n")[0] + CUT
    return card + promotions


def _version(entity: ModelVersion, aliases: Mapping[str, str]) -> Version:
    number = int(entity.version)
    return Version(
        number,
        entity.run_id or "",
        tuple(alias for alias, of in aliases.items() if int(of) == number),
        dict(entity.tags),
        datetime.fromtimestamp(entity.creation_timestamp / 1000),
    )
