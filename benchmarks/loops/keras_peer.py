"""Keras, in an environment of its own: here the images are handed over and the answer is read."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from loops.task import PEERS, WARM_UP, Measured, Task, prepared
from prenda.data.datamodule import ImageDataModule, Split

FIT = Path(__file__).with_name("keras_fit.py")


def measure(task: Task) -> Measured:
    """The images are the ones that prenda trains on, normalised beforehand."""
    _, data = prepared(task)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        for split in ("train", "val"):
            images, labels = _arrays(data, split)
            np.save(folder / f"{split}_images.npy", images)
            np.save(folder / f"{split}_labels.npy", labels)
        whole = asdict(task) | {"epochs": WARM_UP + task.epochs, "num_classes": len(data.class_names)}
        (folder / "task.json").write_text(json.dumps(whole), encoding="utf-8")
        # -P: this folder's modules are no part of that environment.
        quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
        subprocess.run([PEERS, "-P", FIT, folder], env=os.environ | quiet, check=True)
        return Measured.between(**json.loads((folder / "epochs.json").read_text(encoding="utf-8")))


def _arrays(data: ImageDataModule, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Shapes: images (N, H, W, C), float32; labels (N,), int64."""
    part = data.split(split)
    return data.normalized(part.images).permute(0, 2, 3, 1).contiguous().numpy(), part.labels.numpy()
