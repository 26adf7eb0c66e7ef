from __future__ import annotations

import numpy as np

from prenda.data.datasets.generated import DATA_SET, generate


def test_generated_pictures_are_the_same_each_time_and_differ_between_parts(tmp_path):
    one, two = DATA_SET.load(tmp_path), DATA_SET.load(tmp_path)
    assert one.content_hash == two.content_hash
    assert not np.array_equal(one.train_images[:500], one.test_images)
    assert one.test_labels.bincount().tolist() == [50] * 10


def test_another_seed_draws_other_pictures():
    assert not np.array_equal(generate(20, seed=1)[0], generate(20, seed=2)[0])
