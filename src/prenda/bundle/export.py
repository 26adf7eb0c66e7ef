"""Writes a trained network as a bundle, and proves that its ONNX file computes the same."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import safetensors.torch
import torch
from torch import Tensor, nn

from prenda.bundle.format import DESCRIPTION, FORMAT, NETWORK, WEIGHTS, checksum
from prenda.errors import BundleError

TOLERANCE = 1e-4  # largest difference of logits; float32 leaves about 1e-5
AT_ONCE = 100  # of them: the activations of all take 40 MiB more
LARGE = 100.0  # logits past this are as far apart in float32 as their size makes them


def write(folder: Path, backbone: nn.Module, images: Tensor, description: Mapping[str, Any]) -> float:
    """Write the bundle atomically, in place of one that is there; the caller's network stays unchanged.

    Args:
        folder: The bundle's own; what is not finished lies beside it under a name that starts with a dot.
        backbone: Images to logits, on any device; scoring's mode is taken, whatever it is in.
        images: Real ones, (N, C, H, W), normalised: what the ONNX file is checked on.
        description: `class_names`, `image_shape`, `pixels`, `temperature`, `config`, `data`, `scores` and `run_id`.

    Returns:
        The largest difference between the logits of the ONNX file and of the network.

    Raises:
        BundleError: If the network cannot be exported, its logits are not finite, or the ONNX file computes others.
    """
    network = _plain(backbone)
    images = images.detach().to("cpu", torch.float32).contiguous()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        part = Path(scratch) / "new"
        part.mkdir()
        safetensors.torch.save_model(network, str(part / WEIGHTS))
        (part / NETWORK).write_bytes(_onnx(network, images))
        difference = _difference(network, images, part / NETWORK)
        about = {
            "format": FORMAT,
            **description,
            "files": {name: checksum(part / name) for name in (NETWORK, WEIGHTS)},
            "onnx": {"largest_difference": difference, "images": len(images)},
        }
        (part / DESCRIPTION).write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        part.rename(folder)
    return difference


def _plain(backbone: nn.Module) -> nn.Module:
    """Return a copy as scoring runs it, on the CPU; a compiled network's copy is not compiled."""
    network = copy.deepcopy(backbone).to("cpu", torch.float32).eval().requires_grad_(False)
    return network.to(memory_format=torch.contiguous_format)


def _onnx(network: nn.Module, images: Tensor) -> bytes:
    """Return the network as ONNX, for any number of images.

    Through torch.export, which takes 2.3 s for the default network and 8 s for MobileNet. The exporter before it takes
    0.6 s and 0.3 s, but is deprecated, and takes a branch on the pixels for one that always goes the same way.
    """
    example = torch.zeros(2, *images.shape[1:])  # torch.export takes a batch of 1 for a constant
    try:
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    except Exception as error:  # the exporter's own, and whatever the network raises inside
        raise BundleError(
            f"{type(network).__name__} cannot be exported to ONNX ({_first_line(error)}): write its forward with "
            "operations that torch.export knows, without branches on the values of images."
        ) from error
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _difference(network: nn.Module, images: Tensor, path: Path) -> float:
    parts = torch.split(images, AT_ONCE)
    with torch.inference_mode():
        expected = torch.cat([network(part) for part in parts])  # (N, classes)
    if not expected.isfinite().all():
        raise BundleError(
            "The trained network's logits are not finite: training went astray, and there is no model to keep. "
            "Give a smaller optimizer.lr, or set trainer.gradient_clip."
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = torch.cat([torch.from_numpy(session.run(["logits"], {"images": part.numpy()})[0]) for part in parts])
    difference = float((found - expected).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()) / LARGE)
    if not difference <= allowed:
        raise BundleError(
            f"The ONNX file of {type(network).__name__} gives logits up to {difference:.2g} away from the network's "
            f"on {len(images)} images, where {allowed:.2g} is allowed: one of its operations is exported wrongly, "
            "replace it."
        )
    return difference


def _first_line(error: BaseException) -> str:
    """Return the innermost cause in a line: exporters wrap it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
