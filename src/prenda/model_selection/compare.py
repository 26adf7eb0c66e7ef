"""Comparison of recorded runs by their stored predictions, with tests of statistical significance."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from prenda.config.identity import configuration, parameters, run_name
from prenda.config.paths import home
from prenda.config.recorded import load as load_config
from prenda.config.schema import TrainConfig
from prenda.data.datamodule import from_config as data_from_config
from prenda.data.datasets import find
from prenda.data.photo_files import PhotoDataSet
from prenda.errors import UserError
from prenda.report.comparison import page as comparison_page
from prenda.report.comparison.results import ComparedRun, Comparison, Group, Pair, SeedTest
from prenda.report.comparison.show import show
from prenda.report.figures import IndexedImages
from prenda.report.tables import UNREADABLE, read_predictions
from prenda.report.terminal import relative
from prenda.scoring.metrics import HEADLINE
from prenda.scoring.scores import Scores, score
from prenda.scoring.significance import cochran_q, holm, mcnemar, mean_interval, welch
from prenda.tracking.comparisons import ComparableRun, gather, record
from prenda.tracking.store import store_address


@dataclass(frozen=True)
class ScoredRun:
    """A recorded run with its scores on the test images.

    Attributes:
        name: Name of the run.
        place: MLflow id or folder of the run.
        settings: Flattened configuration of the run.
        content_hash: Hash of the data set; None if it was not recorded.
        rounded: Number of images whose true class has a recorded probability of 0; see `RecordedPredictions`.
    """

    name: str
    place: str
    config: TrainConfig
    settings: dict[str, Any]
    content_hash: str | None
    class_names: tuple[str, ...]
    scores: Scores
    rounded: int

    @property
    def data(self) -> str:
        """The test images, as error messages describe them."""
        content = "" if self.content_hash is None else f", content {self.content_hash[:12]}…"
        images, classes = len(self.scores.labels), len(self.class_names)
        return f"{self.config.data.name} ({images:,} test images of {classes} classes{content})"


def compare(
    names: Sequence[str],
    *,
    experiment: str | None = None,
    where: str | None = None,
    data_dir: str | None = None,
    recorded: bool = True,
    uri: str | None = None,
) -> Path:
    """Compare runs on their test images; print, write and record the result.

    Args:
        names: Ids or names of recorded runs, or folders of runs. The first run is the reference.
        experiment: Add the finished runs of this experiment.
        where: Add the finished runs that match this MLflow filter, within the experiment if one is given.
        data_dir: Current folder of the data set, for pictures; None uses the folder that the first run recorded.
        recorded: Whether to record the comparison as a run in MLflow.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Returns:
        The folder of the comparison.

    Raises:
        UserError: If a run cannot be found or has no predictions, if there are fewer than two runs, or if they were
            tested on different images.
    """
    store = store_address(uri)
    with tempfile.TemporaryDirectory() as scratch:
        tested = [_read(found) for found in gather(store, names, experiment, where, Path(scratch))]
    _check_same_images(tested)
    comparison = compare_on_same_images(tested)
    images, missing = _images(tested[0], data_dir)
    folder = home() / "outputs" / "compare" / f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}"
    comparison_page.write(folder, comparison, images, missing)
    places = {"Comparison": relative(folder / "comparison.html")}
    if missing:
        places["No pictures"] = missing
    out = Console()
    show(out, comparison)
    for name, place in places.items():
        out.print(f"{name:<11} {place}", soft_wrap=True, highlight=False, markup=False)
    if recorded:
        compared, description = [run.place for run in tested], comparison_page.describe(comparison)
        artifacts = home() / "mlruns" / "artifacts"
        run_id = record(store, artifacts, folder, comparison.name, compared, description, comparison.metrics())
        out.print(f"MLflow run  {run_id} in {store}", soft_wrap=True, highlight=False)
    return folder


def compare_on_same_images(tested: Sequence[ScoredRun]) -> Comparison:
    """Test the differences between runs on the same images, over these images and over training seeds."""
    runs = [ComparedRun(_letter(i), run.name, run.place, run.settings, run.scores) for i, run in enumerate(tested)]
    configurations = {run.letter: configuration(of.config) for run, of in zip(runs, tested, strict=True)}
    combinations = list(itertools.combinations(runs, 2))
    tests = [mcnemar(first.right, second.right) for first, second in combinations]
    p_values = holm([test.p_value for test in tests])
    pairs = [
        Pair(
            first,
            second,
            int((first.scores.predicted != second.scores.predicted).sum()),
            test,
            p_value,
            configurations[first.letter] == configurations[second.letter],
        )
        for (first, second), test, p_value in zip(combinations, tests, p_values, strict=True)
    ]
    cochran = cochran_q(np.stack([run.right for run in runs], axis=1)) if len(runs) > 2 else None
    groups = _groups(runs, configurations)
    notes = [_rounded_note(run.letter, of) for run, of in zip(runs, tested, strict=True) if of.rounded]
    return Comparison(tested[0].class_names, runs, pairs, cochran, groups, _seed_tests(groups), notes)


def _read(found: ComparableRun) -> ScoredRun:
    """Score a run from the logits that it recorded."""
    if not found.predictions.is_file():
        raise UserError(f"{found.place} holds no predictions/test.npz: give the folder of a run that was scored.")
    if not found.config.is_file():
        raise UserError(f"{found.place} holds no config.yaml: give the folder of a run that was scored.")
    config = load_config(found.config)
    name, settings = found.name or run_name(config), parameters(config)
    try:
        recorded = read_predictions(found.predictions)
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"predictions/test.npz of {found.place} cannot be read ({reason}): give a run with an intact file."
        ) from error
    scores = score(recorded.logits, recorded.labels, recorded.class_names)
    names = recorded.class_names
    return ScoredRun(name, found.place, config, settings, found.content_hash, names, scores, recorded.rounded)


def _check_same_images(tested: Sequence[ScoredRun]) -> None:
    """Raise UserError for different test images; content hashes count only if both runs recorded them."""
    for other in tested[1:]:
        for first in tested:
            known = first.content_hash is not None and other.content_hash is not None
            if (
                first.class_names != other.class_names
                or not np.array_equal(first.scores.labels, other.scores.labels)
                or (known and first.content_hash != other.content_hash)
            ):
                raise UserError(
                    f"{first.name!r} was tested on {first.data}, {other.name!r} on {other.data}: "
                    "compare runs that were tested on the same images and classes."
                )


def _images(tested: ScoredRun, data_dir: str | None) -> tuple[IndexedImages | None, str]:
    """Return the test images, or None and the reason. Nothing is downloaded."""
    try:
        recorded = tested.config.data
        # Only the test images matter, at their original size; photos have none.
        size = recorded.image_size if isinstance(find(recorded.name), PhotoDataSet) else None
        data_config = replace(recorded, dir=data_dir or recorded.dir, image_size=size, limit_train=1)
        data = data_from_config(data_config)
        data.setup()
    except (UserError, OSError) as error:
        return None, f"{error} In prenda compare, --data-dir sets this folder."
    test = data.split("test")
    if not np.array_equal(test.labels.numpy(), tested.scores.labels) or tested.content_hash not in (
        None,
        data.content_hash,
    ):
        return (
            None,
            f"{data_config.dir} holds other images than the runs were tested on: give their folder with --data-dir.",
        )
    return test.pictures(), ""


def _groups(runs: Sequence[ComparedRun], configurations: Mapping[str, str]) -> list[Group]:
    """Group runs of one configuration, which differ in their seed alone."""
    members: dict[str, list[ComparedRun]] = {}
    for run in runs:
        members.setdefault(configurations[run.letter], []).append(run)
    return [
        Group(
            group,
            len(_by_seed(group, "accuracy")),
            {metric.name: mean_interval(_by_seed(group, metric.name)) for metric in HEADLINE},
        )
        for group in members.values()
    ]


def _seed_tests(groups: Sequence[Group]) -> list[SeedTest]:
    """Test each pair of configurations that have several seeds."""
    several = [group for group in groups if group.seeds > 1]
    combinations = list(itertools.combinations(several, 2))
    tests = [welch(_by_seed(a.runs, "accuracy"), _by_seed(b.runs, "accuracy")) for a, b in combinations]
    p_values = holm([test.p_value for test in tests])
    return [
        SeedTest(first, second, test, p_value)
        for (first, second), test, p_value in zip(combinations, tests, p_values, strict=True)
    ]


def _rounded_note(letter: str, run: ScoredRun) -> str:
    return (
        f"{letter} was recorded by version 0.1.0, which kept probabilities instead of logits. The true class of "
        f"{run.rounded} test images has a probability of 0 there, so loss and top2_accuracy of {letter} are "
        f"approximate: `prenda evaluate {run.place}` computes them."
    )


def _by_seed(runs: Sequence[ComparedRun], name: str) -> list[float]:
    """Return one value a seed: a repeated seed gives the same model and is no second measurement."""
    return list({run.settings["seed"]: run.scores.metrics[name] for run in runs}.values())


def _letter(place: int) -> str:
    """Return A to Z, then A1, B1 and so on."""
    cycle, letter = divmod(place, 26)
    return chr(ord("A") + letter) + (str(cycle) if cycle else "")
