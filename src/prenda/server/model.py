"""A model that answers photos, in both languages."""

from __future__ import annotations

import base64
import io
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prenda.bundle.format import DESCRIPTION, Bundle, checksum
from prenda.errors import BundleError, Message, PhotoError
from prenda.photos.decode import MOST_PIXELS
from prenda.photos.messages import message
from prenda.photos.prepare import Prepared, load
from prenda.prediction.answer import Judge
from prenda.prediction.predictor import AGAIN, Outputs, Predictor

LANGUAGES = ("en", "es")


class Answered(NamedTuple):
    """An answer in plain types, and what it took."""

    answer: dict[str, Any]
    decode_seconds: float
    network_seconds: float


class Model:
    """A bundle that answers photos. Several threads may ask it at once.

    Args:
        bundle: The model; it has a preparation.
        registry_version: Its version in a registry; None if it comes from this machine's disk.

    Raises:
        BundleError: If ONNX Runtime cannot load the network.
    """

    def __init__(self, bundle: Bundle, registry_version: str | None = None) -> None:
        assert bundle.preparation is not None
        self.bundle, self.preparation = bundle, bundle.preparation
        self.version = checksum(bundle.folder / DESCRIPTION)[:12]
        self._predictor = Predictor(bundle)
        self._judge = Judge(bundle, top=len(bundle.class_names))
        labels = [bundle.labels.get(language, bundle.labels["en"]) for language in LANGUAGES]
        self.labels = [dict(zip(LANGUAGES, names, strict=True)) for names in zip(*labels, strict=True)]
        self.thresholds = self._judge.thresholds
        channels, height, width = bundle.pixel_shape
        self.described: dict[str, Any] = {
            "name": bundle.task,
            "version": self.version,
            "registry_version": registry_version,
            "input": {"height": height, "width": width, "channels": channels},
        }

    def self_test(self) -> None:
        """Run the network on a black picture.

        Raises:
            BundleError: If its answer is none.
        """
        outputs = self._predictor(np.zeros((1, *self.bundle.pixel_shape), np.uint8))
        probabilities = outputs.probabilities
        whole = probabilities.shape == (1, len(self.bundle.class_names)) and abs(float(probabilities.sum()) - 1) < 1e-3
        values = [
            *probabilities.ravel(),
            *outputs.logits.ravel(),
            *(outputs.novelty if outputs.novelty is not None else ()),
        ]
        if not (whole and np.isfinite(values).all()):
            raise BundleError(
                f"{self.bundle.network} fails its self-test: its answer for a black picture is no list of "
                f"{len(self.bundle.class_names)} probabilities: {AGAIN}"
            )

    def answer(
        self, name: str, photo: bytes, top: int = 3, picture: bool = False, most_pixels: int = MOST_PIXELS
    ) -> Answered:
        """Return the answer for one photo."""
        started = time.perf_counter()
        try:
            prepared = load(photo, self.preparation, most_pixels=most_pixels, name=name)
        except PhotoError as error:
            return Answered(_answer(name, error=in_both(error.message)), time.perf_counter() - started, 0.0)
        except MemoryError:
            return Answered(_answer(name, error=in_both(message("no_memory"))), time.perf_counter() - started, 0.0)
        decoded = time.perf_counter()
        outputs = self._predictor(prepared.pixels[None])
        network_seconds = time.perf_counter() - decoded
        answer = self._in_words(name, prepared, outputs, top)
        if picture:
            answer["picture"] = _png(prepared.pixels)
        return Answered(answer, decoded - started, network_seconds)

    def _in_words(self, name: str, prepared: Prepared, outputs: Outputs, top: int) -> dict[str, Any]:
        novelty = None if outputs.novelty is None else float(outputs.novelty[0])
        verdict = self._judge.verdict(outputs.probabilities[0], outputs.logits[0], novelty)
        guesses = [
            {"type": self.bundle.class_names[place], "labels": self.labels[place], "probability": confidence}
            for place, confidence in zip(verdict.places, verdict.confidences, strict=True)
        ]
        return _answer(
            name,
            type=None if verdict.reason else guesses[0]["type"],
            unsure=verdict.reason is not None,
            reason=verdict.reason and in_both(verdict.reason),
            guesses=guesses[:top],
            warnings=[in_both(warning) for warning in (*self._judge.warnings, *prepared.warnings)],
        )


def in_both(text: Message) -> dict[str, str]:
    """Return a message in both languages, with its code."""
    return {"code": text.code, "en": str(text), "es": text.es}


def _answer(name: str, **given: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "type": None,
        "unsure": False,
        "reason": None,
        "guesses": [],
        "warnings": [],
        "error": None,
    }
    return {"photo": name, **empty, **given}


def _png(pixels: NDArray[np.uint8]) -> str:
    """Return the pixels of a network, (C, H, W), as a data URL."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
