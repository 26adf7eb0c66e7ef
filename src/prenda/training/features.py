"""Features of a frozen body, computed once and kept, so that a head trains in seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from prenda.config.identity import decisive
from prenda.config.schema import AugmentConfig, TrainConfig
from prenda.data.batches import InMemory
from prenda.data.datamodule import ImageDataModule, Split
from prenda.system.atomic_write import write_atomically
from prenda.training.build import resolve_device
from prenda.training.classifier import Classifier
from prenda.training.feature_data import FeatureData
from prenda.training.full_precision import full_precision
from prenda.training.tensor_digest import tensor_digest
from prenda.training.test_time_views import network_of

FILE = "features.safetensors"  # in the run's folder
PRECISION = "float32"  # of the features, whatever the precision of training: they are scored too
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def kept_features(
    config: TrainConfig, classifier: Classifier, data: ImageDataModule, folder: Path
) -> FeatureData | None:
    """Return the features of all images, from the run's folder if it has them, else computed and written there.

    Returns:
        None if the body is trained, or would see other pictures in each epoch.
    """
    network = network_of(classifier.backbone)
    frozen = getattr(network, "frozen", False) and isinstance(getattr(network, "head", None), nn.Module)
    if not frozen or config.shifted_scoring or not _only_flips(config.augment):
        return None
    key = _key(config, network, data.content_hash)
    tensors = _read(folder / FILE, key)
    if tensors is None:
        two_views = config.mirrored_scoring or config.augment.flip > 0
        tensors = _computed(config, network, data, two_views)
        _write(folder / FILE, tensors, key)
    splits = {split: InMemory(tensors[split], tensors[f"{split}.labels"]) for split in SPLITS}
    return FeatureData(splits, data, config.augment.flip, config.mirrored_scoring)


def _only_flips(augment: AugmentConfig) -> bool:
    return not (augment.crop or augment.color or augment.size or augment.shift or augment.erase)


def _key(config: TrainConfig, network: nn.Module, content_hash: str) -> str:
    """Return a SHA-256 of what decides the features: the images, the settings, and the weights of the body."""
    digest = hashlib.sha256(json.dumps([content_hash, decisive(config), PRECISION], sort_keys=True).encode())
    for name, tensor in network.state_dict().items():
        if not name.startswith("head."):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write(path: Path, tensors: dict[str, Tensor], key: str) -> None:
    import safetensors.torch  # other runs start without it

    write_atomically(path, safetensors.torch.save(tensors, {"key": key, "sha256": tensor_digest(tensors)}))


def _read(path: Path, key: str) -> dict[str, Tensor] | None:
    """Return the tensors of a file if it has this key and is undamaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            recorded = file.metadata() or {}
            if recorded.get("key") == key:
                tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
                return tensors if recorded.get("sha256") == tensor_digest(tensors) else None
    except (FileNotFoundError, SafetensorError):
        pass
    return None


@torch.inference_mode()
def _computed(config: TrainConfig, network: nn.Module, data: ImageDataModule, two_views: bool) -> dict[str, Tensor]:
    """Return features (N, views, F) and labels (N,) of each split, computed as scoring would."""
    device = torch.device("cuda" if (kind := resolve_device(config.trainer)[0]) == "gpu" else kind)
    network.to(device).eval()
    extract = cast(Callable[[Tensor], Tensor], network.features)
    tensors = {}
    for split in SPLITS:
        data.predicted = split
        features, labels = [], []
        for batch in data.predict_dataloader():
            images, truth = data.on_after_batch_transfer(batch, 0)
            images = images.to(device)
            views = [images, images.flip(-1)] if two_views else [images]
            with full_precision(device):
                computed = [extract(view).cpu() for view in views]
            features.append(torch.stack(computed, 1))
            labels.append(truth.cpu())
        tensors[str(split)], tensors[f"{split}.labels"] = torch.cat(features), torch.cat(labels)
    network.train()  # Lightning trains in the mode that it finds
    return tensors
