"""Bundles with a network that a test can predict: a photo is a garment by its colour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from prenda.bundle.format import DESCRIPTION, NETWORK, WEIGHTS, checksum
from prenda.photos.preparation import Preparation

GARMENTS = ("T-shirt/top", "Dress", "Bag")  # red, green, blue
SPANISH = ("Camiseta", "Vestido", "Bolso")
COLORS = {"T-shirt/top": (255, 0, 0), "Dress": (0, 255, 0), "Bag": (0, 0, 255)}
PAD = Preparation("pad", 16, 3)
SCALE = 20.0  # logit of a colour at its brightest


def write_bundle(folder: Path, preparation: Preparation | None = PAD, **changes: Any) -> Path:
    """Write a bundle of format 2; `changes` replace entries of its description. Bright pictures are novel to it."""
    folder.mkdir(parents=True)
    channels = 3 if preparation is None else preparation.channels
    size = 16 if preparation is None else preparation.size
    novelty = "novelty" in changes.get("unsure", {})
    (folder / NETWORK).write_bytes(_network(channels, size, novelty).SerializeToString())
    return _describe(folder, 2, preparation, channels, size, changes)


def write_old_bundle(folder: Path, **changes: Any) -> Path:
    """Write a bundle of format 1, of grey thumbnails whose brightness is a logit of the first class."""
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight"], ["logits"]),
    ]
    weight = numpy_helper.from_array(np.array([[2.0, 1.0, 0.0]], np.float32), "weight")
    graph = helper.make_graph(
        nodes,
        "old",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / NETWORK).write_bytes(model.SerializeToString())
    return _describe(folder, 1, None, 1, 28, {"data": {"name": "fashion_mnist", "content_hash": "ab" * 32}} | changes)


def photo(path: Path, garment: str = "Dress", size: tuple[int, int] = (32, 32)) -> Path:
    """Write a photo of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, COLORS[garment]).save(path, "PNG" if path.suffix == ".png" else "JPEG")
    return path


def _network(channels: int, size: int, novelty: bool) -> onnx.ModelProto:
    """Logits that are the mean of each channel, up to SCALE; grey pictures have the same logit for each class.

    The novelty is the mean of all values.
    """
    weight = np.eye(3, dtype=np.float32) if channels == 3 else np.ones((1, 3), np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight"], ["logits"], alpha=SCALE / 255),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        *([helper.make_node("ReduceMean", ["floats"], ["novelty"], axes=[1, 2, 3], keepdims=0)] if novelty else []),
    ]
    outputs = {"probabilities": ["batch", 3], "logits": ["batch", 3], **({"novelty": ["batch"]} if novelty else {})}
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", channels, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _describe(
    folder: Path, number: int, preparation: Preparation | None, channels: int, size: int, changes: dict[str, Any]
) -> Path:
    (folder / WEIGHTS).write_bytes(b"none")
    content = {
        "format": number,
        "class_names": list(GARMENTS),
        "labels": {"en": list(GARMENTS), "es": list(SPANISH)},
        "image_shape": [channels, size, size],
        "pixels": {
            "mean": [127.5] * channels,
            "std": [63.75] * channels,
            "channels": channels,
            "polarity": "as seen",
        },
        "preparation": None if preparation is None else preparation.as_plain(),
        "temperature": 2.0,
        "unsure": {"confidence": 0.9, "energy": -5.0},
        "task": "colours",
        "config": {},
        "data": {"name": "colours", "content_hash": "ab" * 32},
        "scores": {},
        "run_id": None,
        "files": {name: checksum(folder / name) for name in (NETWORK, WEIGHTS)},
        "onnx": {"largest_difference": 0.0, "images": 1},
        **changes,
    }
    (folder / DESCRIPTION).write_text(json.dumps(content), encoding="utf-8")
    return folder
