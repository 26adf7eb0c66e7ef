"""Bundle of a run, written from its classifier, data and scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from prenda.bundle import export
from prenda.bundle.format import AS_SEEN, CARD, LIGHT_ON_DARK, README
from prenda.bundle.plain_pixels import FeatureNovelty
from prenda.bundle.readme import readme
from prenda.bundle.tasks import task_name
from prenda.data.datamodule import ImageDataModule, Split
from prenda.data.datasets import find
from prenda.report.card import Row, card
from prenda.scoring.novelty import Novelty
from prenda.scoring.predictions import Logits, Predictions
from prenda.scoring.selective import fit_thresholds
from prenda.training.classifier import Classifier
from prenda.training.novelty import network_novelty
from prenda.training.test_time_views import features_and_logits

CHECKED = 500  # test images on which the ONNX file's novelty is checked, if they are of 28x28 pixels
LEAST_CHECKED = 32  # of larger images
LOCAL = ("paths", "tracking", "search", "workers")  # groups that describe the training machine, not the model


def write_run(
    folder: Path,
    classifier: Classifier,
    data: ImageDataModule,
    scores: Mapping[str, float],
    validation: Predictions,
    test_logits: Logits,
    rows: Sequence[Row],
    run_name: str,
    run_id: str | None,
) -> float:
    """Write the bundle of a run from its best weights.

    Args:
        folder: Folder of the bundle.
        classifier: Network of the run, with its best weights.
        data: Images of the run.
        scores: Scores of the run by name, including `temperature`.
        validation: Predictions on validation, for the thresholds of unsure answers.
        test_logits: Scored logits of all test images, (N, classes), with which the ONNX file must agree.
        rows: Scores of each class on the test images, for the model card.
        run_name: Heading of the model card.
        run_id: Id of the MLflow run; None if there is none.

    Returns:
        The largest difference between the logits of the ONNX file and `test_logits`.
    """
    notes, temperature = classifier.notes, scores["temperature"]
    preparation = data.preparation
    network = export.plain(classifier.backbone)
    novelty = network_novelty(network, data)
    as_seen = preparation is not None and preparation.kind == "pad"
    description = {
        "task": _task(data),
        "class_names": notes["class_names"],
        "labels": {language: list(names) for language, names in data.translations.items()},
        "image_shape": notes["image_shape"],
        "pixels": {**notes["pixels"], "polarity": AS_SEEN if as_seen else LIGHT_ON_DARK},
        "preparation": None if preparation is None else preparation.as_plain(),
        "temperature": temperature,
        "unsure": fit_thresholds(validation, temperature, None if novelty is None else novelty[1]),
        "config": portable(notes["config"]),
        "data": {"name": data.data_name, "content_hash": data.content_hash},
        "scores": dict(scores),
        "run_id": run_id,
    }
    return export.write(
        folder,
        network,
        data.split("test").image_shape[0],
        with_pixels(data, "test", test_logits),
        description,
        lambda bundle: {CARD: card(bundle, rows, run_name), README: readme(bundle, len(test_logits))},
        novelty=None if novelty is None else _checkable(novelty[0], data),
    )


def with_pixels(data: ImageDataModule, split: Split, logits: Logits) -> Iterator[tuple[Tensor, Logits]]:
    """Yield batches of a split's pixels as they are stored, (B, C, H, W), uint8, and their scored logits."""
    data.predicted, start = split, 0
    for pixels, labels in data.predict_dataloader():
        yield pixels, logits[start : start + len(labels)]
        start += len(labels)


def _checkable(statistics: Novelty, data: ImageDataModule) -> FeatureNovelty:
    _, height, width = data.image_shape
    count = max(LEAST_CHECKED, min(CHECKED, CHECKED * 28 * 28 // (height * width)))
    return FeatureNovelty(statistics, features_and_logits, data.split("test").first(count), data.normalized)


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration without folders, addresses and user names of the machine that trained."""
    shared = {group: _without_folders(value) for group, value in config.items() if group not in LOCAL}
    return shared | {"data": {name: value for name, value in shared["data"].items() if name != "dir"}}


def _without_folders(value: Any) -> Any:
    """Return a setting, but of a path its last part only."""
    if isinstance(value, Mapping):
        return {name: _without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(inner) for inner in value]
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~", "./", "../"))):
        return Path(value).name
    return value


def _task(data: ImageDataModule) -> str:
    return task_name(data.data_name, data.class_names, data.class_names == find(data.data_name).class_names)
