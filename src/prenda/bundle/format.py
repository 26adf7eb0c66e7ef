"""Format of a bundle, a model on disk: ONNX network, weights, and a description of how to use them.

Reading needs the standard library alone, so that prediction starts in a second. Writing needs torch; see `export`.
Format 2 takes pixels as they are and answers in probabilities. Format 1, of version 0.1.0, takes normalised images and
answers in logits; it stays readable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prenda.bundle.tasks import task_name
from prenda.errors import BundleError
from prenda.photos.preparation import Preparation

FORMAT = 2
READABLE = (1, 2)
DESCRIPTION, NETWORK, WEIGHTS = "model.json", "model.onnx", "weights.safetensors"
CARD, README = "card.md", "README.md"
ANSWERS, NOVELTY = ("probabilities", "logits"), "novelty"  # outputs of the ONNX file of format 2
LIGHT_ON_DARK = "light on dark"  # 0 is background, as in Fashion-MNIST
AS_SEEN = "as seen"  # the colours of the photo itself
LARGEST_SIDE = 4096  # pixels
# Errors of reading a foreign JSON file, which may have any content: one in another is nested a thousand times.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Bundle:
    """Content of `model.json`, and its folder.

    Attributes:
        folder: Folder of the bundle.
        class_names: Names of the classes, in the order of the logits.
        image_shape: Shape (C, H, W) of the network's images, float32 after normalisation.
        mean: Values to subtract from pixels (0 to 255); format 2 does so in the ONNX file.
        std: Values to divide by after that.
        temperature: Value to divide logits by before softmax; format 2 does so in the ONNX file.
        config: Resolved configuration of the run; format 2 leaves out folders and addresses of the training machine.
        data: `name` of the data set and its `content_hash`.
        scores: Scores of the chosen epoch, by metric name.
        run_id: Id of the MLflow run; None if there is none.
        onnx_difference: Largest difference between logits of `model.onnx` and of the network.
        onnx_images: Number of real images on which that difference was measured.
        format: Version of the format, 1 or 2.
        channels: Channels of the pixels that the ONNX file takes, 1 (grey) or 3 (RGB).
        polarity: `light on dark` (0 is background) or `as seen`.
        preparation: How a photo becomes such pixels; None if there is no way.
        labels: Names of the classes for people, in the same order, by language; `en` is always there.
        unsure: Thresholds of unsure answers, `confidence` and either `energy` or `novelty`, or empty (see
            `prenda.scoring.selective`). With `novelty`, the ONNX file has an output of that name.
        task: Name of the data set with its classes; see `prenda.bundle.tasks`.
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
    format: int = 1
    channels: int = 1
    polarity: str = LIGHT_ON_DARK
    preparation: Preparation | None = None
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unsure: dict[str, float] = field(default_factory=dict)
    task: str = ""

    @property
    def network(self) -> Path:
        """Path of the ONNX file, for any batch size B.

        Shapes:
            Format 2: `pixels` (B, channels, H, W), uint8 -> `probabilities` and `logits` (B, classes), float32, and
            `novelty` (B,), float32, if `outputs` names it: how unlike the training images each picture is.
            Format 1: `images` (B, C, H, W), normalised float32 -> `logits` (B, classes).
        """
        return self.folder / NETWORK

    @property
    def weights(self) -> Path:
        """Path of the backbone's weights in safetensors, under the names of its `state_dict`."""
        return self.folder / WEIGHTS

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs of the ONNX file, in its order."""
        if self.format == 1:
            return ("logits",)
        return (*ANSWERS, NOVELTY) if NOVELTY in self.unsure else ANSWERS

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """Shape (channels, H, W) of the pixels of one picture, 0 to 255, before normalisation."""
        return self.channels, *self.image_shape[1:]


def read(folder: Path) -> Bundle:
    """Return the bundle in a folder, after verifying its checksums.

    Raises:
        BundleError: If the folder has no bundle, or a file of it is missing, damaged or of another format.
    """
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] in READABLE:
            bundle = described(folder, content)
            checksums = {name: str(content["files"][name]) for name in (NETWORK, WEIGHTS)}
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder} holds no model ({DESCRIPTION} is not there): name the folder `bundle` of a run that finished."
        ) from None
    except UNREADABLE as error:
        raise BundleError(f"{path} is damaged ({_reason(error)}): copy the bundle again from its run.") from error
    if content["format"] not in READABLE:
        raise BundleError(
            f"{path} has format {content['format']!r}, but this version of prenda reads {READABLE[0]} and "
            f"{READABLE[1]}: use the version that wrote it, or train again."
        )
    for name, expected in checksums.items():
        _verify(folder / name, expected)
    return bundle


def foreign_links(folder: str, names: list[str]) -> set[str]:
    """Return the links in a bundle that a copy leaves out, for `shutil.copytree`: they may lead to any file.

    The files that are verified may be links.
    """
    verified = (DESCRIPTION, NETWORK, WEIGHTS)
    return {name for name in names if name not in verified and Path(folder, name).is_symlink()}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def described(folder: Path, content: Mapping[str, Any]) -> Bundle:
    """Return the bundle that the content of a `model.json` describes; the other files are not read.

    Raises:
        ValueError, TypeError, KeyError, AttributeError, OverflowError: If the content is invalid.
    """
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
        **(_first_format(content) if content["format"] == 1 else _second_format(content)),
    )
    if not (bundle.temperature > 0 and bundle.std and all(value > 0 for value in bundle.std)):
        raise ValueError(f"temperature {bundle.temperature} and std {list(bundle.std)} must be more than 0")
    _check_shape(bundle)
    for language, names in bundle.labels.items():
        if len(names) != len(bundle.class_names):
            raise ValueError(f"labels.{language} has {len(names)} names for {len(bundle.class_names)} classes")
    return bundle


def _check_shape(bundle: Bundle) -> None:
    """Raise ValueError for pictures that no network takes, and for texts that say something else than others."""
    if not bundle.class_names:
        raise ValueError("class_names is empty")
    if missing := {"name", "content_hash"} - bundle.data.keys():
        raise ValueError(f"data has no {min(missing)!r}")
    (channels, height, width), stored = bundle.image_shape, bundle.channels
    if (
        channels not in (1, 3)
        or (stored not in (1, channels) and bundle.format > 1)  # format 1 does not say how many are stored
        or not all(1 <= n <= LARGEST_SIDE for n in (height, width))
    ):
        raise ValueError(f"image_shape {list(bundle.image_shape)} with {stored} channels of pixels is invalid")
    prepared = bundle.preparation
    if prepared is not None and (prepared.size, prepared.channels) != (width, stored):
        raise ValueError(
            f"preparation {prepared.as_plain()} does not make pictures of {stored} channels, {width} pixels"
        )


def _second_format(content: Mapping[str, Any]) -> dict[str, Any]:
    preparation = content["preparation"]
    labels = {"en": content["class_names"], **content["labels"]}
    return {
        "format": 2,
        "channels": int(content["pixels"]["channels"]),
        "polarity": str(content["pixels"]["polarity"]),
        "preparation": None if preparation is None else Preparation.from_plain(preparation),
        "labels": {language: tuple(map(str, names)) for language, names in labels.items()},
        "unsure": {name: float(value) for name, value in content["unsure"].items()},
        "task": str(content["task"]),
    }


def _first_format(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what format 1 does not say, derived from its data set; only pictures of garments had a preparation."""
    name, channels, size = content["data"]["name"], len(content["pixels"]["mean"]), int(content["image_shape"][1])
    whole = content["config"].get("data", {}).get("classes") is None
    garments = name in ("fashion_mnist", "generated") and channels == 1
    return {
        "format": 1,
        "channels": channels,
        "preparation": Preparation("thumbnail", size, channels) if garments else None,
        "labels": {"en": tuple(map(str, content["class_names"]))},
        "task": task_name(name, content["class_names"], whole),
    }


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
