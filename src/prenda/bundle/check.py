"""Comparison of a bundle's ONNX file with scored logits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

TOLERANCE = 1e-4  # largest difference of logits and of probabilities; float32 leaves about 1e-5
LARGE = 100.0  # above this, the allowed difference grows with the logits, as rounding in float32 does
PIXELS_AT_ONCE = 100 * 28 * 28  # pixels a channel in a forward pass: more would take memory for activations
Scored = Iterable[tuple[Tensor, NDArray[np.float32]]]


@dataclass(frozen=True)
class Difference:
    """Largest differences between the answers of an ONNX file and scored logits.

    Attributes:
        images: Number of images.
        logits: Largest difference of logits.
        probabilities: Largest difference of probabilities at the bundle's temperature.
        largest: Largest absolute value of a scored logit; infinite or NaN if a logit is.
    """

    images: int = 0
    logits: float = 0.0
    probabilities: float = 0.0
    largest: float = 0.0

    @property
    def allowed(self) -> float:
        """Largest difference that rounding in float32 explains."""
        return TOLERANCE * max(1.0, self.largest / LARGE)


def compare_answers(network: Path, temperature: float, scored: Scored) -> Difference:
    """Return the largest differences between the answers of an ONNX file and scored logits.

    Args:
        network: An ONNX file of a bundle, of any format.
        temperature: Temperature of the bundle's probabilities.
        scored: Batches of the file's input, (B, C, H, W), and their scored logits, (B, classes).
    """
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    takes = session.get_inputs()[0].name  # `pixels` as they are; `images`, in format 1, normalised
    outputs = [output.name for output in session.get_outputs() if output.name in ("logits", "probabilities")]
    images, logits, probabilities, largest = 0, [0.0], [0.0], [0.0]
    for pictures, expected in _parts(scored):
        answers = dict(zip(outputs, session.run(outputs, {takes: pictures.cpu().numpy()}), strict=True))
        images += len(expected)
        with np.errstate(invalid="ignore"):  # infinite logits: `largest` is then infinite too
            given = answers.get("probabilities", softmax(answers["logits"] / temperature, axis=1))
            logits.append(np.abs(answers["logits"] - expected).max())
            probabilities.append(np.abs(given - softmax(expected / temperature, axis=1)).max())
        largest.append(np.abs(expected).max())
    # numpy's largest is NaN if any value is; Python's may lose it.
    return Difference(images, *(float(np.max(values)) for values in (logits, probabilities, largest)))


def split_batch(pixels: Tensor) -> tuple[Tensor, ...]:
    """Split a batch of pictures, (N, C, H, W), into parts that fit in memory with their activations."""
    return torch.split(pixels, max(1, PIXELS_AT_ONCE // (pixels.shape[2] * pixels.shape[3])))


def _parts(scored: Scored) -> Scored:
    for pictures, logits in scored:
        parts = split_batch(pictures)
        ends = np.cumsum([len(part) for part in parts])
        yield from zip(parts, np.split(logits, ends[:-1]), strict=True)
