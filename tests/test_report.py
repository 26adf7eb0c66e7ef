from __future__ import annotations

import json

import numpy as np
import pytest

from prenda.report import (
    class_scores,
    confusion_figure,
    samples_figure,
    write_class_scores,
    write_confusion,
    write_predictions,
)


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


def test_class_scores_are_those_of_scikit_learn():
    """scikit-learn comes with MLflow; its report is the reference."""
    from sklearn.metrics import classification_report

    random = np.random.default_rng(0)
    true, predicted = random.integers(0, 4, 500), random.integers(0, 3, 500)  # class 3 is never predicted
    names = ["Shirt", "Coat", "Bag", "Dress"]
    matrix = np.zeros((4, 4), np.int64)
    np.add.at(matrix, (true, predicted), 1)
    expected = classification_report(true, predicted, target_names=names, output_dict=True, zero_division=0)
    for row in class_scores(matrix, names):
        reference = expected[row["class"]]
        if row["class"] == "accuracy":
            assert row["f1-score"] == pytest.approx(reference)
            continue
        assert {key: row[key] for key in reference} == pytest.approx(reference)


def test_class_scores_are_written_as_tables(tmp_path):
    rows = class_scores(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"])
    write_class_scores(rows, tmp_path / "new/test")
    lines = (tmp_path / "new/test.csv").read_text().splitlines()
    assert lines[0] == "class,precision,recall,f1-score,support"
    assert lines[1].startswith("Shirt,1.0,0.833")
    assert json.loads((tmp_path / "new/test.json").read_text()) == rows


def test_predictions_are_read_without_pickle(tmp_path):
    probabilities = np.array([[0.25, 0.75]], np.float32)
    write_predictions(probabilities, np.array([1]), ["Shirt", "Coat"], tmp_path / "new/test.npz")
    with np.load(tmp_path / "new/test.npz", allow_pickle=False) as kept:
        assert kept["probabilities"].tolist() == probabilities.tolist()
        assert kept["labels"].tolist() == [1]
        assert kept["class_names"].tolist() == ["Shirt", "Coat"]


def test_a_class_without_images_leaves_an_empty_row():
    confusion_figure(np.array([[0, 0], [1, 4]]), ["Shirt", "Coat"], "a title").canvas.draw()


def test_samples_have_a_named_row_a_class():
    figure = samples_figure(np.zeros((2, 3, 28, 28), np.uint8), ["Shirt", "Coat"], "a title")
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["Shirt", "Coat"]
