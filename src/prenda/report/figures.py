"""Pictures of scores and predictions.

Shades differ in lightness and lines in style, so that they stay distinct for every kind of colour vision.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from prenda.scoring.calibration import BINS, Reliability
from prenda.scoring.scores import Row
from prenda.system.atomic_write import replacing

BLUE, ORANGE = "#0072b2", "#d55e00"  # distinct for every kind of colour vision (Okabe and Ito)
LONGEST_NAME = 32  # characters of a class in a picture
MOST_OF_CAPTION = 22  # characters of a line above an image
NEGATIVE = "drawn dark on light; the network sees them light on black"
Images = NDArray[np.uint8]


class IndexedImages(Protocol):
    """Images (N, C, H, W), uint8, that are read when they are indexed: an array, or photos on a disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Sequence[int] | NDArray[np.int64], /) -> Images: ...


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, dpi=100, format="png")


def short(name: str, most: int = LONGEST_NAME) -> str:
    """Return a name of at most so many characters, its end left out, without the sign that starts a formula."""
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", r"\$")


def wrapped(text: str, inches: float, size: float = 10) -> str:
    """Return a title in lines that fit into a width; names of runs break at their dashes."""
    return textwrap.fill(text, max(10, int(inches * 120 / size))).replace("$", r"\$")


def confusion_figure(
    matrix: NDArray[np.int64], class_names: Sequence[str], title: str, *, percent: bool = False
) -> Figure:
    """Draw a confusion matrix of counts or of percentages of the true class; shades are shares of each row.

    Shapes:
        matrix (N, N), counts; rows are the true classes, columns the predicted ones.
    """
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    cells = np.char.mod("%.1f", 100 * shares) if percent else matrix.astype(str)
    figure, axes = _square(class_names, title)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        colour = "white" if shares[row, column] > 0.5 else ("black" if matrix[row, column] else "silver")
        axes.text(column, row, str(cells[row, column]), ha="center", va="center", color=colour)
    if percent:
        axes.set_xlabel("Predicted (% of the true class)")
    return figure


def confusion_difference_figure(
    first: NDArray[np.int64], second: NDArray[np.int64], class_names: Sequence[str], title: str
) -> Figure:
    """Draw the difference of two confusion matrices: orange cells hold more images in the second, purple fewer.

    Shapes:
        first, second (N, N), counts of the same images; rows are the true classes, columns the predicted ones.
    """
    difference = second - first
    largest = max(1, int(np.abs(difference).max()))
    figure, axes = _square(class_names, title)
    axes.imshow(difference, cmap="PuOr_r", vmin=-largest, vmax=largest)
    for row, column in np.ndindex(*difference.shape):
        value = difference[row, column]
        strong = abs(value) > 0.6 * largest
        colour = "white" if strong else ("black" if value else "silver")
        axes.text(column, row, f"{value:+d}" if value else "0", ha="center", va="center", color=colour)
    return figure


def reliability_figure(before: Reliability, after: Reliability, temperature: float, title: str) -> Figure:
    """Draw accuracy over confidence, before and after temperature scaling, above the number of images in each bin."""
    figure = Figure(figsize=(6, 7.5), layout="constrained")
    figure.suptitle(wrapped(title, 5.8, 11), fontsize=11)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="confidence equals accuracy")
    sets = (
        (before, ORANGE, "s", f"as trained, ECE {before.error:.3f}"),
        (after, BLUE, "o", f"at temperature {temperature:.2f}, ECE {after.error:.3f}"),
    )
    width = 1 / BINS
    left_edges = np.arange(BINS) * width
    for shift, (bins, colour, marker, label) in enumerate(sets):
        full = bins.count > 0
        upper.plot(bins.confidence[full], bins.accuracy[full], color=colour, marker=marker, label=label)
        lower.bar(left_edges + width * (0.27 + 0.46 * shift), bins.count, 0.44 * width, color=colour)
    upper.set(ylabel="Accuracy", xlim=(0, 1), ylim=(0, 1.02))
    lower.set(ylabel="Images", xlabel="Confidence", yscale="symlog")
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center")
    return figure


