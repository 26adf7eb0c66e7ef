from __future__ import annotations

import pytest

import steps


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setenv("PRENDA_HOME", "nowhere")  # set back after the benchmark has set its own
    monkeypatch.setattr(steps, "IMAGES", {"dense": 64})
    return ["--data", "generated", "--epochs", "2", "--threads", "1"]


@pytest.mark.slow
def test_a_step_that_is_slower_than_allowed_fails_after_two_measurements(small, capsys):
    assert steps.main([*small, "--most", "dense=0.001"]) == 1
    told = capsys.readouterr()
    assert told.out.count("ms a step through prenda") == 2
    assert "dense: 0.00 times is allowed" in told.err


@pytest.mark.slow
def test_a_step_that_is_fast_enough_passes(small, capsys):
    assert steps.main([*small, "--most", "dense=1000"]) == 0
    assert capsys.readouterr().out.count("ms a step through prenda") == 1
