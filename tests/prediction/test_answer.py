from __future__ import annotations

import numpy as np
import pytest

from prenda.bundle.format import read
from prenda.errors import UserError
from prenda.photos.messages import message
from prenda.photos.preparation import Preparation
from prenda.prediction.answer import Judge, free_energy
from tests.prediction.bundles import write_bundle


def judge(tmp_path, language="en", top=2, **changes):
    return Judge(read(write_bundle(tmp_path / "bundle", **changes)), language, top)


def answer(judge, *probabilities, logits=(10.0, 0.0, 0.0), warnings=()):
    return judge.answer("a.jpg", np.array(probabilities, np.float32), np.array(logits, np.float32), warnings)


def test_the_best_guesses_come_in_order(tmp_path):
    answered = answer(judge(tmp_path), 0.03, 0.95, 0.02)
    assert (answered.garment, answered.confidence, answered.unsure, answered.error) == ("Dress", 0.95, None, None)
    assert [(guess.garment, guess.confidence) for guess in answered.guesses] == [("Dress", 0.95), ("T-shirt/top", 0.03)]


def test_probabilities_are_rounded_to_four_decimals_before_the_threshold(tmp_path):
    sure = judge(tmp_path, unsure={"confidence": 0.9})
    assert answer(sure, 0.05, 0.89996, 0.05).garment == "Dress"
    below = answer(sure, 0.05, 0.89994, 0.05)
    assert below.garment == "unsure"
    assert below.unsure == "89.99% is less than the 90.00% that an answer needs"
    assert below.guesses[0].garment == "Dress"


def test_a_picture_unlike_the_training_photos_is_unsure_however_confident(tmp_path):
    told = answer(judge(tmp_path, unsure={"energy": -5.0}), 0.0, 1.0, 0.0, logits=(0.0, 4.0, 0.0))
    assert told.garment == "unsure"
    assert told.unsure == "does not look like anything it was trained on (energy -4.04, limit -5.00)"


def test_a_novel_picture_is_unsure_however_confident(tmp_path):
    judging = judge(tmp_path, unsure={"confidence": 0.5, "novelty": 1.5})
    sure = [np.array(values, np.float32) for values in ((0.0, 1.0, 0.0), (0.0, 4.0, 0.0))]
    assert judging.answer("a.jpg", *sure, novelty=1.50004).garment == "Dress"  # rounded to four decimals
    told = judging.answer("a.jpg", *sure, novelty=2.5)
    assert told.garment == "unsure"
    assert told.unsure == "unlike the photos that it was trained on (novelty 2.50, limit 1.50)"


def test_a_bundle_without_thresholds_needs_half_and_never_judges_by_energy(tmp_path):
    without = judge(tmp_path, unsure={})
    assert answer(without, 0.5, 0.25, 0.25, logits=(0.0, 0.0, 0.0)).garment == "T-shirt/top"
    assert answer(without, 0.4999, 0.2501, 0.25).garment == "unsure"


def test_free_energy_of_large_logits_does_not_overflow():
    assert free_energy(np.array([5000.0, 5000.0], np.float32)) == pytest.approx(-5000.6931, abs=1e-4)


def test_names_and_the_word_for_unsure_are_in_the_language(tmp_path):
    spanish = judge(tmp_path, "es")
    assert answer(spanish, 0.0, 1.0, 0.0).garment == "Vestido"
    assert answer(spanish, 0.4, 0.3, 0.3).garment == "dudosa"


def test_an_unknown_language_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--labels is 'fr', but the model has class names in en, es only: choose one"):
        judge(tmp_path, "fr")


def test_top_is_at_least_one_and_at_most_the_classes(tmp_path):
    with pytest.raises(UserError, match="--top is 0: give a number of guesses, at least 1"):
        judge(tmp_path / "a", top=0)
    assert len(answer(judge(tmp_path / "b", top=9), 0.0, 1.0, 0.0).guesses) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [("fashion_mnist", "the default network has half of real photos right"), ("generated", "photos are hard for it")],
)
def test_a_model_of_thumbnails_warns_in_every_answer(tmp_path, name, text):
    data = {"name": name, "content_hash": ""}
    small = judge(tmp_path, preparation=Preparation("thumbnail", 28, 1), data=data)
    warnings = answer(small, 0.0, 1.0, 0.0, warnings=(message("animated"),)).warnings
    assert warnings == (f"learned from 28x28 grey pictures: {text}", "animated: only its first frame is used")


def test_reasons_and_warnings_follow_the_language(tmp_path):
    spanish = judge(tmp_path, "es", unsure={"confidence": 0.9})

    doubtful = answer(spanish, 0.2, 0.8, 0.0, warnings=(message("animated"),))

    assert doubtful.unsure == "80,00 % es menos del 90,00 % que necesita una respuesta"
    assert doubtful.warnings == ("animada: solo se usa su primer fotograma",)
    assert spanish.refusal("a.jpg", message("empty")).error == "está vacía"


@pytest.mark.parametrize(
    ("unsure", "novelty", "text"),
    [
        ({"novelty": 1.5}, 2.5, "no se parece a las fotos con las que aprendió (novedad 2,50, límite 1,50)"),
        ({"energy": -50.0}, None, "no se parece a nada de lo que aprendió (energía -10,00, límite -50,00)"),
    ],
)
def test_strange_pictures_say_so_in_spanish(tmp_path, unsure, novelty, text):
    spanish = judge(tmp_path, "es", unsure=unsure)

    verdict = spanish.verdict(np.array([0.0, 1.0, 0.0], np.float32), np.array([10.0, 0.0, 0.0], np.float32), novelty)

    assert (verdict.reason.code, verdict.reason.es) == (next(iter(unsure)), text)
