"""Bundle of a run, written from its classifier, data and scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prenda.bundle import export
from prenda.data.datamodule import ImageDataModule
from prenda.training.classifier import Classifier

CHECKED = 500  # test images on which the ONNX file is compared with the network


def write_run(
    folder: Path, classifier: Classifier, data: ImageDataModule, scores: Mapping[str, float], run_id: str | None
) -> float:
    """Write the bundle of a run from its best weights and its scores, including `temperature`.

    Returns:
        The largest difference between the logits of the ONNX file and of the network.
    """
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
    images = data.normalized(data.split("test").first(CHECKED))
    return export.write(folder, classifier.backbone, images, description)
