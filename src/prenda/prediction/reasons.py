"""Reasons of unsure answers, and warnings of models, in English and Spanish."""

from __future__ import annotations

from prenda.bundle.format import Bundle
from prenda.errors import Message

# By data set of thumbnails: share of real photos that the default network had right (docs/predict.md).
MEASURED = {
    "fashion_mnist": (
        "the default network has half of real photos right",
        "la red estándar acierta la mitad de las fotos",
    )
}
HARD = ("photos are hard for it", "las fotos le resultan difíciles")


def low_confidence(confidence: float, least: float) -> Message:
    """Return the reason that the largest probability is below the threshold."""
    return Message(
        "confidence",
        f"{confidence:.2%} is less than the {least:.2%} that an answer needs",
        f"{_percent(confidence)} es menos del {_percent(least)} que necesita una respuesta",
    )


def high_novelty(novelty: float, limit: float) -> Message:
    """Return the reason that a picture is unlike the training images."""
    return Message(
        "novelty",
        f"unlike the photos that it was trained on (novelty {novelty:.2f}, limit {limit:.2f})",
        f"no se parece a las fotos con las que aprendió (novedad {_number(novelty)}, límite {_number(limit)})",
    )


def high_energy(energy: float, limit: float) -> Message:
    """Return the reason that the free energy of the logits is above the threshold."""
    return Message(
        "energy",
        f"does not look like anything it was trained on (energy {energy:.2f}, limit {limit:.2f})",
        f"no se parece a nada de lo que aprendió (energía {_number(energy)}, límite {_number(limit)})",
    )


def model_warnings(bundle: Bundle) -> tuple[Message, ...]:
    """Return the warnings that belong to every answer of a model."""
    preparation = bundle.preparation
    if preparation is None or preparation.kind != "thumbnail":
        return ()
    side = preparation.native
    en, es = MEASURED.get(bundle.data["name"], HARD)
    learned = f"learned from {side}x{side} grey pictures: {en}", f"aprendió de imágenes grises de {side}x{side}: {es}"
    return (Message("thumbnails", *learned),)


def _percent(share: float) -> str:
    return f"{share:.2%}".replace(".", ",").replace("%", " %")


def _number(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")
