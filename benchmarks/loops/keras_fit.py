"""Trains a task with Keras' own `fit`, in the environment of `make bench-peers`; imports nothing of prenda.

    .venv-peers/bin/python -P benchmarks/loops/keras_fit.py FOLDER

The folder holds task.json and the images; epochs.json is left there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Image = tuple[int, int, int]  # (H, W, C)


class Watch(keras.callbacks.Callback):
    """Notes the moments between which epochs and their steps lie."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[float] = []
        self.ends: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.starts.append(time.perf_counter())

    def on_test_begin(self, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())

    def on_train_end(self, logs: Any = None) -> None:
        self.starts.append(time.perf_counter())


def dense(image: Image, num_classes: int) -> keras.Model:
    """As conf/backbone/dense.yaml."""
    return keras.Sequential(
        [keras.Input(image), layers.Flatten(), layers.Dense(512), layers.ReLU(), layers.Dense(num_classes)]
    )


def cnn(image: Image, num_classes: int) -> keras.Model:
    """As conf/backbone/cnn.yaml, which pools before the activation, too."""
    stages = [
        layer for filters in (32, 64) for layer in (layers.Conv2D(filters, 3), layers.MaxPooling2D(2), layers.ReLU())
    ]
    head = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(64), layers.ReLU(), layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(image), *stages, *head])


def residual(image: Image, num_classes: int) -> keras.Model:
    """As conf/backbone/resnet.yaml."""
    inputs = keras.Input(image)
    features = layers.ReLU()(_convolved(inputs, 16, 3, 1))
    for filters, strides in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        features = _block(features, filters, strides)
    return keras.Model(inputs, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(features)))


def _block(features: Any, filters: int, strides: int) -> Any:
    inside = _convolved(layers.ReLU()(_convolved(features, filters, 3, strides)), filters, 3, 1)
    if strides != 1:
        features = _convolved(features, filters, 1, strides)
    return layers.ReLU()(layers.Add()([inside, features]))


def _convolved(features: Any, filters: int, kernel: int, strides: int) -> Any:
    convolution = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)
    return layers.BatchNormalization()(convolution(features))


def main() -> None:
    folder = Path(sys.argv[1])
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(task["threads"])
    keras.utils.set_random_seed(0)
    if task["precision"] == "bf16-mixed":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    train, val = (
        [np.load(folder / f"{split}_{name}.npy") for name in ("images", "labels")] for split in ("train", "val")
    )
    network = {"dense": dense, "cnn": cnn, "residual": residual}[task["network"]](
        train[0].shape[1:], task["num_classes"]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    watch = Watch()
    network.fit(*train, batch_size=task["batch_size"], epochs=task["epochs"], validation_data=val, callbacks=[watch])
    answer = {
        "parameters": sum(int(np.prod(weight.shape)) for weight in network.trainable_weights),
        "starts": watch.starts,
        "ends": watch.ends,
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }
    (folder / "epochs.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