def curves_figure(history: Mapping[str, Mapping[int, float]], best_epoch: int, title: str) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs, with the chosen epoch marked."""
    figure = Figure(figsize=(7, 9), layout="constrained")
    figure.suptitle(wrapped(title, 6.8, 11), fontsize=11)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    for axes, name in zip(panels, ("loss", "accuracy", "lr"), strict=True):
        for split, colour, style in (("train", ORANGE, "--"), ("val", BLUE, "-")):
            points = history.get(f"{split}/{name}", {})
            if points:
                label = {"train": "training, during the epoch", "val": "validation"}[split]
                axes.plot(list(points), list(points.values()), color=colour, linestyle=style, marker=".", label=label)
        axes.axvline(best_epoch, color="grey", linestyle=":", label=f"chosen: epoch {best_epoch}")
        axes.set_ylabel({"lr": "Learning rate"}.get(name, name.capitalize()))
    epochs = [best_epoch, *(epoch for points in history.values() for epoch in points)]
    panels[2].set(xlabel="Epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def gallery_figure(images: Images, captions: Sequence[str], title: str) -> Figure:
    """Draw images with a caption each, four in a row.

    Shapes:
        images (N, C, H, W), uint8.
    """
    rows = max(1, -(-len(images) // 4))
    negative = light_on_dark(images)
    heading = wrapped(f"{title} ({NEGATIVE})" if negative else title, 7.3, 11)
    top = 0.7 + 0.2 * (heading.count("\n") + 1)  # inches
    height = top - 0.4 + 2.4 * rows
    figure = Figure(figsize=(7.5, height))
    figure.suptitle(heading, fontsize=11, y=1 - 0.1 / height, va="top")
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - top / height, bottom=0.01, hspace=0.35)
    grid = figure.subplots(rows, 4, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, image, caption in zip(grid, images, captions, strict=False):
        _show(axes, image, negative)
        axes.set_title("\n".join(short(line, MOST_OF_CAPTION) for line in caption.splitlines()), fontsize=10)
    return figure


def pairs_figure(pairs: Sequence[Row], title: str) -> Figure:
    """Draw bars of the most confused pairs, as `confused_pairs` counts them."""
    names = [_pair(str(pair["true"]), str(pair["predicted"])) for pair in pairs]
    lines = sum(name.count("\n") + 1 for name in names)
    figure = Figure(figsize=(8, 1.4 + 0.25 * max(len(pairs), 1) + 0.17 * lines), layout="constrained")
    figure.suptitle(wrapped(title, 7.8, 12))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(pairs)), [float(pair["images"]) for pair in pairs], color=BLUE)
    axes.bar_label(bars, [f"{pair['images']} ({float(pair['share']):.1%})" for pair in pairs], padding=3)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Images (share of the true class)")
    return figure


def _pair(true: str, predicted: str) -> str:
    """Return the label of a pair, in two lines if the names are long."""
    between = " as " if len(true) + len(predicted) <= LONGEST_NAME else "\nas "
    return f"{short(true)}{between}{short(predicted)}"


def first_layer_figure(weights: NDArray[np.float32], title: str) -> Figure:
    """Draw the weights of the first layer: orange is positive, purple is negative.

    Filters over colours are drawn as colours, each scaled from its smallest weight to its largest.

    Shapes:
        weights (N, C, h, w); at most 64 are drawn.
    """
    drawn = weights[:64]
    columns = 8 if len(drawn) > 8 else max(1, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(columns, rows + 0.5))
    figure.suptitle(title, fontsize=10)
    figure.subplots_adjust(left=0.01, right=0.99, top=rows / (rows + 0.5), bottom=0.01, wspace=0.08, hspace=0.08)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid:
        axes.axis("off")
    for axes, weight in zip(grid, drawn, strict=False):
        if len(weight) == 3:
            low, high = weight.min(), weight.max()
            axes.imshow(((weight - low) / max(high - low, 1e-12)).transpose(1, 2, 0))
        else:
            largest = float(np.abs(weight).max()) or 1.0
            axes.imshow(weight.mean(0), cmap="PuOr_r", vmin=-largest, vmax=largest)
    return figure


def samples_figure(images: NDArray[np.uint8], class_names: Sequence[str], title: str) -> Figure:
    """Draw sample images, a row for each class.

    Shapes:
        images (N, samples, C, H, W), uint8.
    """
    classes, samples = images.shape[:2]
    negative = light_on_dark(images.reshape(-1, *images.shape[2:]))
    width = 1.6 + 0.62 * samples
    heading = wrapped(f"{title} ({NEGATIVE})" if negative else title, width, 12)
    figure = Figure(figsize=(width, 0.5 + 0.62 * classes + 0.2 * heading.count("\n")), layout="constrained")
    figure.suptitle(heading)
    grid = figure.subplots(classes, samples, squeeze=False)
    for row, name in enumerate(class_names):
        for column in range(samples):
            axes = grid[row, column]
            _show(axes, images[row, column], negative)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        grid[row, 0].set_ylabel(short(name), rotation=0, ha="right", va="center")
    return figure


def light_on_dark(images: Images) -> bool:
    """Whether grey images (N, 1, H, W) have a dark background, as Fashion-MNIST has; photos have not.

    The median of all corner pixels decides.
    """
    if not len(images) or images.shape[1] != 1:
        return False
    corners = images[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    return bool(np.median(corners) < 128)


def _square(class_names: Sequence[str], title: str) -> tuple[Figure, Axes]:
    """Return axes of a matrix over classes, with margins for the longest name and the title."""
    labels = [short(name) for name in class_names]
    count, longest = len(labels), max(map(len, labels))
    cells, names = max(0.62 * count, 3.0), 0.25 + 0.085 * longest  # inches
    width = names + 0.45 + cells + 0.15
    heading = wrapped(title, width - 0.2)
    top = 0.28 + 0.17 * (heading.count("\n") + 1)
    height = top + cells + 0.8 * names + 0.45
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes(((names + 0.45) / width, (0.8 * names + 0.45) / height, cells / width, cells / height))
    axes.set_xticks(range(count), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), labels)
    axes.set(xlabel="Predicted", ylabel="True")
    axes.set_title(heading, fontsize=10, loc="right")
    return figure, axes


def _show(axes: Axes, image: Images, negative: bool) -> None:
    """Draw a grey image, if asked as a negative: dark on light, as in print; a colour image unchanged."""
    if len(image) == 3:
        axes.imshow(image.transpose(1, 2, 0))
    else:
        axes.imshow(image[0], cmap="gray_r" if negative else "gray", vmin=0, vmax=255)
