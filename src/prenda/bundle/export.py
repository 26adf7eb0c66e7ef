"""Export of a trained network as a bundle, with a check of its ONNX file against the network."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import safetensors.torch
import torch
from onnx import ModelProto
from torch import Tensor, nn

from prenda.bundle.format import (
    ANSWERS,
    DESCRIPTION,
    FORMAT,
    NETWORK,
    NOVELTY,
    README,
    WEIGHTS,
    Bundle,
    checksum,
    described,
)
from prenda.bundle.plain_pixels import FeatureNovelty, PlainPixels
from prenda.bundle.readme import readme
from prenda.errors import BundleError

TOLERANCE = 1e-4  # largest difference of logits and probabilities; float32 leaves about 1e-5
PIXELS_AT_ONCE = 100 * 28 * 28  # pixels a channel in a forward pass: more would take memory for activations
NOVELTY_TOLERANCE = 1e-3  # largest difference of novelty, in the largest novelty of the images, or in 1 if that is less
LARGE = 100.0  # beyond this, the allowed difference grows with the logits, as float32's rounding does


def write(
    folder: Path,
    backbone: nn.Module,
    pixels: Tensor,
    normalize: Callable[[Tensor], Tensor],
    description: Mapping[str, Any],
    texts: Callable[[Bundle], Mapping[str, str]] | None = None,
    novelty: FeatureNovelty | None = None,
) -> float:
    """Write a complete bundle, then move it in place of an existing one; the caller's network is not changed.

    Args:
        folder: Folder of the bundle; an unfinished bundle is beside it, under a name that starts with a dot.
        backbone: The network, from normalised images to logits, on any device; it is exported in evaluation mode.
        pixels: Real pictures, (N, channels, H, W), uint8, on which the ONNX file is checked.
        normalize: What training and scoring do to pixels before the network sees them.
        description: Content of `model.json` but for `format`, `files`, `onnx` and the number of channels of `pixels`.
        texts: More text files, by name; None writes none but README.md.
        novelty: Novelty of the network's features, with its threshold in the description's `unsure`; None if it exposes
            none.

    Returns:
        The largest difference between the logits of the ONNX file and of the network.

    Raises:
        BundleError: If the network cannot be exported, its logits are not finite, or answers of the ONNX file differ.
    """
    assert (novelty is not None) == (NOVELTY in description["unsure"])
    network, pixels = plain(backbone), pixels.detach().contiguous()
    facts = {
        **description,
        "labels": {"en": description["class_names"], **description["labels"]},
        "pixels": {"channels": pixels.shape[1], "type": "uint8", **description["pixels"]},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        part = Path(scratch) / "new"
        part.mkdir()
        safetensors.torch.save_model(network, str(part / WEIGHTS))
        (part / NETWORK).write_bytes(_onnx(network, pixels, facts, novelty))
        difference = _difference(network, pixels, normalize, facts["temperature"], part / NETWORK)
        if novelty is not None:
            _check_novelty(network, pixels, normalize, novelty, part / NETWORK)
        content = {
            "format": FORMAT,
            **facts,
            "files": {name: checksum(part / name) for name in (NETWORK, WEIGHTS)},
            "onnx": {"largest_difference": difference, "images": len(pixels)},
        }
        (part / DESCRIPTION).write_text(
            json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        bundle = described(part, content)
        for name, text in {README: readme(bundle), **(texts(bundle) if texts else {})}.items():
            (part / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        part.rename(folder)
    return difference


def plain(backbone: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode on the CPU; the copy of a compiled network is not compiled."""
    network = copy.deepcopy(backbone).to("cpu", torch.float32).eval().requires_grad_(False)
    return network.to(memory_format=torch.contiguous_format)


