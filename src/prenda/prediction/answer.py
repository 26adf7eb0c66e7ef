"""Answers in words: the best guesses with their confidence, and why a model is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prenda.bundle.format import NOVELTY, Bundle
from prenda.errors import Message, UserError
from prenda.prediction import reasons

DECIMALS = 4  # of probabilities, before any threshold: what is shown decides
CONFIDENCE = 0.5  # threshold of a bundle that has none
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

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Answer:
        """Return the answer that `as_plain` has written.

        Raises:
            ValueError, TypeError, KeyError: If the content is none.
        """
        texts = [content[name] for name in ("garment", "unsure", "error")]
        if not isinstance(content["photo"], str) or not all(isinstance(text, str | None) for text in texts):
            raise TypeError(f"photo {content['photo']!r}, garment, unsure and error {texts} must be texts")
        guesses = tuple(Guess(str(guess["garment"]), float(guess["confidence"])) for guess in content["guesses"])
        return cls(content["photo"], texts[0], texts[1], guesses, tuple(map(str, content["warnings"])), texts[2])


class Verdict(NamedTuple):
    """What a model says about one photo, without words.

    Attributes:
        places: Places of the most probable classes among the bundle's, the best first.
        confidences: Their calibrated probabilities, rounded.
        reason: Why the model is unsure; None if it is not.
    """

    places: tuple[int, ...]
    confidences: tuple[float, ...]
    reason: Message | None


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
        self.language, self.labels = language, bundle.labels[language]
        self.unsure = UNSURE.get(language, UNSURE["en"])
        self.top = min(top, len(self.labels))
        self.least_confidence = bundle.unsure.get("confidence", CONFIDENCE)
        self.most_novelty, self.most_energy = bundle.unsure.get(NOVELTY), bundle.unsure.get("energy")
        self.warnings = reasons.model_warnings(bundle)

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds of unsure answers, by the code of the reason."""
        limits = {NOVELTY: self.most_novelty, "energy": self.most_energy}
        return {
            "confidence": self.least_confidence,
            **{code: limit for code, limit in limits.items() if limit is not None},
        }

    def verdict(
        self, probabilities: NDArray[np.float32], logits: NDArray[np.float32], novelty: float | None = None
    ) -> Verdict:
        """Return the best guesses and the reason to be unsure, from probabilities and logits, both (classes,)."""
        rounded = np.round(probabilities.astype(np.float64), DECIMALS)
        order = np.argsort(-rounded, kind="stable")[: self.top].tolist()
        confidences = tuple(float(rounded[place]) for place in order)
        return Verdict(tuple(order), confidences, self._reason(confidences[0], logits, novelty))

    def answer(
        self,
        photo: str,
        probabilities: NDArray[np.float32],
        logits: NDArray[np.float32],
        warnings: Sequence[Message] = (),
        novelty: float | None = None,
    ) -> Answer:
        """Return the answer for one photo from its probabilities and logits, both (classes,), and its novelty."""
        verdict = self.verdict(probabilities, logits, novelty)
        places = zip(verdict.places, verdict.confidences, strict=True)
        guesses = tuple(Guess(self.labels[place], confidence) for place, confidence in places)
        garment = guesses[0].garment if verdict.reason is None else self.unsure
        reason = None if verdict.reason is None else verdict.reason.text(self.language)
        said = tuple(warning.text(self.language) for warning in (*self.warnings, *warnings))
        return Answer(photo, garment, reason, guesses, said)

    def refusal(self, photo: str, error: Message) -> Answer:
        """Return the answer for a photo that cannot be read."""
        return Answer(photo, error=error.text(self.language))

    def _reason(self, confidence: float, logits: NDArray[np.float32], novelty: float | None) -> Message | None:
        if self.most_novelty is not None and novelty is not None:
            if (value := round(novelty, DECIMALS)) > self.most_novelty:
                return reasons.high_novelty(value, self.most_novelty)
        elif self.most_energy is not None and (energy := free_energy(logits)) > self.most_energy:
            return reasons.high_energy(energy, self.most_energy)
        if confidence < self.least_confidence:
            return reasons.low_confidence(confidence, self.least_confidence)
        return None


def free_energy(logits: NDArray[np.float32]) -> float:
    """Return -log sum exp of logits (classes,), rounded to four decimals."""
    values = logits.astype(np.float64)
    largest = values.max()
    return round(float(-(largest + np.log(np.exp(values - largest).sum()))), DECIMALS)
