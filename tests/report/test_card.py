from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from prenda.bundle.format import Bundle
from prenda.report.card import card

BUNDLE = Bundle(
    folder=Path("bundle"),
    class_names=("Shirt", "Coat"),
    image_shape=(1, 28, 28),
    mean=(72.9,),
    std=(90.0,),
    temperature=1.25,
    config={
        "seed": 3,
        "data": {"val_size": 5000, "split_seed": 0, "limit_train": None},
        "augment": {"flip": 0.5, "shift": 0},
        "backbone": {"_target_": "prenda.backbones.cnn.ConvNet", "filters": [32, 64]},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.005},
        "trainer": {"epochs": 12},
    },
    data={"name": "fashion_mnist", "content_hash": "ab" * 32},
    scores={
        "test/accuracy": 0.925,
        "test/ece": 0.031,
        "test/calibrated/ece": 0.006,
        "best/epoch": 11.0,
        "parameters": 98666.0,
        "train/seconds": 109.4,
    },
    run_id="0123",
    onnx_difference=1e-6,
    onnx_images=500,
)
ROWS = [
    {"class": "Shirt", "precision": 0.8, "recall": 0.75, "f1-score": 0.774, "support": 1000},
    {"class": "Coat", "precision": 0.9, "recall": 0.95, "f1-score": 0.924, "support": 1000},
    {"class": "accuracy", "precision": 0.5, "recall": 0.5, "f1-score": 0.5, "support": 2000},
]


def test_it_says_what_the_model_is_and_how_good():
    text = card(BUNDLE, ROWS, "cnn-seed3")
    assert text.startswith("# cnn-seed3\n\nClassifies grey pictures of 28x28 pixels into 2 classes.\n")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Intended use",
        "## Data",
        "## Training",
        "## Scores on the test images",
        "## Calibration",
        "## Limits",
    ]
    for line in (
        f"- Content: SHA-256 `{'ab' * 32}`",
        "- Test: 2,000 images, held out from the start and scored once",
        "- Validation: 5,000 images split from training with split seed 0",
        "- Backbone: `prenda.backbones.cnn.ConvNet`, filters [32, 64]",
        "- Optimizer: `torch.optim.AdamW`, lr 0.005",
        "- Augmentation: flip 0.5, shift 0",
        "- Epoch 11 of 12, chosen by validation accuracy",
        "- 98,666 parameters",
        "- 109 seconds",
        "- Seed 3, run `0123`",
        "- accuracy: 92.50%, 95% interval 91.26% to 93.57%",
        "- expected calibration error: 0.0310",
        "| Shirt | 0.800 | 0.750 | 0.774 | 1000 |",
        "Logits are divided by 1.250, fitted on validation, before softmax.",
        "- It is weakest on Shirt, with an F1 of 0.774.",
    ):
        assert line in text.splitlines()
    assert "0.0310 without temperature scaling, 0.0060 with it" in text
    assert "| accuracy |" not in text


def test_the_accuracy_has_an_interval_that_says_what_it_covers():
    text = card(BUNDLE, ROWS, "cnn-seed3")
    assert "\nThe interval (Wilson) covers the choice of the test images, not chance in training.\n" in text


def test_a_class_name_with_a_bar_stays_in_its_cell():
    bundle = dataclasses.replace(BUNDLE, class_names=("T-shirt|top", "Coat"))
    text = card(bundle, [ROWS[0] | {"class": "T-shirt|top"}], "a")
    assert r"| T-shirt\|top | 0.800 | 0.750 | 0.774 | 1000 |" in text.splitlines()


def test_what_is_known_of_garments_is_said_of_them_alone():
    garments = card(BUNDLE, ROWS, "a")
    assert "White articles were left out" in garments
    assert "Shoes point to the left in every picture that it was trained and tested on; training mirrored" in garments
    assert "light on black and centred" in garments
    for name in ("mnist", "kmnist", "generated", "somebody's"):
        other = card(dataclasses.replace(BUNDLE, data={"name": name, "content_hash": "ab" * 32}), ROWS, "a")
        assert "White articles" not in other
        assert "It always predicts one of its 2 classes" in other


@pytest.mark.parametrize("flip", [{"flip": 0.0}, {}])
def test_it_says_if_nothing_was_mirrored(flip):
    bundle = dataclasses.replace(BUNDLE, config=BUNDLE.config | {"augment": flip})
    assert "tested on, and training mirrored none." in card(bundle, ROWS, "a")


def test_what_was_not_measured_is_left_out():
    bundle = dataclasses.replace(BUNDLE, scores={}, config={"seed": 0})
    text = card(bundle, [], "a")
    assert "calibration error" not in text
    assert "weakest" not in text
    assert "Epoch" not in text
    assert "None" not in text


def test_a_part_of_the_training_images_is_told():
    bundle = dataclasses.replace(BUNDLE, config=BUNDLE.config | {"data": {"limit_train": 600}})
    assert "- Training: only 600 of the remaining images" in card(bundle, ROWS, "a")


def test_thresholds_of_unsure_answers_are_limits():
    bundle = dataclasses.replace(BUNDLE, unsure={"confidence": 0.7, "energy": -1.5})
    line = "- `prenda predict` answers `unsure` where the probability is below 0.70, and for pictures unlike those of "
    assert line + "validation (free energy above -1.50)." in card(bundle, ROWS, "a")
    assert "unsure" not in card(BUNDLE, ROWS, "a").replace("where a person sees the unsure ones", "")


def test_pictures_are_described_as_the_model_takes_them():
    colour = dataclasses.replace(BUNDLE, channels=3, image_shape=(3, 64, 64))
    assert "Classifies 3-channel pictures of 64x64 pixels" in card(colour, ROWS, "a")
    repeated = dataclasses.replace(BUNDLE, channels=1, image_shape=(3, 64, 64))
    assert "Classifies grey pictures of 64x64 pixels" in card(repeated, ROWS, "a")
