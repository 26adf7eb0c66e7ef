"""Every place that scores a run finds the same values: validation, scores.json, evaluate, compare and the bundle."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
from scipy.special import softmax

from prenda.bundle import format as bundle_format
from prenda.data.datasets import find
from prenda.model_selection.compare import compare
from prenda.report.tables import read_history, read_predictions
from prenda.training.evaluation import evaluate_again
from prenda.training.train import TrainResult, train
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

RUNS = {
    "saturated logits": (*DENSE, "optimizer.lr=30"),
    "bfloat16 and views": (
        "backbone=cnn",
        "trainer.precision=bf16-mixed",
        "mirrored_scoring=true",
        "shifted_scoring=1",
        "trainer.epochs=2",
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def result(request, tmp_path_factory) -> TrainResult:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        return train(configured(*TINY, "report=light", *RUNS[request.param]), home / "run")


@pytest.fixture
def recorded(result) -> dict[str, float]:
    """The run's scores on the test images, from its scores.json."""
    scores = json.loads((result.folder / "scores.json").read_text())
    return {name: scores[f"test/{name}"] for name in result.scores["test"].metrics}


@pytest.mark.slow
def test_evaluate_and_compare_find_the_recorded_scores_to_the_last_digit(result, recorded, tmp_path):
    assert evaluate_again(str(result.checkpoint))["test"].metrics == recorded
    other = train(configured(*TINY, *DENSE), tmp_path / "other")
    folder = compare([str(result.folder), str(other.folder)], recorded=False)
    compared = json.loads((folder / "comparison.json").read_text())
    assert compared["runs"][0]["metrics"] == recorded


@pytest.mark.slow
def test_validation_logs_the_scores_of_the_chosen_epoch(result):
    history = read_history(result.folder / "metrics/metrics.csv")
    logged = {name: history[f"val/{name}"][result.best_epoch] for name in result.scores["val"].metrics}
    assert logged == pytest.approx(result.scores["val"].metrics, rel=1e-6)


@pytest.mark.slow
def test_the_bundle_answers_as_scored_on_every_test_image(result, tmp_path):
    bundle = bundle_format.read(result.folder / "bundle")
    session = onnxruntime.InferenceSession(bundle.network, providers=["CPUExecutionProvider"])
    pixels = find("generated").load(tmp_path).test_images.numpy()
    (answers,) = session.run(["probabilities"], {"pixels": pixels})
    logits = read_predictions(result.folder / "predictions/test.npz").logits
    assert logits.dtype == np.float32
    # Logits of 300,000 are rounded to 0.03 in float32; those of a network that learned agree within 1e-4.
    allowed = 1e-4 if np.abs(logits).max() < 100 else 1e-3
    np.testing.assert_allclose(answers, softmax(logits / bundle.temperature, axis=1), atol=allowed)
    assert bundle.onnx_images == len(pixels)


@pytest.mark.slow
def test_scores_are_those_of_scikit_learn(result, recorded):
    from sklearn.metrics import f1_score, log_loss

    test = result.scores["test"]
    assert recorded["f1"] == pytest.approx(f1_score(test.labels, test.predicted, average="macro", zero_division=0))
    logits = test.logits.astype(np.float64)
    first_two = np.argsort(-logits, axis=1, kind="stable")[:, :2]
    assert recorded["top2_accuracy"] == (first_two == test.labels[:, None]).any(1).mean()
    if np.ptp(logits) < 30:
        assert recorded["loss"] == pytest.approx(log_loss(test.labels, softmax(logits, axis=1)))
    else:  # scikit-learn clips; here the loss grows with the logits
        assert recorded["loss"] > 10
