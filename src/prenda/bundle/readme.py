"""README.md of a bundle: how a program asks the model, with ONNX Runtime alone."""

from __future__ import annotations

from prenda.bundle.format import LIGHT_ON_DARK, NOVELTY, Bundle
from prenda.scoring.significance import COVERED, accuracy_text
from prenda.system.foreign_text import markdown_text

_TEXT = """# {title}

`model.onnx` classifies pictures into {count} classes. It takes pixels as they are and answers in probabilities:
normalisation and calibration are inside.

| | name | type and shape |
|---|---|---|
| Input | `pixels` | uint8, (B, {channels}, {height}, {width}), for any B; {polarity} |
| Output | `probabilities` | float32, (B, {count}), calibrated |
| Output | `logits` | float32, (B, {count}), before the temperature |
{novelty}
The classes, in order: {classes}.

```python
import json
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path("{folder}")  # the folder of this file
names = json.loads((folder / "model.json").read_text(encoding="utf-8"))["labels"]["en"]
session = onnxruntime.InferenceSession(folder / "model.onnx")
pixels = np.zeros((1, {channels}, {height}, {width}), np.uint8)  # your picture
(probabilities,) = session.run(["probabilities"], {{"pixels": pixels}})
best = probabilities[0].argmax()
print(names[best], float(probabilities[0, best]))
```

`prenda predict` turns a photo into such pixels and asks the model. `card.md` says what the model is fit for, and how
good it is.
{accuracy}"""
_NOVELTY = (
    "| Output | `novelty` | float32, (B,), how unlike the training images a picture is; above {limit:.4f}, "
    '`unsure.novelty` of `model.json`, answer "unsure" |\n'
)
_POLARITY = {LIGHT_ON_DARK: "light on dark, 0 is background"}


def readme(bundle: Bundle, images: int = 0) -> str:
    """Return the text of a bundle's README.md.

    Args:
        bundle: The bundle.
        images: Number of test images; 0 leaves the accuracy out.
    """
    channels, height, width = bundle.pixel_shape
    return _TEXT.format(
        title=markdown_text(bundle.task),
        count=len(bundle.class_names),
        channels=channels,
        height=height,
        width=width,
        polarity=_POLARITY.get(bundle.polarity, "RGB in the colours of the photo" if channels == 3 else "grey"),
        novelty=_NOVELTY.format(limit=bundle.unsure[NOVELTY]) if NOVELTY in bundle.outputs else "",
        classes=", ".join(map(markdown_text, bundle.class_names)),
        folder=".",
        accuracy=_accuracy(bundle.scores["test/accuracy"], images) if images else "",
    )


def _accuracy(accuracy: float, images: int) -> str:
    return f"\nAccuracy on {images:,} test images: {accuracy_text(accuracy, images)}. {COVERED}\n"
