"""Fashion-MNIST: 70,000 grey thumbnails of garments (Xiao, Rasul and Vollgraf, arXiv 1708.07747)."""

from __future__ import annotations

from prenda.data.contract import CardText
from prenda.data.idx_files import IdxDataSet

GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SPANISH = (
    "Camiseta o top",
    "Pantalón",
    "Jersey",
    "Vestido",
    "Abrigo",
    "Sandalia",
    "Camisa",
    "Zapatilla deportiva",
    "Bolso",
    "Botín",
)

DATA_SET = IdxDataSet(
    class_names=GARMENTS,
    card=CardText(
        description="Fashion-MNIST: catalogue pictures of a fashion shop, made into grey thumbnails of 28x28 pixels "
        "(Xiao and others, arXiv 1708.07747).",
        intended_use="Sorting pictures of single garments into a catalogue's ten kinds, where a person sees the unsure "
        "ones. Not for pictures of people wearing clothes, for several articles in one picture, or for any decision "
        "about a person.",
        limits=(
            "It was trained on single articles seen from the front, cut out, light on black and centred, with the "
            "longer side filling the picture. `prenda predict` converts a photo to that form; a program that does not "
            "gets nearly everything classified as a bag.",
            "White articles were left out when the pictures were collected: its accuracy on them is unknown.",
            "Shoes point to the left in every picture that it was trained and tested on{mirrored}.",
            "At 28x28 pixels, cloth, seams and most prints are gone: shirts, T-shirts, pullovers and coats look alike.",
            "The pictures are those of one shop before 2017; other shops and later fashion score lower than this test "
            "set.",
        ),
    ),
    title="FashionMNIST",
    # MD5 of the contents of the files as they are since 31 August 2017; older ones leaked training images into test.
    checksums=(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    system_dirs=("/usr/share/datasets/fashion-mnist",),
    debian_package="dataset-fashion-mnist",
    photos="thumbnail",
    translations={"es": SPANISH},
)
