"""Export of a recorded run's bundle, with a check that it predicts as the run did."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from prenda.bundle import format as bundle_format
from prenda.bundle.check import Difference, Scored, compare_answers
from prenda.bundle.export import beside
from prenda.bundle.format import DESCRIPTION, Bundle
from prenda.config.identity import run_name
from prenda.config.recorded import load
from prenda.config.schema import DataConfig
from prenda.data.datamodule import ImageDataModule, Split, from_config
from prenda.errors import BundleError, TrackingError, UserError
from prenda.report.tables import UNREADABLE, RecordedPredictions, read_predictions
from prenda.tracking.lookup import OUTSIDE, FoundRun, bundle_in, file_of, resolve
from prenda.tracking.run_folder import CONFIG
from prenda.tracking.store import store_address
from prenda.training import bundling
from prenda.training.evaluation import evaluate, load_run

# Of probabilities that version 0.1.0 recorded. It scored in the precision of training, such as bfloat16.
OLD_TOLERANCE, OLD_HALF_TOLERANCE = 1e-3, 0.05
OWN_FILES = {DESCRIPTION, "README.md", "card.md", "MLmodel", "requirements.txt", "python_env.yaml"}


@dataclass(frozen=True)
class Exported:
    """A bundle that was exported.

    Attributes:
        folder: Folder of the bundle.
        run: Name of the run.
        images: Number of images on which it was checked; 0 without a check.
        difference: Largest difference of probabilities from the recorded ones.
    """

    folder: Path
    run: str
    images: int
    difference: float

    def __str__(self) -> str:
        if not self.images:
            return f"{self.folder} holds the bundle of {self.run}: its checksums are right; predictions not compared."
        return (
            f"{self.folder} holds the bundle of {self.run}: it predicts as the run did on {self.images:,} validation "
            f"and test images (largest difference of probabilities {self.difference:.1e})."
        )


def export(
    run: str,
    to: Path,
    *,
    data_dir: str | None = None,
    overwrite: bool = False,
    checked: bool = True,
    uri: str | None = None,
) -> Exported:
    """Write a run's bundle to a folder; the folder appears complete or not at all.

    A run without a bundle, such as a trial, gets one from its checkpoint.

    Args:
        run: Id, name, folder or checkpoint of a finished run.
        to: Folder to write.
        data_dir: Folder of the data set; None takes the recorded one.
        overwrite: Replace an older export.
        checked: Compare its predictions with the recorded ones.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Raises:
        UserError: If there is no such run, it did not finish, its images are not there, or `to` cannot be written to.
        BundleError: If the bundle is damaged or predicts otherwise than the run did.
    """
    store = store_address(uri)
    found = resolve(store, run)
    _check_finished(found)
    _check_target(to, overwrite)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, _bundle(store, found, Path(scratch), data_dir) as folder:
        if folder.resolve() in (to.resolve(), *to.resolve().parents):
            raise UserError(f"--to is {str(to)!r}, in the run's own bundle: give another folder.")
        bundle = bundle_format.read(folder)
        images, difference = _compared(store, found, bundle, data_dir, Path(scratch)) if checked else (0, 0.0)
        _copy(folder, to)
    return Exported(to, found.name, images, difference)


def _check_finished(found: FoundRun) -> None:
    if found.folder is None and found.record is None:
        raise TrackingError(f"{found.named!r} is {OUTSIDE}")
    if found.status is not None and found.status != "FINISHED":
        again = "name a run that finished" if found.status == "PRUNED" else f"`prenda resume {found.paste}` finishes it"
        raise UserError(f"Run {found.name!r} did not finish (it is {found.status}): {again}.")


def _check_target(to: Path, overwrite: bool) -> None:
    """Raise UserError unless the folder is free, empty, or holds an older export that may be replaced."""
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise UserError(f"--to is {str(to)!r}, which is no folder: give the folder to write.")
    there = {entry.name for entry in to.iterdir()} if to.is_dir() else set()
    if not there:
        return
    if not overwrite:
        raise UserError(
            f"--to is {str(to)!r}, which is not empty: give another folder; --overwrite replaces an export."
        )
    foreign = sorted(there - _files_of_export(to))
    if foreign:
        raise UserError(
            f"--to is {str(to)!r}, which holds {foreign[0]!r}, so it is no export that --overwrite may replace: give "
            "another folder."
        )


def _files_of_export(folder: Path) -> set[str]:
    """Return the names that an export in a folder may have; none if it holds no model."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        return OWN_FILES | set(content["files"])
    except (OSError, *bundle_format.UNREADABLE):
        return set()


