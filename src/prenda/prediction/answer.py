"""Answers in words: the best guesses with their confidence, and why a model is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prenda.bundle.format import NOVELTY, Bundle
from prenda.errors import UserError

DECIMALS = 4  # of probabilities, before any threshold: what is shown decides
CONFIDENCE = 0.5  # threshold of a bundle that has none
# By data set of thumbnails: share of real photos that the default network had right (docs/predict.md).
MEASURED = {"fashion_mnist": "the default network has half of real photos right"}
UNSURE = {"en": "unsure", "es": "dudosa"}


@dataclass(frozen=True)
class Guess:
    """A class and its calibrated probability."""

    garment: str
    confidence: float


@dataclass(frozen=True)
class Answer:
    """Answer for one photo.

    Attributes:
        photo: Path of the photo as outputs name it.
        garment: Name of the class; the word for `unsure` if the model is; None if the photo cannot be read.
        unsure: Why the model is unsure; None if it is not.
        guesses: Most probable classes, the best first.
        warnings: What limits the answer, such as `animated: only its first frame is used`.
        error: Why the photo cannot be read; None if it can.
    """

    photo: str
    garment: str | None = None
    unsure: str | None = None
    guesses: tuple[Guess, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def confidence(self) -> float | None:
        """Probability of the best guess; None if the photo cannot be read."""
        return self.guesses[0].confidence if self.guesses else None

    def as_plain(self) -> dict[str, Any]:
        """Return the answer as a mapping of plain types, for JSON."""
        return {
            "photo": self.photo,
            "garment": self.garment,
            "confidence": self.confidence,
            "unsure": self.unsure,
            "guesses": [{"garment": guess.garment, "confidence": guess.confidence} for guess in self.guesses],
            "warnings": list(self.warnings),
            "error": self.error,
        }


class Judge:
    """Turns probabilities and logits into answers, in one language.

    A model is unsure for one of two reasons, with the thresholds that its bundle carries:

    - The picture does not look like anything that the model was trained on: its novelty is above `novelty` (Wang and
      others, ViM: Out-of-distribution with virtual-logit matching, arXiv 2203.10807). In a bundle that has `energy`
      instead, the free energy of its logits, -log sum exp(logits), is above that (Liu and others, Energy-based
      out-of-distribution detection, arXiv 2010.03759). A bundle without both is never unsure for this reason.
    - The largest probability is below `confidence`, 0.5 if the bundle has no threshold.

    Probabilities, novelty and energy are rounded to four decimals first, so that the figures shown are those that
    decided.

    Args:
        bundle: The model.
        language: Language of the class names.
        top: Number of guesses of an answer.

    Raises:
        UserError: If the bundle has no class names in this language, or `top` is less than 1.
    """

    def __init__(self, bundle: Bundle, language: str = "en", top: int = 2) -> None:
        if language not in bundle.labels:
            raise UserError(
                f"--labels is {language!r}, but the model has class names in {', '.join(bundle.labels)} only: choose "
                "one of these."
            )
        if top < 1:
            raise UserError(f"--top is {top}: give a number of guesses, at least 1.")
        self.labels = bundle.labels[language]
        self.unsure = UNSURE.get(language, UNSURE["en"])
        self.top = min(top, len(self.labels))
        self.least_confidence = bundle.unsure.get("confidence", CONFIDENCE)
        self.most_novelty, self.most_energy = bundle.unsure.get(NOVELTY), bundle.unsure.get("energy")
        self.warnings = _of_model(bundle)

    def answer(
        self,
        photo: str,
        probabilities: NDArray[np.float32],
        logits: NDArray[np.float32],
        warnings: Sequence[str] = (),
        novelty: float | None = None,
    ) -> Answer:
        """Return the answer for one photo from its probabilities and logits, both (classes,), and its novelty."""
        rounded = np.round(probabilities.astype(np.float64), DECIMALS)
        order = np.argsort(-rounded, kind="stable")[: self.top]
        guesses = tuple(Guess(self.labels[place], float(rounded[place])) for place in order)
        reason = self._reason(guesses[0].confidence, logits, novelty)
        garment = guesses[0].garment if reason is None else self.unsure
        return Answer(photo, garment, reason, guesses, (*self.warnings, *warnings))

    def _reason(self, confidence: float, logits: NDArray[np.float32], novelty: float | None) -> str | None:
        if self.most_novelty is not None and novelty is not None:
            value, limit = round(novelty, DECIMALS), self.most_novelty
            if value > limit:
                return f"unlike the photos that it was trained on (novelty {value:.2f}, limit {limit:.2f})"
        elif self.most_energy is not None and (energy := free_energy(logits)) > self.most_energy:
            limit = self.most_energy
            return f"does not look like anything it was trained on (energy {energy:.2f}, limit {limit:.2f})"
        if confidence < self.least_confidence:
            return f"{confidence:.2%} is less than the {self.least_confidence:.2%} that an answer needs"
        return None


def free_energy(logits: NDArray[np.float32]) -> float:
    """Return -log sum exp of logits (classes,), rounded to four decimals."""
    values = logits.astype(np.float64)
    largest = values.max()
    return round(float(-(largest + np.log(np.exp(values - largest).sum()))), DECIMALS)


def _of_model(bundle: Bundle) -> tuple[str, ...]:
    """Return the warnings that belong to every answer of a model."""
    preparation = bundle.preparation
    if preparation is None or preparation.kind != "thumbnail":
        return ()
    measured = MEASURED.get(bundle.data["name"], "photos are hard for it")
    return (f"learned from {preparation.native}x{preparation.native} grey pictures: {measured}",)
