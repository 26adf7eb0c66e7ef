"""A model on disk: its network for any ONNX runtime, its weights, and what one must know to use them.

Reading needs the standard library alone, so that prediction starts in a second; `export` writes, which takes torch.
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
    """What `model.json` says, and the folder that it lies in.

    Attributes:
        image_shape: (C, H, W) of what the network takes, as float32 after normalisation.
        mean: What is subtracted from pixels (0 to 255), a value for each stored channel.
        std: What they are then divided by.
        temperature: What logits are divided by before softmax, so that probabilities are as sure as they should be.
        config: The run's resolved configuration.
        data: `name` of the data set and its `content_hash`.
        scores: Of the chosen epoch, by metric name.
        onnx_difference: The largest between logits of `model.onnx` and of the network, on `onnx_images` real images.
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
        """The ONNX file: `images` (B, C, H, W), normalised float32 -> `logits` (B, classes), for any B."""
        return self.folder / NETWORK

    @property
    def weights(self) -> Path:
        """The backbone's state in safetensors, under the names of its `state_dict`."""
        return self.folder / WEIGHTS


def read(folder: Path) -> Bundle:
    """Return the bundle in a folder, found whole and unchanged.

    Raises:
        BundleError: If the folder holds none, or a file of it is missing, damaged or of a later format.
    """
    path = folder / DESCRIPTION
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] == FORMAT:
            bundle = _described(folder, about)
            checksums = {name: str(about["files"][name]) for name in (NETWORK, WEIGHTS)}
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} holds no model ({DESCRIPTION} is not there): name the folder `bundle` of a run that finished."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # whatever a foreign JSON lacks or has instead
        raise BundleError(f"{path} is damaged ({_reason(error)}): copy the bundle again from its run.") from error
    if about["format"] != FORMAT:
        raise BundleError(
            f"{path} has format {about['format']!r}, but this version of prenda reads {FORMAT}: use the version that "
            "wrote it, or train again."
        )
    for name, expected in checksums.items():
        _verify(folder / name, expected)
    return bundle


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(folder: Path, about: dict[str, Any]) -> Bundle:
    channels, height, width = map(int, about["image_shape"])
    bundle = Bundle(
        folder=folder,
        class_names=tuple(map(str, about["class_names"])),
        image_shape=(channels, height, width),
        mean=tuple(map(float, about["pixels"]["mean"])),
        std=tuple(map(float, about["pixels"]["std"])),
        temperature=float(about["temperature"]),
        config=dict(about["config"]),
        data=dict(about["data"]),
        scores={name: float(value) for name, value in about["scores"].items()},
        run_id=about["run_id"],
        onnx_difference=float(about["onnx"]["largest_difference"]),
        onnx_images=int(about["onnx"]["images"]),
    )
    if not (bundle.temperature > 0 and bundle.std and all(value > 0 for value in bundle.std)):
        raise ValueError(f"temperature {bundle.temperature} and std {list(bundle.std)} must be more than 0")
    return bundle


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing: copy the bundle again from its run.")
    if (found := checksum(path)) != expected:
        raise BundleError(
            f"{path} is damaged (SHA-256 {found[:12]}…, written was {expected[:12]}…): copy the bundle again from its "
            "run."
        )
