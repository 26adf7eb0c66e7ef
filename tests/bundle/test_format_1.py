from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime
import pytest

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.data.datasets.fashion_mnist import GARMENTS
from prenda.photos.preparation import Preparation
from tests.bundle.format_1 import write_format_1


def test_a_bundle_of_version_0_1_0_is_read(tmp_path):
    weights = write_format_1(tmp_path)
    read = bundle.read(tmp_path)
    assert (read.format, read.image_shape, read.pixel_shape, read.channels) == (1, (1, 28, 28), (1, 28, 28), 1)
    assert (read.mean, read.std, read.temperature) == ((72.9,), (90.0,), 1.25)
    assert (read.task, read.polarity, read.labels, read.unsure) == (
        "fashion_mnist",
        "light on dark",
        {"en": GARMENTS},
        {},
    )
    session = onnxruntime.InferenceSession(read.network, providers=["CPUExecutionProvider"])
    images = np.ones((2, 1, 28, 28), np.float32)
    (logits,) = session.run(["logits"], {"images": images})
    np.testing.assert_allclose(logits, images.reshape(2, 784) @ weights, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "task", "preparation"),
    [
        ({}, "fashion_mnist", Preparation("thumbnail", size=28, channels=1)),
        ({"config": {}}, "fashion_mnist", Preparation("thumbnail", size=28, channels=1)),
        ({"data": {"name": "mnist", "content_hash": ""}}, "mnist", None),
        ({"pixels": {"mean": [1, 2, 3], "std": [1, 2, 3]}}, "fashion_mnist", None),
        (
            {"class_names": ["Shirt", "Coat"], "config": {"data": {"classes": ["Shirt", "Coat"]}}},
            "fashion_mnist-2-classes-9c3dd7",
            Preparation("thumbnail", size=28, channels=1),
        ),
    ],
)
def test_task_and_preparation_are_derived_where_they_can_be(tmp_path, changes, task, preparation):
    write_format_1(tmp_path, **changes)
    read = bundle.read(tmp_path)
    assert (read.task, read.preparation) == (task, preparation)


def test_it_can_be_a_champion_on_disk(tmp_path):
    write_format_1(tmp_path / "old")
    read = bundle.read(tmp_path / "old")
    place = champions.keep(read)
    assert bundle.read(place) == dataclasses.replace(read, folder=place)
