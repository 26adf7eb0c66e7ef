"""A model that answers photos, in both languages."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prenda.bundle.format import DESCRIPTION, Bundle, checksum
from prenda.errors import Message, PhotoError
from prenda.photos.decode import MOST_PIXELS
from prenda.photos.prepare import load
from prenda.prediction.answer import Judge
from prenda.prediction.predictor import Predictor

LANGUAGES = ("en", "es")


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
        channels, height, width = bundle.pixel_shape
        self.described: dict[str, Any] = {
            "name": bundle.task,
            "version": self.version,
            "registry_version": registry_version,
            "input": {"height": height, "width": width, "channels": channels},
        }

    def answer(
        self, name: str, photo: bytes, top: int, *, picture: bool = False, most_pixels: int = MOST_PIXELS
    ) -> dict[str, Any]:
        """Return the answer for one photo, in plain types."""
        try:
            prepared = load(photo, self.preparation, most_pixels=most_pixels)
        except PhotoError as error:
            return _answer(name, error=in_both(error.message))
        outputs = self._predictor(prepared.pixels[None])
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
            **({"picture": _png(prepared.pixels)} if picture else {}),
        )


def in_both(message: Message) -> dict[str, str]:
    """Return a message in both languages, with its code."""
    return {"code": message.code, "en": str(message), "es": message.es}


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
