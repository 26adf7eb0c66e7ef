"""Loading of the weights that a new run starts from: those of its backbone's settings, or of `init_from`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from prenda.config.schema import TrainConfig
from prenda.data.datamodule import ImageDataModule
from prenda.errors import ConfigError
from prenda.training.classifier import Classifier
from prenda.training.starting_point import LAST, verified
from prenda.training.test_time_views import network_of


def load_initial(config: TrainConfig, classifier: Classifier, data: ImageDataModule, folder: Path) -> str:
    """Load the weights that a new run starts from into the classifier; a run that resumes is left as it is.

    Returns:
        Where the weights come from, for the run's record; empty if it starts untrained or resumes.

    Raises:
        ConfigError: If the weights cannot be found, read or verified, or do not fit the network.
    """
    if (folder / LAST).is_file():
        return ""
    network = network_of(classifier.backbone)
    if config.init_from is not None:
        bundle, sha256 = verified(config)
        kept = bundle.class_names == tuple(data.class_names)
        _load(network, _tensors(bundle.weights, config.init_from), config.init_from, kept)
        return f"{bundle.folder.parent.name}, {'with' if kept else 'without'} its head, SHA-256 {sha256}"
    load = getattr(network, "load_initial_weights", None)
    return str(load()) if callable(load) else ""


def _tensors(path: Path, source: str) -> dict[str, Tensor]:
    """Return the tensors of a bundle.

    Raises:
        ConfigError: If its file is no file of tensors, whatever its description says.
    """
    import safetensors.torch  # other runs start without it

    try:
        return dict(safetensors.torch.load_file(path))
    except Exception as error:  # those of safetensors share no other class
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"init_from is {source!r}, whose {path.name} cannot be read ({reason}): name another run or bundle."
        ) from error


def _load(network: nn.Module, tensors: Mapping[str, Tensor], source: str, with_head: bool) -> None:
    """Load tensors into a network; without its head, that keeps its own weights.

    Raises:
        ConfigError: If the tensors are of another network; the text names the first that differs.
    """
    wanted = network.state_dict()
    given = _unwrapped(tensors, wanted)
    for name in sorted(wanted.keys() ^ given.keys()):
        raise _other_network(source, name, "is in one of the two networks only")
    kept = {} if with_head else {name: wanted[name] for name in _head(network)}
    given = given | kept
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            raise _other_network(source, name, f"is {tuple(given[name].shape)} there, {tuple(tensor.shape)} here")
    network.load_state_dict(given)


def _unwrapped(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names of the network itself, which test-time views wrap as `network`."""
    inner = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
    return inner if len(wanted.keys() & inner.keys()) > len(wanted.keys() & tensors.keys()) else dict(tensors)


def _head(network: nn.Module) -> list[str]:
    """Return the names of the tensors of the network's last layer, which gives the logits."""
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return [name for name in network.state_dict() if name.startswith(f"{layers[-1]}.")]


def _other_network(source: str, name: str, difference: str) -> ConfigError:
    return ConfigError(
        f"init_from is {source!r}, a different network ({name} {difference}): give the backbone that it was trained "
        "with, and images of as many channels."
    )