@contextmanager
def _bundle(store: str, found: FoundRun, scratch: Path, data_dir: str | None) -> Iterator[Path]:
    """Yield the folder of the run's bundle: the recorded one, or one that is made from the checkpoint."""
    recorded = bundle_in(store, found, scratch)
    if recorded is not None:
        yield recorded
        return
    scores = json.loads(file_of(store, found, "scores.json", scratch).read_text(encoding="utf-8"))
    if "temperature" not in scores:
        raise UserError(f"Run {found.name!r} was recorded before runs had bundles: train it again.")
    tested = file_of(store, found, "predictions/test.npz", scratch)
    write_again(found.argument, scores, tested, scratch / "made", found.id, data_dir, store)
    yield scratch / "made"


def write_again(
    source: str,
    scores: Mapping[str, float],
    tested: Path,
    folder: Path,
    run_id: str | None,
    data_dir: str | None = None,
    uri: str | None = None,
) -> None:
    """Write the bundle of a run that has none, such as a trial, from its checkpoint.

    Args:
        source: The run or its checkpoint.
        scores: Recorded scores of the run.
        tested: Recorded predictions on the test images, with which the ONNX file must agree. Those of version 0.1.0
            hold no logits: then it must agree with the network.
        folder: Folder of the bundle.
        run_id: Id of the MLflow run; None if there is none.
        data_dir: Folder of the data set; None takes the recorded one.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.
    """
    recorded = recorded_predictions(tested, source)
    with load_run(source, data_dir, uri=uri) as run:
        again = evaluate(run.config.trainer, run.classifier, run.data, run.checkpoint)
        bundling.write_run(
            folder,
            run.classifier,
            run.data,
            scores,
            validation=again["val"],
            test_logits=recorded.logits if recorded.exact else again["test"].logits,
            rows=again["test"].classes,
            run_name=run_name(run.config),
            run_id=run_id,
        )


def recorded_predictions(path: Path, run: str) -> RecordedPredictions:
    """Return recorded predictions.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        return read_predictions(path)
    except UNREADABLE as error:
        raise UserError(
            f"{path.parent.name}/{path.name} of run {run!r} is damaged ({error}): train the run again."
        ) from error


def _compared(store: str, found: FoundRun, bundle: Bundle, data_dir: str | None, scratch: Path) -> tuple[int, float]:
    """Compare the bundle's answers with the recorded ones; return the number of images and the largest difference."""
    config = load(file_of(store, found, CONFIG, scratch))
    data = _images(found, bundle, replace(config.data, dir=data_dir or config.data.dir))
    images, largest = 0, 0.0
    splits: tuple[Split, ...] = ("val", "test")
    for split in splits:
        recorded = recorded_predictions(file_of(store, found, f"predictions/{split}.npz", scratch), found.name)
        difference = _difference(bundle, data, split, recorded)
        allowed = difference.allowed if recorded.exact else _old_tolerance(config.trainer.precision)
        if not difference.probabilities <= allowed:
            raise BundleError(
                f"The bundle of run {found.name!r} predicts otherwise than the run did: probabilities of {split} "
                f"images differ by {difference.probabilities:.2g}, where {allowed:g} is allowed. "
                f"`prenda evaluate {found.paste}` tells whether its checkpoint is right; else train it again."
            )
        images, largest = images + difference.images, max(largest, difference.probabilities)
    return images, largest


def _difference(bundle: Bundle, data: ImageDataModule, split: Split, recorded: RecordedPredictions) -> Difference:
    if recorded.logits.shape != (len(data.split(split)), len(bundle.class_names)):
        return Difference(probabilities=1.0)
    scored: Scored = bundling.with_pixels(data, split, recorded.logits)
    if bundle.format == 1:
        scored = ((data.normalized(pixels).contiguous(), logits) for pixels, logits in scored)
    return compare_answers(bundle.network, bundle.temperature, scored)


def _old_tolerance(precision: str) -> float:
    return OLD_TOLERANCE if precision == "32" else OLD_HALF_TOLERANCE


def _images(found: FoundRun, bundle: Bundle, config: DataConfig) -> ImageDataModule:
    try:
        data = from_config(config)
        data.prepare_data()
        data.setup()
    except UserError as error:
        raise UserError(
            f"{error} Without its images a bundle cannot be checked: --data-dir names their folder, and --no-check "
            "exports without a check."
        ) from error
    if data.content_hash != bundle.data["content_hash"]:
        raise UserError(
            f"{data.data_dir} has {data.data_name} of content {data.content_hash[:12]}…, but run {found.name!r} was "
            f"trained on {bundle.data['content_hash'][:12]}…: give --data-dir the recorded images, or --no-check to "
            "export without a check."
        )
    return data


def _copy(folder: Path, to: Path) -> None:
    """Copy a bundle beside its place and verify the copy; then it takes the place, and an older one goes."""
    with beside(to) as scratch:
        copy = scratch / "new"
        shutil.copytree(folder, copy, ignore=bundle_format.foreign_links)
        bundle_format.read(copy)
        if to.exists():
            to.rename(scratch / "old")
        copy.rename(to)
