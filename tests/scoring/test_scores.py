from __future__ import annotations

import numpy as np
import pytest

from prenda.scoring.scores import class_scores, confused_pairs, overfitting, score

NAMES = ["Shirt", "Coat", "Bag", "Dress"]


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


def test_each_class_needs_a_name():
    with pytest.raises(ValueError, match="argument"):
        class_scores(np.eye(4, dtype=np.int64), NAMES[:3])


def test_scores_hold_the_predictions_and_a_row_for_each_class():
    logits, labels = random_predictions()
    scored = score(logits, labels, NAMES)
    assert scored.logits is logits
    assert scored.labels is labels
    assert scored.confusion.dtype == np.int64
    assert scored.classes == class_scores(scored.confusion, NAMES)


def random_predictions() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.normal(size=(300, 4)).astype(np.float32), random.integers(0, 4, 300)


def test_figures_are_those_of_torchmetrics():
    """An independent implementation of each figure that has one there."""
    import torch
    from torchmetrics.functional import classification as reference

    logits, labels = random_predictions()
    metrics = score(logits, labels, NAMES).metrics
    given = torch.tensor(logits), torch.tensor(labels), 4
    assert metrics["accuracy"] == pytest.approx(reference.multiclass_accuracy(*given, average="micro").item())
    top2 = reference.multiclass_accuracy(*given, average="micro", top_k=2)
    assert metrics["top2_accuracy"] == pytest.approx(top2.item())
    for average, prefix in (("macro", ""), ("weighted", "weighted_")):
        assert metrics[f"{prefix}f1"] == pytest.approx(reference.multiclass_f1_score(*given, average=average).item())
        precision = reference.multiclass_precision(*given, average=average)
        assert metrics[f"{prefix}precision"] == pytest.approx(precision.item())
        assert metrics[f"{prefix}recall"] == pytest.approx(reference.multiclass_recall(*given, average=average).item())
    assert metrics["loss"] == pytest.approx(torch.nn.functional.cross_entropy(*given[:2]).item())
    confusion = reference.multiclass_confusion_matrix(*given)
    assert score(logits, labels, NAMES).confusion.tolist() == confusion.tolist()


def test_pairs_are_the_largest_mistakes_first():
    matrix = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 9]])
    assert confused_pairs(matrix, NAMES[:3]) == [
        {"true": "Coat", "predicted": "Shirt", "images": 5, "share": 0.5},
        {"true": "Shirt", "predicted": "Coat", "images": 2, "share": 0.2},
    ]


def test_ten_pairs_at_most_those_of_equal_size_in_the_order_of_their_classes():
    names = list("abcdefghijkl")
    found = confused_pairs(np.ones((12, 12), np.int64), names)
    assert [(row["true"], row["predicted"]) for row in found] == [("a", name) for name in names[1:11]]


def predictions(right: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """So many of the images right."""
    labels = np.zeros(images, np.int64)
    logits = np.tile(np.array([0.0, 1.0], np.float32), (images, 1))
    logits[:right] = [1.0, 0.0]
    return logits, labels


@pytest.mark.parametrize(
    ("train", "test", "told"),
    [
        (
            (5_000, 5_000),
            (900, 1_000),
            "The network overfits: accuracy is 100.00% on the 5,000 training images and 90.00% on the 1,000 test "
            "images, a gap of 10.0 ± 1.9 points (loss 0.313 and 0.413), both in evaluation mode, without augmentation.",
        ),
        ((4_600, 5_000), (900, 1_000), "The network does not overfit measurably: accuracy"),
        ((4_650, 5_000), (900, 1_000), "The network overfits slightly: accuracy"),
        ((4_000, 5_000), (900, 1_000), "The network does not overfit measurably: accuracy"),
        ((50, 50), (9, 10), "a gap of 10.0 ± 18.6 points"),
        ((50, 50), (10, 10), "The network does not overfit measurably: accuracy is 100.00%"),
    ],
)
def test_one_sentence_says_whether_it_overfits(train, test, told):
    sentence = overfitting(*(score(*predictions(*part), ["Shirt", "Coat"]) for part in (train, test)))
    assert told in sentence
    assert "evaluation mode, without augmentation" in sentence
    assert sentence.count(". ") == 0
