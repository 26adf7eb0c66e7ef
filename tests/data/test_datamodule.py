from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prenda.data.augment import Augment
from prenda.data.batches import InMemory, scoring_batches, training_batches
from prenda.data.datamodule import ImageDataModule, Selection
from prenda.data.datasets import find
from prenda.errors import DataError
from tests.conftest import REAL_DATA, needs_real_data


def module(**settings) -> ImageDataModule:
    made = ImageDataModule("generated", Path(), **{"selection": Selection(val_size=200), **settings})
    made.prepare_data()
    made.setup()
    return made


def keys(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_train_and_validation_are_disjoint_and_whole():
    data = module()
    train, val = keys(data.split("train").images), keys(data.split("val").images)
    assert len(train) == 1800
    assert len(val) == 200
    assert not train & val
    assert train | val == keys(find("generated").load(Path()).train_images)


def test_the_test_part_is_the_official_one():
    official = find("generated").load(Path())
    part = module().split("test")
    assert torch.equal(part.images, official.test_images)
    assert torch.equal(part.labels, official.test_labels)


def test_the_cut_is_stratified():
    data = module(selection=Selection(val_size=203))
    assert sorted(data.split("val").labels.bincount().tolist()) == [20] * 7 + [21] * 3


def test_the_cut_depends_on_the_split_seed_alone():
    one, two = module(seed=1, batch_size=7), module(seed=2, augment=Augment(flip=0.5))
    other = module(selection=Selection(val_size=200, split_seed=1))
    assert torch.equal(one.split("val").images, two.split("val").images)
    assert not torch.equal(one.split("val").images, other.split("val").images)


def test_a_smaller_training_part_is_part_of_a_larger_one_and_leaves_validation():
    whole, half, tenth = (module(selection=Selection(val_size=200, limit_train=n)) for n in (None, 900, 180))
    train = [keys(part.split("train").images) for part in (tenth, half, whole)]
    assert [len(part) for part in train] == [180, 900, 1800]
    assert train[0] < train[1] < train[2]
    assert torch.equal(tenth.split("val").images, whole.split("val").images)


@pytest.mark.parametrize("limit", [10, 100, 250, 1000])
def test_a_smaller_training_part_holds_all_classes_alike(limit):
    # Validation takes the first images of each class in the random order: what remains must not be taken in order.
    train = module(selection=Selection(val_size=1000, limit_train=limit)).split("train")
    assert train.labels.bincount().tolist() == [limit // 10] * 10


def test_some_classes_are_kept_in_the_order_given():
    data = module(selection=Selection(("Shirt", "Coat"), val_size=40))
    assert data.class_names == ("Shirt", "Coat")
    official = find("generated").load(Path())
    assert keys(data.split("test").images[data.split("test").labels == 0]) == keys(
        official.test_images[official.test_labels == official.class_names.index("Shirt")]
    )
    assert data.split("train").labels.bincount().tolist() == [180, 180]


@pytest.mark.parametrize("classes", [("Shirt",), ("Shirt", "Shirt"), ("Shirt", "Hat"), ()])
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    with pytest.raises(DataError, match=r"data.classes is .*: name two or more, each once, of T-shirt/top, Trouser"):
        ImageDataModule("generated", Path(), selection=Selection(classes))


def test_too_large_a_validation_part_is_refused():
    with pytest.raises(DataError, match=r"data.val_size is 2000, but there are 2000 training images in all"):
        module(selection=Selection(val_size=2000))


def test_a_data_set_without_validation_images_needs_their_number():
    with pytest.raises(
        DataError, match=r"data.val_size is null, but this data set has no validation images: give data"
    ):
        module(selection=Selection(val_size=None))


def test_too_many_training_images_are_refused():
    with pytest.raises(DataError, match=r"data.limit_train is 1801, but 1800 training images remain after the split"):
        module(selection=Selection(val_size=200, limit_train=1801))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("size", "channels"), [(None, 1), (64, 3), (20, 1)])
def test_images_have_the_size_and_channels_asked_for(size, channels, channels_last):
    data = module(image_size=size, channels=channels, channels_last=channels_last)
    images, labels = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    side = size or 28
    assert data.image_shape == (channels, side, side)
    assert images.shape == (200, channels, side, side)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_standard_normalisation_is_of_the_training_part():
    data = module()
    pixels = data.split("train").images.double()
    assert data.statistics()["mean"] == pytest.approx([pixels.mean().item()])
    assert data.statistics()["std"] == pytest.approx([pixels.std(correction=0).item()])
    normalized = data.normalized(data.split("train").images)
    assert normalized.mean().item() == pytest.approx(0, abs=1e-4)
    assert normalized.std().item() == pytest.approx(1, abs=1e-3)


def test_unit_normalisation_is_from_nought_to_one():
    data = module(normalize="unit")
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert data.normalized(images).flatten().tolist() == pytest.approx([0, 1])


COLOUR = """
import torch
from prenda.data.contract import CardText, DataSet, LabelledImages

class Colour(DataSet):
    def load(self, data_dir):
        pixels = torch.arange(20 * 3 * 8 * 8).remainder(251).to(torch.uint8).view(20, 3, 8, 8)
        labels = torch.arange(20) % 2
        return LabelledImages(self.class_names, pixels, labels, pixels, labels)

DATA_SET = Colour(("hat", "scarf"), CardText("Mine.", "Nothing."))
"""


def test_colour_images_keep_their_channels(add):
    add(COLOUR)
    data = ImageDataModule("own", Path(), selection=Selection(val_size=4), channels=3)
    data.setup()
    assert data.image_shape == (3, 8, 8)
    images, _ = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
    assert images.shape == (4, 3, 8, 8)
    assert not torch.equal(images[:, 0], images[:, 1])


def test_colour_images_are_not_taken_for_grey(add):
    add(COLOUR)
    data = ImageDataModule("own", Path(), selection=Selection(val_size=4))
    with pytest.raises(DataError, match=r"data.channels is 1, but the images of own have 3: give data.channels=3"):
        data.setup()


def numbered(count: int) -> InMemory:
    return InMemory(torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(count))


def order(dataset: InMemory, epoch: int, seed: int = 0, replicas: int = 1, rank: int = 0) -> list[list[int]]:
    loader = training_batches(dataset, 8, seed, replicas, rank)
    loader.sampler.set_epoch(epoch)
    return [labels.tolist() for _, labels in loader]


def test_the_order_depends_on_seed_and_epoch_alone():
    data = numbered(100)
    assert order(data, epoch=3) == order(data, epoch=3)
    assert order(data, epoch=3) != order(data, epoch=4)
    assert order(data, epoch=3) != order(data, epoch=3, seed=1)
    assert sorted(label for batch in order(data, epoch=3) for label in batch) == list(range(100))


def test_two_processes_take_the_two_halves_of_each_global_batch():
    data = numbered(96)
    halves = [order(data, epoch=1, replicas=2, rank=rank) for rank in range(2)]
    for step, batch in enumerate(order(data, epoch=1)):
        assert sorted(halves[0][step] + halves[1][step]) == sorted(batch)


@pytest.mark.parametrize(("count", "sizes"), [(17, [8, 9]), (18, [8, 8, 2]), (9, [9]), (8, [8]), (1, [1])])
def test_a_last_single_image_joins_the_batch_before_it(count, sizes):
    loader = training_batches(numbered(count), 8, 0, 1, 0)
    assert [len(labels) for _, labels in loader] == sizes
    assert len(loader) == len(sizes)
    assert sorted(label for batch in order(numbered(count), epoch=2) for label in batch) == list(range(count))


def test_a_last_single_image_of_each_process_joins_the_batch_before_it():
    loaders = [training_batches(numbered(17), 8, 0, 2, rank) for rank in range(2)]
    assert [[len(labels) for _, labels in loader] for loader in loaders] == [[4, 5], [4, 5]]
    assert [len(loader) for loader in loaders] == [2, 2]


def test_batches_of_one_image_stay_single():
    assert [len(labels) for _, labels in training_batches(numbered(3), 1, 0, 1, 0)] == [1, 1, 1]


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_scoring_sees_each_image_once_over_all_processes(replicas):
    loaders = [scoring_batches(numbered(100), 7, replicas, rank) for rank in range(replicas)]
    seen = [label for loader in loaders for _, labels in loader for label in labels.tolist()]
    assert sorted(seen) == list(range(100))


def test_batches_are_made_by_no_worker_process():
    assert module().train_dataloader().num_workers == 0


@needs_real_data
def test_fashion_mnist_is_the_official_one():
    data = ImageDataModule("fashion_mnist", REAL_DATA)
    data.setup()
    assert [len(data.split(part)) for part in ("train", "val", "test")] == [55000, 5000, 10000]
    assert data.split("test").labels.bincount().tolist() == [1000] * 10
    assert data.split("val").labels.bincount().tolist() == [500] * 10
    # The published mean and deviation of all 60,000 images: 0.2860 and 0.3530 of full white.
    assert data.statistics()["mean"][0] / 255 == pytest.approx(0.2860, abs=1e-3)
    assert data.statistics()["std"][0] / 255 == pytest.approx(0.3530, abs=1e-3)


def test_images_that_do_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr("prenda.data.splits.available_memory", lambda: 10**9)
    told = (
        r"data.image_size is 1000, with which 2,500 images take 2.5 GB of memory, but this machine has 1.0 GB left: "
        r"give a smaller size, or fewer images by data.limit_train\."
    )
    with pytest.raises(DataError, match=told):
        module(image_size=1000)
    monkeypatch.setattr("prenda.data.splits.available_memory", lambda: None)
    assert module(image_size=14).image_shape == (1, 14, 14)
