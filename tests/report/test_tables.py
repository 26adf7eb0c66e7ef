from __future__ import annotations

import json

import numpy as np

from prenda.report.tables import (
    markdown_table,
    read_history,
    read_predictions,
    write_confusion,
    write_predictions,
    write_rows,
)
from prenda.scoring.scores import class_scores


def test_a_cell_of_a_markdown_table_ends_no_row_and_is_no_markup():
    table = markdown_table(("class", "F1"), [("T-shirt|top", "0.9"), ("<b>Coat</b>\nlong", "0.8")])
    assert table.splitlines() == [
        "| class | F1 |",
        "|---|---|",
        r"| T-shirt\|top | 0.9 |",
        "| &lt;b&gt;Coat&lt;/b&gt; long | 0.8 |",
    ]


def test_a_confusion_matrix_says_what_its_rows_are(tmp_path):
    write_confusion(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"], tmp_path / "new/test.json")
    assert json.loads((tmp_path / "new/test.json").read_text()) == {
        "class_names": ["Shirt", "Coat"],
        "rows": "true",
        "columns": "predicted",
        "matrix": [[5, 1], [0, 4]],
    }


def test_rows_are_written_as_csv_and_json(tmp_path):
    rows = class_scores(np.array([[5, 1], [0, 4]]), ["Shirt", "Coat"])
    write_rows(rows, tmp_path / "new/test")
    lines = (tmp_path / "new/test.csv").read_text().splitlines()
    assert lines[0] == "class,precision,recall,f1-score,support"
    assert lines[1].startswith("Shirt,1.0,0.833")
    assert json.loads((tmp_path / "new/test.json").read_text()) == rows


def test_predictions_are_read_without_pickle(tmp_path):
    logits = np.array([[-200, 150.5]], np.float32)
    write_predictions(logits, np.array([1]), ["Shirt", "Coat"], tmp_path / "new/test.npz")
    with np.load(tmp_path / "new/test.npz", allow_pickle=False) as arrays:
        assert arrays["logits"].tolist() == logits.tolist()
        assert arrays["labels"].tolist() == [1]
        assert arrays["class_names"].tolist() == ["Shirt", "Coat"]
    read = read_predictions(tmp_path / "new/test.npz")
    assert (read.logits.dtype, read.class_names, read.exact, read.rounded) == (np.float32, ("Shirt", "Coat"), True, 0)


def test_predictions_of_version_0_1_0_are_read_from_their_probabilities(tmp_path):
    probabilities = np.array([[0.25, 0.75], [0, 1], [1, 0]], np.float32)
    np.savez(tmp_path / "test.npz", probabilities=probabilities, labels=[1, 0, 0], class_names=["Shirt", "Coat"])
    read = read_predictions(tmp_path / "test.npz")
    np.testing.assert_allclose(np.exp(read.logits), probabilities, atol=1e-6)
    assert np.isfinite(read.logits).all()
    assert (read.exact, read.rounded) == (False, 1)


def test_a_run_without_a_mistake_has_an_empty_table(tmp_path):
    write_rows([], tmp_path / "pairs")
    assert json.loads((tmp_path / "pairs.json").read_text()) == []


def test_history_has_a_value_an_epoch(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,1,,0.9\n0,1,0.8,\n1,2,,0.7\n")
    assert read_history(tmp_path / "metrics.csv") == {"val/loss": {1: 0.9, 2: 0.7}, "train/loss": {1: 0.8}}
