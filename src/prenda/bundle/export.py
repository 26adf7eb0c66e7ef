"""Export of a trained network as a bundle, with a check of its ONNX file against the scored logits."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
import safetensors.torch
import torch
from onnx import ModelProto
from torch import nn

from prenda.bundle.check import Difference, Scored, compare_answers, split_batch
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

NOVELTY_TOLERANCE = 1e-3  # largest difference of novelty, in the largest novelty of the images, or in 1 if that is less


def write(
    folder: Path,
    backbone: nn.Module,
    channels: int,
    scored: Scored,
    description: Mapping[str, Any],
    texts: Callable[[Bundle], Mapping[str, str]] | None = None,
    novelty: FeatureNovelty | None = None,
) -> float:
    """Write a complete bundle, then move it in place of an existing one; the caller's network is not changed.

    Args:
        folder: Folder of the bundle; an unfinished bundle is beside it, under a name that starts with a dot.
        backbone: The network, from normalised images to logits, on any device; it is exported in evaluation mode.
        channels: Channels of the pixels that the ONNX file takes.
        scored: Batches of real pictures, (B, channels, H, W), uint8, and the logits that the network was scored by,
            (B, classes), float32; the ONNX file is checked on all of them.
        description: Content of `model.json` but for `format`, `files`, `onnx` and the number of channels of `pixels`.
        texts: More text files, by name; None writes none but README.md.
        novelty: Novelty of the network's features, with its threshold in the description's `unsure`; None if it exposes
            none.

    Returns:
        The largest difference between the logits of the ONNX file and the scored ones.

    Raises:
        BundleError: If the network cannot be exported, its logits are not finite, or answers of the ONNX file differ.
    """
    assert (novelty is not None) == (NOVELTY in description["unsure"])
    network = plain(backbone)
    facts = {
        **description,
        "labels": {"en": description["class_names"], **description["labels"]},
        "pixels": {"channels": channels, "type": "uint8", **description["pixels"]},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with beside(folder) as scratch:
        part = scratch / "new"
        part.mkdir()
        safetensors.torch.save_model(network, str(part / WEIGHTS))
        (part / NETWORK).write_bytes(_onnx(network, channels, facts, novelty))
        difference = _checked(network, part / NETWORK, facts["temperature"], scored)
        if novelty is not None:
            _check_novelty(network, novelty, part / NETWORK)
        content = {
            "format": FORMAT,
            **facts,
            "files": {name: checksum(part / name) for name in (NETWORK, WEIGHTS)},
            "onnx": {
                "largest_difference": difference.logits,
                "largest_difference_of_probabilities": difference.probabilities,
                "images": difference.images,
            },
        }
        (part / DESCRIPTION).write_text(
            json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        bundle = described(part, content)
        for name, text in {README: readme(bundle), **(texts(bundle) if texts else {})}.items():
            (part / name).write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(scratch / "old")
        part.rename(folder)
    return difference.logits


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside another one; what a killed process left there is deleted first."""
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def plain(backbone: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode on the CPU; the copy of a compiled network is not compiled."""
    network = copy.deepcopy(backbone).to("cpu", torch.float32).eval().requires_grad_(False)
    return network.to(memory_format=torch.contiguous_format)


def _onnx(network: nn.Module, channels: int, facts: Mapping[str, Any], novelty: FeatureNovelty | None) -> bytes:
    """Return the network as ONNX, from pixels to probabilities, logits and novelty, for any batch size.

    torch.export takes 2.3 s for the default network and 8 s for MobileNet. The older exporter takes 0.6 s and 0.3 s,
    but it is deprecated, and it silently records only one side of a branch on pixel values.
    """
    mean, std = facts["pixels"]["mean"], facts["pixels"]["std"]
    colours, height, width = facts["image_shape"]
    whole = PlainPixels(network, colours, mean, std, facts["temperature"], novelty).eval()
    example = torch.zeros(
        2, channels, height, width, dtype=torch.uint8
    )  # torch.export treats a batch of 1 as a constant
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


def _checked(network: nn.Module, path: Path, temperature: float, scored: Scored) -> Difference:
    """Return the difference of the ONNX file's answers from the scored ones.

    Raises:
        BundleError: If scored logits are not finite, or the difference is larger than rounding explains.
    """
    difference = compare_answers(path, temperature, scored)
    if not math.isfinite(difference.largest):
        raise BundleError(
            "The trained network's logits are not finite: training diverged, so there is no model to export. "
            "Give a smaller optimizer.lr, or set trainer.gradient_clip."
        )
    for name, value in (("probabilities", difference.probabilities), ("logits", difference.logits)):
        if not value <= difference.allowed:
            raise BundleError(
                f"The ONNX file of {type(network).__name__} gives {name} up to {value:.2g} away from the scored ones "
                f"on {difference.images:,} images, where {difference.allowed:.2g} is allowed: one of its operations is "
                "exported wrongly. Replace that operation."
            )
    return difference


@torch.inference_mode()
def _check_novelty(network: nn.Module, novelty: FeatureNovelty, path: Path) -> None:
    """Compare the novelty that the ONNX file gives with that of the network's features in double precision."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = largest = 0.0
    for part in split_batch(novelty.pixels.detach().contiguous()):
        images = novelty.normalize(part).to("cpu", torch.float32).contiguous()
        expected = novelty.statistics.score(*(values.numpy() for values in novelty.compute(network, images)))
        (exported,) = session.run([NOVELTY], {"pixels": part.cpu().numpy()})
        difference = max(difference, float(abs(exported - expected).max()))
        largest = max(largest, float(abs(expected).max()))
    allowed = NOVELTY_TOLERANCE * max(1.0, largest)
    if not difference <= allowed:
        raise BundleError(
            f"The ONNX file of {type(network).__name__} gives a novelty up to {difference:.2g} away from that of its "
            f"features on {len(novelty.pixels)} images, where {allowed:.2g} is allowed: one of its operations is "
            "exported wrongly, or its features are too large for float32. Replace that operation, or normalise the "
            "features."
        )


def _first_line(error: BaseException) -> str:
    """Return the innermost cause as one line, without the pages of advice that exporters add."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
