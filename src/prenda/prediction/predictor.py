"""A bundle's network in ONNX Runtime: prepared pixels in, calibrated probabilities, logits and novelty out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from prenda.bundle.format import Bundle
from prenda.errors import BundleError

Float = NDArray[np.float32]
AGAIN = "copy the bundle again from its run, or train again with this version."


class Outputs(NamedTuple):
    """What a network says about B pictures.

    Attributes:
        probabilities: (B, classes), calibrated.
        logits: (B, classes).
        novelty: (B,), how unlike the training images each picture is; None if the bundle does not tell.
    """

    probabilities: Float
    logits: Float
    novelty: Float | None = None


class Predictor:
    """A bundle's network on the CPU. Several threads may call it at once; it keeps each call to its own thread.

    Args:
        bundle: The model, of format 1 or 2.
        threads: Threads of one call.

    Raises:
        BundleError: If ONNX Runtime cannot load the network.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._bundle = bundle
        try:
            self._session = onnxruntime.InferenceSession(bundle.network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # those of ONNX Runtime share no other class
            raise BundleError(f"{bundle.network} cannot be used ({_first_line(error)}): {AGAIN}") from error

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return probabilities, logits and novelty of prepared pixels (B, C, H, W).

        Raises:
            BundleError: If the network does not take pixels of this shape.
        """
        try:
            return self._checked(self._answers(pixels))
        except Exception as error:  # those of ONNX Runtime share no other class
            shape = tuple(pixels.shape)
            raise BundleError(
                f"{self._bundle.network} refuses pixels {shape} ({_first_line(error)}): {AGAIN}"
            ) from error

    def _answers(self, pixels: NDArray[np.uint8]) -> Outputs:
        if self._bundle.format == 1:
            return self._answer_format_1(pixels)
        return Outputs(*self._session.run(list(self._bundle.outputs), {"pixels": pixels}))

    def _checked(self, outputs: Outputs) -> Outputs:
        """Return the outputs; raise ValueError if the network has other classes than the bundle names."""
        classes = len(self._bundle.class_names)
        for values in (outputs.probabilities, outputs.logits):
            if values.ndim != 2 or values.shape[1] != classes:
                raise ValueError(f"it answers {values.shape}, but the bundle names {classes} classes")
        return outputs

    def _answer_format_1(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Normalise before the network, and scale after it: its graph does neither."""
        bundle = self._bundle
        mean, std = (np.asarray(values, np.float32).reshape(1, -1, 1, 1) for values in (bundle.mean, bundle.std))
        images = (pixels - mean) * (1 / std)  # a product, as in training: a quotient rounds differently
        repeats = bundle.image_shape[0] // bundle.channels  # grey pictures in a network of three channels
        (logits,) = self._session.run(["logits"], {"images": np.tile(images, (1, repeats, 1, 1))})
        scaled = logits / np.float32(bundle.temperature)
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return Outputs(exponentials / exponentials.sum(axis=1, keepdims=True), logits)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
