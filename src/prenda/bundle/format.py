"""Format of a bundle, a model on disk: ONNX network, weights, and a description of how to use them.

Reading needs the standard library alone, so that prediction starts in a second. Writing needs torch; see `export`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prenda.errors import BundleError

FORMAT = 1
DESCRIPTION, NETWORK, WEIGHTS = "model.json", "model.onnx", "weights.safetensors"


@dataclass(frozen=True)
class Bundle:
    """Content of `model.json`, and its folder.

    Attributes:
        folder: Folder of the bundle.
        class_names: Names of the classes, in the order of the logits.
        image_shape: Shape (C, H, W) of the network's images, float32 after normalisation.
        mean: Values to subtract from pixels (0 to 255), one for each stored channel.
        std: Values to divide by after that.
        temperature: Value to divide logits by before softmax, so that probabilities are calibrated.
        config: Resolved configuration of the run.
        data: `name` of the data set and its `content_hash`.
        scores: Scores of the chosen epoch, by metric name.
        run_id: Id of the MLflow run; None if there is none.
        onnx_difference: Largest difference between logits of `model.onnx` and of the network.
        onnx_images: Number of real images on which that difference was measured.
    """

    folder: Path
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    config: dict[str, Any]
    data: dict[str, str]
    scores: dict[str, float]
    run_id: str | None
    onnx_difference: float
    onnx_images: int

    @property
    def network(self) -> Path:
        """Path of the ONNX file: `images` (B, C, H, W), normalised float32 -> `logits` (B, classes), for any B."""
        return self.folder / NETWORK

    @property
    def weights(self) -> Path:
        """Path of the backbone's weights in safetensors, under the names of its `state_dict`."""
        return self.folder / WEIGHTS


def read(folder: Path) -> Bundle:
    """Return the bundle in a folder, after verifying its checksums.

    Raises:
        BundleError: If the folder has no bundle, or a file of it is missing, damaged or of another format.
    """
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == FORMAT:
            bundle = _described(folder, content)
            checksums = {name: str(content["files"][name]) for name in (NETWORK, WEIGHTS)}
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} holds no model ({DESCRIPTION} is not there): name the folder `bundle` of a run that finished."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # a foreign JSON file may have any content
        raise BundleError(f"{path} is damaged ({_reason(error)}): copy the bundle again from its run.") from error
    if content["format"] != FORMAT:
        raise BundleError(
            f"{path} has format {content['format']!r}, but this version of prenda reads {FORMAT}: use the version that "
            "wrote it, or train again."
        )
    for name, expected in checksums.items():
        _verify(folder / name, expected)
    return bundle


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(folder: Path, content: dict[str, Any]) -> Bundle:
    channels, height, width = map(int, content["image_shape"])
    bundle = Bundle(
        folder=folder,
        class_names=tuple(map(str, content["class_names"])),
        image_shape=(channels, height, width),
        mean=tuple(map(float, content["pixels"]["mean"])),
        std=tuple(map(float, content["pixels"]["std"])),
        temperature=float(content["temperature"]),
        config=dict(content["config"]),
        data=dict(content["data"]),
        scores={name: float(value) for name, value in content["scores"].items()},
        run_id=content["run_id"],
        onnx_difference=float(content["onnx"]["largest_difference"]),
        onnx_images=int(content["onnx"]["images"]),
    )
    if not (bundle.temperature > 0 and bundle.std and all(value > 0 for value in bundle.std)):
        raise ValueError(f"temperature {bundle.temperature} and std {list(bundle.std)} must be more than 0")
    return bundle


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing: copy the bundle again from its run.")
    if (actual := checksum(path)) != expected:
        raise BundleError(
            f"{path} is damaged (its SHA-256 is {actual[:12]}…, not {expected[:12]}…): copy the bundle again from its "
            "run."
        )
