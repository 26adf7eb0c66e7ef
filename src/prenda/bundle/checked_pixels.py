"""ONNX file that refuses what are no pixels, for programs that turn any number into the type they are told.

MLflow's scoring server makes 0.5 a 0 where a signature says uint8. So the model that MLflow loads takes float32, and
its graph checks the values itself. Its large tensors stay in the bundle's own ONNX file, so it takes a few KiB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHECKED = "checked.onnx"
MESSAGE = "pixels must be whole numbers from 0 to 255"  # name of the node that fails; ONNX Runtime's error names it
SHARED = 1024  # bytes from which on a tensor stays in the bundle's file


def write_checked(network: Path) -> Path:
    """Write CHECKED beside a bundle's ONNX file and return its path.

    Shapes:
        `pixels` (B, channels, H, W), float32 -> the outputs of the bundle's file, as they are.
    """
    content = network.read_bytes()
    model = onnx.load_from_string(content)
    graph = model.graph
    (pixels,) = graph.input
    for node in graph.node:
        node.input[:] = ["whole_pixels" if name == pixels.name else name for name in node.input]
    pixels.type.tensor_type.elem_type = TensorProto.FLOAT
    nodes = _check(pixels.name, "whole_pixels")
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *kept])
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype), name)
        for name, value, dtype in (("zero", 0, np.float32), ("most", 255, np.float32), ("only", [0], np.float32))
    )
    for tensor in graph.initializer:
        _share(tensor, content, network.name)
    path = network.with_name(CHECKED)
    path.write_bytes(model.SerializeToString())
    return path


def _check(pixels: str, whole: str) -> list[onnx.NodeProto]:
    """Return nodes that make float pixels uint8, and fail where a value is none.

    ONNX has no operation that raises an error. Looking up the number of wrong pixels in a list of one entry does: any
    other number than 0 is outside.
    """
    node = helper.make_node
    return [
        node("Floor", [pixels], ["floor"]),
        node("Equal", [pixels, "floor"], ["is_whole"]),
        node("GreaterOrEqual", [pixels, "zero"], ["is_positive"]),
        node("LessOrEqual", [pixels, "most"], ["is_small"]),
        node("And", ["is_whole", "is_positive"], ["is_whole_and_positive"]),
        node("And", ["is_whole_and_positive", "is_small"], ["is_pixel"]),
        node("Not", ["is_pixel"], ["is_wrong"]),
        node("Cast", ["is_wrong"], ["wrong"], to=TensorProto.FLOAT),
        node("ReduceSum", ["wrong"], ["sum"], keepdims=0),
        node("Cast", ["sum"], ["count"], to=TensorProto.INT64),
        node("Gather", ["only", "count"], ["nothing"], name=MESSAGE),
        node("Add", [pixels, "nothing"], ["checked"]),
        node("Cast", ["checked"], [whole], to=TensorProto.UINT8),
    ]


def _share(tensor: TensorProto, content: bytes, file: str) -> None:
    """Replace the values of a large tensor by their place in the bundle's ONNX file."""
    values = tensor.raw_data
    if len(values) < SHARED:
        return
    place = content.index(values)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", place), ("length", len(values))):
        tensor.external_data.add(key=key, value=str(value))
