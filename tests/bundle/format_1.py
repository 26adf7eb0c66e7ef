"""A bundle as version 0.1.0 wrote it: normalised images in, logits out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from prenda.bundle.format import checksum
from prenda.data.datasets.fashion_mnist import GARMENTS

WEIGHTS = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32) / 28


def write_format_1(folder: Path, **changes: Any) -> np.ndarray:
    """Write the bundle of a linear network on Fashion-MNIST; return its weights, (784, 10)."""
    folder.mkdir(parents=True, exist_ok=True)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "linear", [images], [logits], [numpy_helper.from_array(WEIGHTS, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    safetensors.numpy.save_file({"weight": WEIGHTS}, folder / "weights.safetensors")
    about = {
        "format": 1,
        "class_names": list(GARMENTS),
        "image_shape": [1, 28, 28],
        "pixels": {"mean": [72.9], "std": [90.0]},
        "temperature": 1.25,
        "config": {"seed": 0, "data": {"name": "fashion_mnist", "classes": None}},
        "data": {"name": "fashion_mnist", "content_hash": "ab" * 32},
        "scores": {"test/accuracy": 0.8, "test/f1": 0.8, "test/loss": 0.5},
        "run_id": None,
        "files": {name: checksum(folder / name) for name in ("model.onnx", "weights.safetensors")},
        "onnx": {"largest_difference": 1e-6, "images": 500},
    }
    (folder / "model.json").write_text(json.dumps(about | changes))
    return WEIGHTS
