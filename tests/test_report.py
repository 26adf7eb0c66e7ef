from __future__ import annotations

import json

import numpy as np

from prenda.report import confusion_figure, samples_figure, write_confusion


def test_a_confusion_matrix_is_written_as_picture_and_table(tmp_path):
    matrix = np.array([[5, 1], [0, 4]])
    picture, table = write_confusion(matrix, ["Shirt", "Coat"], "a title", tmp_path / "new/test")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(table.read_text()) == {
        "class_names": ["Shirt", "Coat"],
        "rows": "true",
        "columns": "predicted",
        "matrix": [[5, 1], [0, 4]],
    }


def test_the_picture_names_classes_on_both_axes_and_counts_in_the_cells():
    figure = confusion_figure(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"], "a title")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Shirt", "Coat"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Shirt", "Coat"]
    assert [text.get_text() for text in axes.texts] == ["5", "1", "0", "4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted", "True")


def test_a_class_without_images_leaves_an_empty_row():
    confusion_figure(np.array([[0, 0], [1, 4]]), ["Shirt", "Coat"], "a title").canvas.draw()


def test_samples_have_a_named_row_a_class():
    figure = samples_figure(np.zeros((2, 3, 28, 28), np.uint8), ["Shirt", "Coat"], "a title")
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["Shirt", "Coat"]
