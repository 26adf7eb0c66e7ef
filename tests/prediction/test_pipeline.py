from __future__ import annotations

import dataclasses
import threading
import time

import pytest

from prenda.bundle.format import read
from prenda.photos.find import find
from prenda.prediction import pipeline
from prenda.prediction.answer import Judge
from prenda.prediction.pipeline import predict
from prenda.prediction.predictor import Predictor
from tests.prediction.bundles import PAD, photo, write_bundle


@pytest.fixture
def predictor(tmp_path):
    return Predictor(read(write_bundle(tmp_path / "bundle")))


@pytest.fixture
def folder(tmp_path):
    for number in range(30):
        photo(tmp_path / f"photos/{number:02}.png", ["T-shirt/top", "Dress", "Bag"][number % 3])
    (tmp_path / "photos/07.png").write_bytes(b"")
    return tmp_path / "photos"


def test_answers_come_in_the_order_of_the_photos_whatever_each_takes(predictor, folder, monkeypatch):
    original = pipeline.load

    def load(path, preparation):
        time.sleep(0.03 if path.name < "05" else 0)
        return original(path, preparation)

    monkeypatch.setattr(pipeline, "load", load)
    outcomes = list(predict(find([str(folder)]), predictor, PAD, threads=3))
    assert [outcome.found.path.name for outcome in outcomes] == [f"{number:02}.png" for number in range(30)]
    assert [outcome.error for outcome in outcomes if outcome.error] == ["is empty"]
    classes = [int(outcome.probabilities.argmax()) for outcome in outcomes if outcome.probabilities is not None]
    assert classes == [number % 3 for number in range(30) if number != 7]


def test_photos_are_taken_as_they_are_needed(predictor, folder):
    taken = []

    def endless():
        while True:
            for found in find([str(folder)]):
                taken.append(found)
                yield found

    outcomes = predict(endless(), predictor, PAD, threads=2)
    for _ in range(500):
        next(outcomes)
    assert len(taken) <= 500 + pipeline.BATCH * (pipeline.AHEAD * 2 + 1)
    outcomes.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prenda-predict")]


def test_the_novelty_of_each_photo_decides(tmp_path, folder):
    bundle = read(write_bundle(tmp_path / "novel", unsure={"confidence": 0.5, "novelty": 90.0}))
    outcomes = list(predict(find([str(folder)]), Predictor(bundle), PAD, threads=2))
    assert [outcome.novelty for outcome in outcomes] == [None if number == 7 else 85.0 for number in range(30)]
    outcome = outcomes[0]
    answers = [
        Judge(judged).answer("a.png", outcome.probabilities, outcome.logits, novelty=outcome.novelty).unsure
        for judged in (bundle, dataclasses.replace(bundle, unsure={"novelty": 80.0}))
    ]
    assert answers == [None, "unlike the photos that it was trained on (novelty 85.00, limit 80.00)"]


def test_an_error_that_is_a_bug_is_not_swallowed(predictor, folder, monkeypatch):
    def load(path, preparation):
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "load", load)
    with pytest.raises(RuntimeError, match="a bug"):
        list(predict(find([str(folder)]), predictor, PAD, threads=2))


def test_no_photos_no_answers(predictor):
    assert list(predict(iter(()), predictor, PAD, threads=2)) == []
