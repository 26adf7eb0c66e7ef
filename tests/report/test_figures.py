from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

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
    assert "chosen: epoch 2" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_reliability_is_drawn_before_and_after():
    logits = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]], np.float32)
    labels = np.array([0, 1, 1])
    predictions = Predictions.of(logits, labels)
    before, after = reliability(predictions), reliability(predictions.at_temperature(2))
    figure = figures.reliability_figure(before, after, 2.0, "a title")
    told = [text.get_text() for text in figure.legends[0].get_texts()]
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


LONG = ["A garment with a very long name, longer than any other", "Long sleeve shirt (women's)", "$5 or 6$ hat"]
RUN = "cnn_batch_norm-fashion_mnist-lr=0.003-batch_size=256-label_smoothing=0.1-activation=leaky_relu-dropout=0.2-seed0"
MATRIX = np.array([[50, 3, 2], [4, 60, 7], [1, 1, 90]])
IMAGES = np.zeros((5, 1, 8, 8), np.uint8)


def predictions() -> Predictions:
    logits = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    return Predictions.of(3 * logits, logits.argmax(1))  # underconfident: the points lie at the upper left


def reliability_of_a_run() -> Figure:
    bins = reliability(predictions()), reliability(predictions().at_temperature(2))
    return figures.reliability_figure(*bins, 2.0, f"{RUN}, test")


def curves(epochs: int) -> Figure:
    names = ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "train/lr")
    history = {name: {epoch: 1 / epoch for epoch in range(1, epochs + 1)} for name in names}
    return figures.curves_figure(history, epochs, RUN)


DRAWN: dict[str, Callable[[], Figure]] = {
    "confusion": lambda: figures.confusion_figure(MATRIX, LONG, f"{RUN}, test: accuracy 92.64%"),
    "percent": lambda: figures.confusion_figure(MATRIX, LONG, f"{RUN}, test: accuracy 92.64%", percent=True),
    "two classes": lambda: figures.confusion_figure(np.eye(2, dtype=np.int64), ["a", "b"], f"{RUN}, test"),
    "difference": lambda: figures.confusion_difference_figure(MATRIX, MATRIX.T, LONG, "B − A, images"),
    "reliability": reliability_of_a_run,
    "curves": lambda: curves(12),
    "one epoch": lambda: curves(1),
    "pairs": lambda: figures.pairs_figure(confused_pairs(MATRIX, LONG), "Most confused, test images"),
    "gallery": lambda: figures.gallery_figure(IMAGES, [f"{LONG[0]}\nas {LONG[1]}\n99.9%"] * 5, "Worst mistakes"),
    "samples": lambda: figures.samples_figure(IMAGES[None, :4].repeat(3, 0), LONG, "random training images"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_is_cut_however_long_the_names(name, monkeypatch):
    drawn: list[Text] = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: [drawn.append(text), draw(text, renderer)][1])
    canvas = FigureCanvasAgg(DRAWN[name]())
    canvas.draw()
    width, height = canvas.get_width_height()
    assert drawn
    for text in drawn:
        if text.get_text().strip():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y1 <= height + 1, text


@pytest.mark.parametrize("name", ["reliability", "curves"])
def test_the_legend_covers_no_points(name):
    figure = DRAWN[name]()
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    for axes in figure.axes:
        assert axes.get_legend() is None
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())


@pytest.mark.parametrize("epochs", [1, 2, 12, 100])
def test_ticks_of_epochs_are_whole_numbers(epochs):
    figure = curves(epochs)
    FigureCanvasAgg(figure).draw()
    ticks = [label.get_text() for label in figure.axes[2].get_xticklabels()]
    assert ticks
    assert all(tick.isdecimal() for tick in ticks)


def test_grey_images_on_black_are_drawn_as_negatives_and_say_so():
    figure = figures.gallery_figure(IMAGES, ["a"] * 5, "Worst mistakes")
    assert figure.axes[0].images[0].get_cmap().name == "gray_r"
    assert "the network sees them light on black" in " ".join(figure.get_suptitle().split())
    samples = figures.samples_figure(IMAGES[None, :4], ["a"], "Samples")
    assert "the network sees them light on black" in " ".join(samples.get_suptitle().split())


@pytest.mark.parametrize("photos", [255 - IMAGES, IMAGES.repeat(3, 1)], ids=["grey photos", "colour"])
def test_photos_are_drawn_as_they_are(photos):
    figure = figures.gallery_figure(photos, ["a"] * 5, "Worst mistakes")
    assert figure.axes[0].images[0].get_cmap().name != "gray_r"
    assert figure.get_suptitle() == "Worst mistakes"
