from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from prenda.scoring.novelty import fit_novelty
from prenda.scoring.selective import REJECTED, fit_thresholds
from tests.scoring.test_selective import predictions


def features(count: int, size: int = 16, spanned: int = 4, seed: int = 0) -> np.ndarray:
    """Features around 5 that vary in the first dimensions, and very little in the others."""
    drawn = np.random.default_rng(seed).normal(size=(count, size))
    drawn[:, spanned:] *= 0.1
    return (drawn + 5).astype(np.float32)


def logits(count: int, largest: float = 8.0) -> np.ndarray:
    values = np.zeros((count, 3), np.float32)
    values[:, 0] = largest
    return values


def test_what_lies_outside_of_the_known_subspace_is_novel():
    known = features(16)  # one dimension for four images: 4
    fitted = fit_novelty(known, logits(16))
    assert fitted.principal.shape == (16, 4)
    assert np.linalg.norm(fitted.principal[:4]) == pytest.approx(2, abs=0.05)  # of 4 unit vectors
    outside = known.copy()
    outside[:, 10] += 3
    assert fitted.score(outside, logits(16)).min() > fitted.score(features(200, seed=1), logits(200)).max()
    inside = known.copy()
    inside[:, 0] += 3
    np.testing.assert_allclose(fitted.residuals(inside), fitted.residuals(known), atol=0.5)


def test_the_score_is_that_of_the_paper():
    known = features(200)
    fitted = fit_novelty(known, logits(200))
    centred = known.astype(np.float64) - known.mean(0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centred, full_matrices=True)
    residual = np.linalg.norm(centred @ directions[8:].T, axis=1)  # half of the features are principal
    assert fitted.principal.shape == (16, 8)
    expected = 8.0 / residual.mean() * residual - logsumexp(logits(200), axis=1)
    np.testing.assert_allclose(fitted.score(known, logits(200)), expected, atol=1e-4)


def test_small_logits_are_novel():
    fitted = fit_novelty(features(50), logits(50))
    one = features(1, seed=2)
    assert fitted.score(one, logits(1, 0.0)) > fitted.score(one, logits(1, 8.0)) + 6


@pytest.mark.parametrize("count", [1, 2, 5, 50])
def test_few_images_give_finite_scores_that_tell_what_is_far_away(count):
    fitted = fit_novelty(features(count, 256), logits(count))
    assert fitted.principal.shape == (256, max(1, count // 4))
    near, far = fitted.score(features(20, 256, seed=3), logits(20)), fitted.score(-features(20, 256), logits(20))
    assert np.isfinite(near).all()
    assert count < 5 or far.min() > near.max()  # one dimension explains two images


@pytest.mark.parametrize("known", [np.full((20, 16), 3.0), features(20)[:, :1], np.zeros((20, 16))])
def test_features_without_a_residual_leave_the_free_energy(known):
    fitted = fit_novelty(known, logits(20))
    assert fitted.alpha == 0
    np.testing.assert_allclose(fitted.score(known, logits(20)), -logsumexp(logits(20), axis=1))


def test_negative_logits_never_praise_what_is_unknown():
    assert fit_novelty(features(20), logits(20) - 20).alpha == 0


def test_few_validation_images_exceed_the_threshold_which_replaces_that_of_the_energy():
    novelty = np.random.default_rng(0).normal(size=500)
    at = fit_thresholds(predictions([0.9] * 50, [True] * 50), 1.0, novelty)
    assert at.keys() == {"confidence", "novelty"}
    assert 0 < (novelty > at["novelty"]).mean() <= REJECTED["novelty"]
