from __future__ import annotations

import numpy as np
import pytest

from prenda.report import figures
from prenda.scoring.calibration import reliability
from prenda.scoring.predictions import Predictions
from prenda.scoring.scores import confused_pairs


def test_the_picture_names_classes_on_both_axes_and_counts_in_the_cells():
    figure = figures.confusion_figure(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"], "a title")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Shirt", "Coat"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Shirt", "Coat"]
    assert [text.get_text() for text in axes.texts] == ["5", "1", "0", "4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted", "True")


def test_a_class_without_images_leaves_an_empty_row():
    figures.confusion_figure(np.array([[0, 0], [1, 4]]), ["Shirt", "Coat"], "a title").canvas.draw()


@pytest.mark.parametrize(("channels", "shown"), [(1, (28, 28)), (3, (28, 28, 3))])
def test_samples_have_a_named_row_a_class(channels, shown):
    figure = figures.samples_figure(np.zeros((2, 3, channels, 28, 28), np.uint8), ["Shirt", "Coat"], "a title")
    assert [axes.get_images()[0].get_array().shape for axes in figure.axes] == [shown] * 6
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["Shirt", "Coat"]


def test_percentages_are_of_the_true_class():
    figure = figures.confusion_figure(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"], "a title", percent=True)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["83.3", "16.7", "0.0", "100.0"]
    assert "%" in axes.get_xlabel()


def test_a_difference_shows_its_direction():
    first, second = np.array([[5, 1], [0, 4]]), np.array([[4, 2], [0, 4]])
    (axes,) = figures.confusion_difference_figure(first, second, ["Shirt", "Coat"], "a title").axes
    assert [text.get_text() for text in axes.texts] == ["-1", "+1", "0", "0"]


def test_the_chosen_epoch_is_marked_in_every_panel():
    history = {f"{split}/{name}": {1: 0.5, 2: 0.4} for split in ("train", "val") for name in ("loss", "accuracy")}
    figure = figures.curves_figure(history | {"train/lr": {1: 0.1, 2: 0.0}}, 2, "a title")
    for axes in figure.axes:
        assert [2, 2] in [list(line.get_xdata()) for line in axes.lines]
    assert "chosen: epoch 2" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_reliability_is_drawn_before_and_after():
    logits = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]], np.float32)
    labels = np.array([0, 1, 1])
    predictions = Predictions.of(logits, labels)
    before, after = reliability(predictions), reliability(predictions.at_temperature(2))
    figure = figures.reliability_figure(before, after, 2.0, "a title")
    told = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert told[1].startswith("as trained, ECE 0.")
    assert told[2].startswith("at temperature 2.00, ECE 0.")


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (1, 1, 4, 4), (5, 3, 4, 4)])
def test_a_gallery_has_a_caption_an_image(shape):
    figure = figures.gallery_figure(np.zeros(shape, np.uint8), ["Shirt as Coat"] * shape[0], "a title")
    assert sum(axes.get_title() == "Shirt as Coat" for axes in figure.axes) == shape[0]
    figure.canvas.draw()


def test_pairs_are_named_and_counted():
    pairs = confused_pairs(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"])
    (axes,) = figures.pairs_figure(pairs, "a title").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Shirt as Coat"]
    assert [text.get_text() for text in axes.texts] == ["1 (16.7%)"]
    figures.pairs_figure([], "no mistakes").canvas.draw()


@pytest.mark.parametrize("shape", [(3, 1, 3, 3), (16, 3, 3, 3), (512, 1, 28, 28), (2, 8, 3, 3)])
def test_first_layers_of_any_shape_are_drawn(shape):
    figure = figures.first_layer_figure(np.ones(shape, np.float32), "a title")
    assert sum(bool(axes.images) for axes in figure.axes) == min(shape[0], 64)
    figure.canvas.draw()
