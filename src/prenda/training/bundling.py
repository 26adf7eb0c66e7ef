"""Bundles of runs: from a classifier, its data and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prenda.bundle import export
from prenda.data.datamodule import ImageDataModule
from prenda.training.classifier import Classifier

CHECKED = 500  # test images that a run's ONNX file is tried on


def write_run(
    folder: Path, classifier: Classifier, data: ImageDataModule, scores: Mapping[str, float], run_id: str | None
) -> float:
    """Writes the bundle of a run from its chosen weights and its scores, including `temperature`."""
    notes = classifier.notes
    description = {
        "class_names": notes["class_names"],
        "image_shape": notes["image_shape"],
        "pixels": notes["pixels"],
        "temperature": scores["temperature"],
        "config": notes["config"],
        "data": {"name": data.data_name, "content_hash": data.content_hash},
        "scores": dict(scores),
        "run_id": run_id,
    }
    images = data.normalized(data.split("test").images[:CHECKED])
    return export.write(folder, classifier.backbone, images, description)
