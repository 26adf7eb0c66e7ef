from __future__ import annotations

import pytest

import around

# A run that started at 100 and was gone at 150, with two epochs.
SEEN = {
    "called": 104.0,
    "starts": [110.0, 118.0, 126.0],
    "ends": [117.0, 124.0],
    "returned": 147.0,
    "durations": {"evaluate": 2.0, "_bundle": 5.0, "finish": 10.0},
}


def test_the_parts_of_a_run_are_all_of_it():
    parts = around.parts(SEEN, 100.0, 150.0)
    assert (parts["steps"], parts["between epochs"], parts["copying the record"], parts["exit"]) == (13, 3, 11, 3)
    named = (*around.START, "steps", "between epochs", *around.END)
    assert sum(parts[name] for name in named) == parts["wall"] == 50


def test_around_the_epochs_is_told_for_more_of_them():
    parts = around.parts(SEEN, 100.0, 150.0)
    assert around.around(parts, 2) == 50 - 13
    assert around.around(parts, 12) == pytest.approx(50 - 13 + 10 * 1.5)


def test_a_run_without_a_bundle_has_its_parts_too():
    seen = SEEN | {"durations": {"evaluate": 2.0, "finish": 10.0}}
    assert around.parts(seen, 100.0, 150.0)["bundle"] == 0
