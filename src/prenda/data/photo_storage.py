"""Where the prepared photos of a run are: in memory, in the cache, or in their own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prenda.data.batches import InMemory, Streamed
from prenda.data.parallel import in_threads, progress
from prenda.data.photo_cache import CacheFile, PreparedPhotos, drop_oldest, open_cache
from prenda.data.photo_files import PhotoFiles
from prenda.data.photo_layout import Split
from prenda.photos.preparation import Preparation

CROP_MARGIN = 1.15  # side of training photos that are cropped, in sides of the network's picture
ORDER: tuple[Split, ...] = ("val", "test", "train")  # small splits first: memory and cache serve them best


@dataclass(frozen=True)
class Storage:
    """Limits of memory and disk, and worker processes.

    Attributes:
        memory_gb: GB of photos in memory, for each process of a run.
        cache_gb: GB of the cache on the disk.
        workers: Processes that read the photos that do not fit in memory.
    """

    memory_gb: float = 4.0
    cache_gb: float = 20.0
    workers: int = 2


def stored_size(image_size: int, cropped: bool) -> int:
    """Return the pixels a side at which training photos are stored."""
    return ceil(CROP_MARGIN * image_size) if cropped else image_size


def store_photos(
    files: PhotoFiles, preparations: Mapping[Split, Preparation], storage: Storage, cache: Path
) -> dict[Split, InMemory | Streamed]:
    """Return the splits of the photos. What fits is cached, and read into memory; the rest is read by workers.

    Batches do not depend on where the photos are.

    Raises:
        DataError: If a photo cannot be read any more, or the cache cannot be written.
    """
    parts = {split: prepared_photos(files, split, preparations[split]) for split in ORDER}
    cached = _fitting(parts, storage.cache_gb)
    kept = [parts[split].key for split in cached]
    drop_oldest(cache, kept, storage.cache_gb * 1e9 - sum(parts[split].nbytes for split in cached))
    in_memory = _fitting(parts, storage.memory_gb)
    splits: dict[Split, InMemory | Streamed] = {}
    for split, photos in parts.items():
        labels = torch.from_numpy(files.labels[files.splits[split]])
        file = open_cache(cache, photos) if split in cached else None
        streamed = Streamed(photos, file, labels, storage.workers)
        splits[split] = InMemory(_all(photos, file, cache), labels) if split in in_memory else streamed
    return splits


def prepared_photos(files: PhotoFiles, split: Split, preparation: Preparation) -> PreparedPhotos:
    """Return the photos of one split with their preparation; nothing is read yet."""
    indices = files.splits[split].tolist()
    return PreparedPhotos(
        tuple(files.paths[index] for index in indices), tuple(files.digests[index] for index in indices), preparation
    )


def _fitting(parts: Mapping[Split, PreparedPhotos], gigabytes: float) -> list[Split]:
    """Return the splits that fit into so many GB together."""
    left, fitting = gigabytes * 1e9, []
    for split, photos in parts.items():
        if photos.nbytes <= left:
            left -= photos.nbytes
            fitting.append(split)
    return fitting


def _all(photos: PreparedPhotos, file: CacheFile | None, cache: Path) -> Tensor:
    """Return all photos of a split, (N, C, H, W), uint8; a damaged cache is built again."""
    images = np.empty((len(photos.paths), *photos.image_shape), dtype=np.uint8)
    if file is None:
        prepared = in_threads(photos.prepare, range(len(images)))
        for index, pixels in enumerate(progress(prepared, len(images), "Preparing photos")):
            images[index] = pixels
        return torch.from_numpy(images)
    rebuilt = False
    for index in range(len(images)):
        content = file.read(index)
        if content is None and not rebuilt:
            file.path.unlink(missing_ok=True)
            file, rebuilt = open_cache(cache, photos), True
            content = file.read(index)
        images[index] = (
            photos.prepare(index) if content is None else np.frombuffer(content, np.uint8).reshape(photos.image_shape)
        )
    return torch.from_numpy(images)
