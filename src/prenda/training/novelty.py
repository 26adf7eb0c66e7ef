"""Statistics and threshold of the novelty of a trained network, from its images without augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prenda.data.datamodule import ImageDataModule, Split
from prenda.data.splits import resized
from prenda.scoring.novelty import Novelty, fit_novelty
from prenda.training.test_time_views import features_and_logits, network_of

LIMIT = 2000  # images of each split: EfficientNet-Lite0 takes 19 ms of one core for two views of 192 pixels
PIXELS_AT_ONCE = 4 * 192 * 192  # of one forward pass: more take memory for activations, and are slower
SAME = 1e-3  # largest difference of logits, in the largest logit, between a network and its head on its features


def network_novelty(network: nn.Module, data: ImageDataModule) -> tuple[Novelty, NDArray[np.float64]] | None:
    """Return the statistics of training images and the novelty of validation images, at most 2,000 of each.

    Args:
        network: The backbone in evaluation mode, on the CPU; it is laid out with channels last.
        data: Images of the run.

    Returns:
        None if the network exposes no features, (B, F), from which its `head` computes its logits, or if they are not
        finite.
    """
    if not exposes_features(network, _images(data, "train", torch.arange(1))):
        return None
    network.to(memory_format=torch.channels_last)  # half of the time
    train = _outputs(network, data, "train")
    validation = _outputs(network, data, "val")
    if not all(np.isfinite(values).all() for values in (*train, *validation)):
        return None
    statistics = fit_novelty(*train)
    return statistics, statistics.score(*validation)


@torch.inference_mode()
def exposes_features(backbone: nn.Module, images: Tensor) -> bool:
    """Return whether a backbone's logits of normalised images are those of its `head` on its `features`, (B, F)."""
    network = network_of(backbone)
    if not (callable(getattr(network, "features", None)) and isinstance(getattr(network, "head", None), nn.Module)):
        return False
    if cast(Callable[[Tensor], Tensor], network.features)(images).ndim != 2:
        return False
    expected, (_, logits) = backbone(images), features_and_logits(backbone, images)
    return bool((logits - expected).abs().max() <= SAME * expected.abs().max().clamp(min=1))


def stratified(labels: NDArray[np.int64], limit: int = LIMIT) -> NDArray[np.int64]:
    """Return the sorted indices of at most `limit` images, the same share of each class; the draw is the same always.

    Shapes:
        labels (N,) -> (min(N, limit),).
    """
    order = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))  # of each image in its class, from 0 to 1
    for label in np.unique(labels):
        images = order[labels[order] == label]
        place[images] = (np.arange(len(images)) + 0.5) / len(images)
    chosen: NDArray[np.int64] = np.sort(order[np.argsort(place[order], kind="stable")][:limit])
    return chosen


@torch.inference_mode()
def _outputs(network: nn.Module, data: ImageDataModule, split: Split) -> tuple[NDArray[np.float32], ...]:
    """Return features (N, F) and logits (N, classes) of a split's images, without augmentation."""
    chosen = torch.from_numpy(stratified(data.split(split).labels.cpu().numpy()))
    _, height, width = data.split(split).image_shape
    batches = torch.split(chosen, max(1, PIXELS_AT_ONCE // (height * width)))
    parts = [features_and_logits(network, _images(data, split, index)) for index in batches]
    return tuple(torch.cat(values).numpy() for values in zip(*parts, strict=True))


def _images(data: ImageDataModule, split: Split, index: Tensor) -> Tensor:
    """Return the normalised images (B, C, H, W) of an index (B,), on the CPU."""
    part = data.split(split)
    pixels, _ = part[index.to(part.labels.device)]
    return data.normalized(resized(pixels, data.image_size)).to("cpu", torch.float32, memory_format=torch.channels_last)