def _onnx(network: nn.Module, pixels: Tensor, facts: Mapping[str, Any], novelty: FeatureNovelty | None) -> bytes:
    """Return the network as ONNX, from pixels to probabilities, logits and novelty, for any batch size.

    torch.export takes 2.3 s for the default network and 8 s for MobileNet. The older exporter takes 0.6 s and 0.3 s,
    but it is deprecated, and it silently records only one side of a branch on pixel values.
    """
    mean, std = facts["pixels"]["mean"], facts["pixels"]["std"]
    whole = PlainPixels(network, facts["image_shape"][0], mean, std, facts["temperature"], novelty).eval()
    example = torch.zeros(2, *pixels.shape[1:], dtype=torch.uint8)  # torch.export treats a batch of 1 as a constant
    try:
        program = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            input_names=["pixels"],
            output_names=[*ANSWERS, *([] if novelty is None else [NOVELTY])],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    except Exception as error:  # errors of the exporter, and any that the network raises
        raise BundleError(
            f"{type(network).__name__} cannot be exported to ONNX ({_first_line(error)}): write its forward with "
            "operations that torch.export knows, without branches on the values of images."
        ) from error
    assert program is not None
    content: bytes = _without_traces(program.model_proto).SerializeToString()
    return content


def _without_traces(model: ModelProto) -> ModelProto:
    """Remove where in which source file each operation comes from: those are paths of this machine."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    assert not model.functions, "torch inlines functions"
    return model


def _difference(
    network: nn.Module, pixels: Tensor, normalize: Callable[[Tensor], Tensor], temperature: float, path: Path
) -> float:
    """Return the largest difference of logits, after checking it and that of the probabilities."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    differences, largest = torch.zeros(2), 0.0
    for part in _parts(pixels):
        expected = _logits(network, normalize(part))
        exported = map(torch.from_numpy, session.run(["logits", "probabilities"], {"pixels": part.cpu().numpy()}))
        answers = (expected, torch.softmax(expected / temperature, 1))
        apart = [(mine - theirs).abs().max() for mine, theirs in zip(answers, exported, strict=True)]
        differences, largest = torch.maximum(differences, torch.stack(apart)), max(largest, float(expected.abs().max()))
    allowed = TOLERANCE * max(1.0, largest / LARGE)
    for name, difference in zip(("logits", "probabilities"), differences.tolist(), strict=True):
        if not difference <= allowed:
            raise BundleError(
                f"The ONNX file of {type(network).__name__} gives {name} up to {difference:.2g} away from the "
                f"network's on {len(pixels)} images, where {allowed:.2g} is allowed: one of its operations is exported "
                "wrongly. Replace that operation."
            )
    return float(differences[0])


@torch.inference_mode()
def _check_novelty(
    network: nn.Module, pixels: Tensor, normalize: Callable[[Tensor], Tensor], novelty: FeatureNovelty, path: Path
) -> None:
    """Compare the novelty that the ONNX file gives with that of the network's features in double precision."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = largest = 0.0
    for part in _parts(pixels):
        images = normalize(part).to("cpu", torch.float32).contiguous()
        expected = novelty.statistics.score(*(values.numpy() for values in novelty.compute(network, images)))
        (exported,) = session.run([NOVELTY], {"pixels": part.cpu().numpy()})
        difference = max(difference, float(abs(exported - expected).max()))
        largest = max(largest, float(abs(expected).max()))
    allowed = NOVELTY_TOLERANCE * max(1.0, largest)
    if not difference <= allowed:
        raise BundleError(
            f"The ONNX file of {type(network).__name__} gives a novelty up to {difference:.2g} away from that of its "
            f"features on {len(pixels)} images, where {allowed:.2g} is allowed: one of its operations is exported "
            "wrongly, or its features are too large for float32. Replace that operation, or normalise the features."
        )


def _parts(pixels: Tensor) -> tuple[Tensor, ...]:
    return torch.split(pixels, max(1, PIXELS_AT_ONCE // (pixels.shape[2] * pixels.shape[3])))


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = network(images.to("cpu", torch.float32).contiguous())
    if not logits.isfinite().all():
        raise BundleError(
            "The trained network's logits are not finite: training diverged, so there is no model to export. "
            "Give a smaller optimizer.lr, or set trainer.gradient_clip."
        )
    return logits


def _first_line(error: BaseException) -> str:
    """Return the innermost cause as one line, without the pages of advice that exporters add."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
