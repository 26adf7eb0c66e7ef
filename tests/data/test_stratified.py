from __future__ import annotations

import numpy as np
import pytest

from prenda.data.stratified import stratified


def labelled(*counts: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


@pytest.mark.parametrize("counts", [(30, 30, 30), (100, 10, 1), (7, 0, 13), (5,)])
def test_every_first_part_holds_the_same_part_of_each_class(counts):
    labels = labelled(*counts)
    order = np.random.default_rng(1).permutation(len(labels))
    rearranged = stratified(order, labels)
    assert sorted(rearranged) == sorted(order)
    present = np.array([count for count in counts if count])
    for size in range(1, len(labels) + 1):
        taken = np.bincount(labels[rearranged[:size]], minlength=len(counts))[np.array(counts) > 0]
        # One fraction, rounded for each class, explains all numbers.
        assert ((taken - 0.5) / present).max() <= ((taken + 0.5) / present).min() + 1e-9


def test_classes_of_equal_size_are_equal_in_round_numbers():
    labels = labelled(*[50] * 10)
    rearranged = stratified(np.random.default_rng(1).permutation(500), labels)
    for size in (10, 100, 490):
        assert np.bincount(labels[rearranged[:size]]).tolist() == [size // 10] * 10
    assert len(set(labels[rearranged[:5]])) == 5


def test_images_of_a_class_keep_their_random_order():
    labels = labelled(20, 30)
    order = np.random.default_rng(1).permutation(50)
    rearranged = stratified(order, labels)
    for label in (0, 1):
        assert rearranged[labels[rearranged] == label].tolist() == order[labels[order] == label].tolist()


def test_a_part_of_the_images_can_be_ordered():
    labels = labelled(20, 30)
    order = np.arange(10, 40)
    assert sorted(stratified(order, labels)) == order.tolist()
