from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from prenda.data.contract import LabelledImages
from prenda.data.datasets import fashion_mnist, find, names
from prenda.data.datasets.generated import DATA_SET
from prenda.errors import DataError


@pytest.fixture
def data() -> LabelledImages:
    images = torch.arange(4 * 6 * 5, dtype=torch.uint8).view(4, 1, 6, 5)
    labels = torch.tensor([0, 1, 0, 1])
    return LabelledImages(("hat", "scarf"), images, labels, images[:2].clone(), labels[:2].clone())


@pytest.mark.parametrize("part", ["train_images", "train_labels", "test_images", "test_labels"])
def test_the_content_hash_changes_with_any_part(data, part):
    same = dataclasses.replace(data, **{part: getattr(data, part).clone()})
    assert same.content_hash == data.content_hash
    other = dataclasses.replace(data, **{part: getattr(data, part).flip(0)})
    assert other.content_hash != data.content_hash


def test_the_content_hash_does_not_depend_on_how_pixels_lie_in_memory(data):
    strided = data.train_images.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert not strided.is_contiguous()
    assert dataclasses.replace(data, train_images=strided).content_hash == data.content_hash


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda images: images.float(), "_images is torch.float32 of shape (SIZE, 1, 6, 5): give at least one image"),
        (lambda images: images[:, 0], "_images is torch.uint8 of shape (SIZE, 6, 5): give at least one image"),
        (lambda images: images.expand(-1, 2, -1, -1), "_images is torch.uint8 of shape (SIZE, 2, 6, 5): give at"),
        (lambda images: images[:0], "_images is torch.uint8 of shape (0, 1, 6, 5): give at least one image"),
    ],
)
def test_images_of_another_type_or_shape_are_refused(data, part, changed, told):
    images = getattr(data, f"{part}_images")
    with pytest.raises(DataError, match=re.escape(part + told.replace("SIZE", str(len(images))))):
        dataclasses.replace(data, **{f"{part}_images": changed(images)})


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (torch.tensor([0, 1, 0]), "train_labels is torch.int64 of shape (3,): give torch.int64 of shape (4,)"),
        (torch.tensor([0, 1, 0, 1], dtype=torch.uint8), "train_labels is torch.uint8 of shape (4,): give torch.int64"),
        (torch.tensor([0, 1, 0, 2]), "train_labels has labels from 0 to 2, but there are 2 class names: labels count"),
        (torch.tensor([0, 1, 0, -1]), "train_labels has labels from -1 to 1, but there are 2 class names"),
        (torch.tensor([0, 0, 0, 0]), "train_labels has no image of class 'scarf': give each class some training"),
    ],
)
def test_labels_that_do_not_fit_are_refused(data, labels, told):
    with pytest.raises(DataError, match=re.escape(told)):
        dataclasses.replace(data, train_labels=labels)


def test_training_and_test_images_of_different_shape_are_refused(data):
    told = r"train_images are (1, 6, 5), test_images (1, 6, 4) (C, H, W): give all images one shape."
    with pytest.raises(DataError, match=re.escape(told)):
        dataclasses.replace(data, test_images=data.test_images[..., :4])


def test_each_class_of_a_translation_has_a_name():
    told = r"translations\['es'\] has 2 names, but class_names has 10: give one name for each class, in the same order"
    with pytest.raises(DataError, match=told):
        dataclasses.replace(DATA_SET, translations={"es": ("Camisa", "Abrigo")})
    assert dataclasses.replace(DATA_SET, translations={}).translations == {}


def test_garments_and_digits_have_spanish_names():
    spanish = {name: find(name).translations["es"] for name in names() if "es" in find(name).translations}
    assert {"fashion_mnist", "generated", "mnist"} <= set(spanish)
    garments = dict(zip(fashion_mnist.GARMENTS, spanish["fashion_mnist"], strict=True))
    assert (garments["Trouser"], garments["Ankle boot"], garments["Bag"]) == ("Pantalón", "Botín", "Bolso")
    assert spanish["mnist"][7] == "siete"
    assert all(len(set(translated)) == len(translated) for translated in spanish.values())
