from __future__ import annotations

import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from prenda.config.validation import check
from prenda.data.batches import InMemory, Streamed
from prenda.data.datamodule import ImageDataModule, PhotoSettings, Selection, Storage, from_config
from prenda.data.photo_storage import stored_size
from prenda.errors import ConfigError, DataError
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load
from tests.conftest import configured
from tests.data.photos import write_shop, write_split_shop

MEMORY, CACHE, FILES = Storage(), Storage(memory_gb=0, workers=0), Storage(memory_gb=0, cache_gb=0, workers=0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    return write_split_shop(tmp_path_factory.mktemp("shop"), train=12, scored=4)


def module(folder: Path, **settings) -> ImageDataModule:
    settings = {"image_size": 16, "channels": 3, "normalize": "unit", "batch_size": 5, "eval_batch_size": 3} | settings
    made = ImageDataModule("folder", folder, **settings)
    made.prepare_data()
    made.setup()
    return made


def batches(data: ImageDataModule, epoch: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [*loader, *data.val_dataloader(), *data.test_dataloader()]


def test_photos_are_what_prediction_prepares(shop):
    data = module(shop)
    assert data.image_shape == (3, 16, 16)
    assert data.preparation == Preparation("pad", size=16, channels=3)
    assert data.class_names == ("coat", "hat")
    assert data.files is not None
    for number, index in enumerate(data.files.splits["test"].tolist()):
        expected = load(data.files.paths[index], data.preparation).pixels
        assert np.array_equal(data.split("test").pictures()[[number]][0], expected)


@pytest.mark.parametrize("storage", [CACHE, FILES, Storage(memory_gb=0, workers=2), Storage(cache_gb=0)])
def test_batches_do_not_depend_on_where_the_photos_are(shop, storage):
    in_memory, other = module(shop, storage=MEMORY), module(shop, storage=storage)
    assert isinstance(in_memory.split("train"), InMemory)
    assert isinstance(other.split("train"), Streamed if storage.memory_gb == 0 else InMemory)
    for epoch in (0, 1):
        for one, two in zip(batches(in_memory, epoch), batches(other, epoch), strict=True):
            assert torch.equal(one[0], two[0])
            assert torch.equal(one[1], two[1])
    assert in_memory.content_hash == other.content_hash


def test_what_fits_in_memory_is_kept_there(shop):
    row = 3 * 16 * 16
    data = module(shop, storage=Storage(memory_gb=20 * row / 1e9, workers=0))
    assert {part: type(data.split(part)) for part in ("train", "val", "test")} == {
        "train": Streamed,
        "val": InMemory,
        "test": InMemory,
    }


def test_statistics_do_not_depend_on_where_the_photos_are(shop):
    one, two = (module(shop, normalize="standard", storage=storage) for storage in (MEMORY, CACHE))
    assert one.statistics() == two.statistics()
    assert len(one.statistics()["mean"]) == 3


def test_a_photo_that_is_damaged_in_the_cache_is_prepared_again(shop):
    data = module(shop, storage=CACHE)
    expected = data.split("train").first(24)
    train = data.split("train")
    assert isinstance(train, Streamed)
    assert train._cache is not None
    content = bytearray(train._cache.path.read_bytes())
    content[-1] ^= 1
    train._cache.path.write_bytes(content)
    for storage in (CACHE, MEMORY):  # memory builds the file again
        assert torch.equal(module(shop, storage=storage).split("train").first(24), expected)
    assert train._cache.path.read_bytes() != bytes(content)


def test_photos_that_are_streamed_take_little_memory(tmp_path):
    data = module(write_split_shop(tmp_path / "shop", train=40, scored=2), image_size=256, storage=CACHE)
    tracemalloc.start()
    try:
        seen = sum(len(labels) for _, labels in data.train_dataloader())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    train = data.split("train")
    assert isinstance(train, Streamed)
    assert seen == 80
    assert peak < train.photos.nbytes / 4


def test_training_photos_that_are_cropped_are_stored_larger(shop):
    assert stored_size(224, cropped=True) == 258
    assert stored_size(224, cropped=False) == 224
    data = module(shop, stored=stored_size(16, cropped=True))
    assert data.split("train").image_shape == (3, 19, 19)
    assert data.split("val").image_shape == data.image_shape == (3, 16, 16)
    images, _ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape == (5, 3, 16, 16)  # scored at the network's size


def test_training_photos_may_be_smaller_than_those_that_are_scored(shop):
    config = configured("data=folder", f"data.dir={shop}", "data.image_size=20", "augment=photo", "augment.size=12")
    data = from_config(config.data, config.augment)
    data.prepare_data()
    data.setup()
    assert data.split("train").image_shape == (3, 14, 14)
    assert data.image_shape == data.split("val").image_shape == (3, 20, 20)
    data.trainer = Mock(training=True, world_size=1, global_rank=0)
    images, _ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape[1:] == (3, 12, 12)
    data.trainer = Mock(training=False, world_size=1, global_rank=0)
    images, _ = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert images.shape[1:] == (3, 20, 20)


def test_grey_photos_have_one_channel(shop):
    data = module(shop, channels=1)
    assert data.split("val").image_shape == data.image_shape == (1, 16, 16)


def test_photos_without_a_size_are_refused(shop):
    with pytest.raises(DataError, match=r"data.image_size is null, but photos have no size of their own: give data"):
        module(shop, image_size=None)


def test_classes_and_number_of_training_photos_can_be_chosen(shop):
    data = module(shop, selection=Selection(classes=("hat", "coat"), limit_train=7))
    assert data.class_names == ("hat", "coat")
    assert [len(data.split(part)) for part in ("train", "val", "test")] == [7, 8, 8]
    with pytest.raises(DataError, match=r"data.classes is \['hat', 'bag'\]: name two or more, each once, of coat, hat"):
        module(shop, selection=Selection(classes=("hat", "bag")))


def test_the_split_is_that_of_the_split_seed(tmp_path):
    write_shop(tmp_path / "shop", {"coat": 12, "hat": 12})
    one, same, other = (
        module(tmp_path / "shop", photos=PhotoSettings(split_seed=seed), seed=order)
        for seed, order in ((0, 0), (0, 5), (1, 0))
    )
    assert torch.equal(one.split("val").first(9), same.split("val").first(9))
    assert not torch.equal(one.split("val").first(9), other.split("val").first(9))


def test_classes_of_unequal_size_get_the_same_weight(tmp_path):
    folder = write_shop(tmp_path / "shop", {"coat": 60, "hat": 6})
    plain, loss, sampler = (module(folder, balance=balance) for balance in ("none", "loss", "sampler"))
    assert plain.class_weights is None is sampler.class_weights
    counts = plain.split("train").labels.bincount()
    assert counts.tolist() == [42, 4]
    assert loss.class_weights is not None
    assert torch.allclose(loss.class_weights * counts, torch.full((2,), 23.0))
    loader = sampler.train_dataloader()
    drawn = torch.zeros(2)
    for epoch in range(10):
        loader.sampler.set_epoch(epoch)
        drawn += torch.cat([labels for _, labels in loader]).bincount(minlength=2)
    assert drawn.sum() == 460
    assert 0.8 < drawn[0] / drawn[1] < 1.25


def test_weighted_draws_depend_on_seed_and_epoch_alone(tmp_path):
    folder = write_shop(tmp_path / "shop", {"coat": 20, "hat": 5})

    def order(epoch: int, seed: int = 0) -> list[int]:
        loader = module(folder, balance="sampler", seed=seed).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return torch.cat(list(loader.sampler)).tolist()

    assert order(1) == order(1) != order(2)
    assert order(1) != order(1, seed=1)


def test_settings_reach_the_datamodule(shop, tmp_path):
    settings = (
        "data=folder", f"data.dir={shop}", "data.image_size=20", "augment=photo", "data.val_share=0.2",
        "data.test_share=0.3", "data.max_unreadable=0.5", f"data.mapping={tmp_path}/map.yaml", "data.split_seed=4",
        "data.memory_gb=1", "data.cache_gb=2", "data.balance=sampler", "data.workers=3",
    )  # fmt: skip
    config = configured(*settings)
    data = from_config(config.data, config.augment)
    assert data.photos == PhotoSettings(0.2, 0.3, 4, 0.5, tmp_path / "map.yaml")
    assert data.storage == Storage(memory_gb=1, cache_gb=2, workers=3)
    assert data.balance == "sampler"
    (tmp_path / "map.yaml").write_text("coat: {name: jacket, es: chaqueta}\n")
    data.setup()
    assert [data.split(part).image_shape[1] for part in ("train", "val", "test")] == [23, 20, 20]
    assert data.class_names == ("hat", "jacket")
    assert data.translations == {"es": ("hat", "chaqueta")}


@pytest.mark.parametrize("share", ["val_share", "test_share"])
def test_shares_outside_their_range_are_refused(share):
    with pytest.raises(ConfigError, match=rf"data.{share} is 0.0: it must be a number, more than 0 and less than 1"):
        check(configured("data=folder", "data.dir=photos", f"data.{share}=0.0"))
