"""Export of a trained network as a bundle, with a check of its ONNX file against the network."""

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
AT_ONCE = 100  # images a forward pass; all at once would take 40 MiB more for activations
LARGE = 100.0  # beyond this, the allowed difference grows with the logits, as float32's rounding does


def write(folder: Path, backbone: nn.Module, images: Tensor, description: Mapping[str, Any]) -> float:
    """Write a complete bundle, then move it in place of an existing one; the caller's network is not changed.

    Args:
        folder: Folder of the bundle; an unfinished bundle is beside it, under a name that starts with a dot.
        backbone: The network, from images to logits, on any device; it is exported in evaluation mode.
        images: Real images, (N, C, H, W), normalised, on which the ONNX file is checked.
        description: `class_names`, `image_shape`, `pixels`, `temperature`, `config`, `data`, `scores` and `run_id`.

    Returns:
        The largest difference between the logits of the ONNX file and of the network.

    Raises:
        BundleError: If the network cannot be exported, its logits are not finite, or those of the ONNX file differ.
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
        content = {
            "format": FORMAT,
            **description,
            "files": {name: checksum(part / name) for name in (NETWORK, WEIGHTS)},
            "onnx": {"largest_difference": difference, "images": len(images)},
        }
        (part / DESCRIPTION).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        part.rename(folder)
    return difference


def _plain(backbone: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode on the CPU; the copy of a compiled network is not compiled."""
    network = copy.deepcopy(backbone).to("cpu", torch.float32).eval().requires_grad_(False)
    return network.to(memory_format=torch.contiguous_format)


def _onnx(network: nn.Module, images: Tensor) -> bytes:
    """Return the network as ONNX, for any batch size.

    torch.export takes 2.3 s for the default network and 8 s for MobileNet. The older exporter takes 0.6 s and 0.3 s,
    but it is deprecated, and it silently records only one side of a branch on pixel values.
    """
    example = torch.zeros(2, *images.shape[1:])  # torch.export treats a batch size of 1 as a constant
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
    except Exception as error:  # errors of the exporter, and any that the network raises
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
            "The trained network's logits are not finite: training diverged, so there is no model to export. "
            "Give a smaller optimizer.lr, or set trainer.gradient_clip."
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    exported = torch.cat([torch.from_numpy(session.run(["logits"], {"images": part.numpy()})[0]) for part in parts])
    difference = float((exported - expected).abs().max())
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()) / LARGE)
    if not difference <= allowed:
        raise BundleError(
            f"The ONNX file of {type(network).__name__} gives logits up to {difference:.2g} away from the network's "
            f"on {len(images)} images, where {allowed:.2g} is allowed: one of its operations is exported wrongly. "
            "Replace that operation."
        )
    return difference


def _first_line(error: BaseException) -> str:
    """Return the innermost cause as one line, without the pages of advice that exporters add."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
