from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest

import gpu
import gpu_parts
from gpu_parts import PARTS, Check, Found, Part, Task
from tests import forked


@pytest.fixture(autouse=True)
def _forked():
    """The fork server of the tests, which has imported everything, makes the processes of the parts."""
    forked.ready()


@pytest.fixture
def task(tmp_path):
    return Task("cpu", True, "generated", str(tmp_path), str(tmp_path))


def good() -> Found:
    print("fine")
    return Found("worked", True, {"figure": 1.0})


def bad() -> Found:
    print("the last words")
    raise RuntimeError("no room")


def gone() -> Found:
    print("about to end")
    os._exit(9)


def endless() -> Found:
    time.sleep(600)
    return good()


def failing(_: Task) -> list[Check]:
    return [Check("first", bad), Check("second", good)]


def ending(_: Task) -> list[Check]:
    return [Check("first", good), Check("second", gone), Check("third", good)]


def late(_: Task) -> list[Check]:
    return [Check("first", good), Check("second", endless), Check("third", good)]


def outcomes(rows: list[gpu.Row]) -> list[tuple[str, bool | None]]:
    return [(row.what, row.ok) for row in rows]


def test_a_failed_check_is_told_with_its_last_lines_and_the_others_run(task, capsys):
    rows = gpu.measure([Part("one", 0, failing), Part("two", 0, failing)], task, time.monotonic() + 60)
    assert outcomes(rows) == [("first", False), ("second", True)] * 2
    assert rows[0].result == "RuntimeError: no room"
    assert "the last words" in rows[0].output
    assert "FAILED one: first: RuntimeError: no room" in capsys.readouterr().out


def test_a_process_that_ends_fails_the_checks_that_it_leaves(task):
    rows = gpu.measure([Part("one", 0, ending)], task, time.monotonic() + 60)
    assert outcomes(rows) == [("first", True), ("second", False), ("third", False)]
    assert rows[1].result == "the process ended with 9"
    assert "about to end" in rows[1].output


def test_what_does_not_fit_into_the_time_is_left_out(task):
    started = time.monotonic()
    rows = gpu.measure([Part("one", 0, late), Part("two", 30, failing)], task, started + 8)
    assert time.monotonic() - started < 30
    assert outcomes(rows) == [("first", True), ("second", None), ("third", None), ("first", None), ("second", None)]
    assert {row.result for row in rows[1:]} == {"left out: no time"}


def test_the_table_tells_versions_failures_and_what_was_left_out():
    rows = [
        gpu.Row("ddp", "one GPU", "worked", True, 2.0),
        gpu.Row("sweep", "two", "RuntimeError: no room", False, 1.0, output="the last words"),
        gpu.Row("recipes", "fast", "left out: no time", None),
    ]
    where = {"processor": "P", "cores": 2, "memory_gib": 3.0, "python": "3.11"}
    device = {"cuda": "13.0", "cudnn": 9, "driver": "580", "gpus": ["H, 139 GiB"]}
    text = gpu.text_of(rows, where, device, "python benchmarks/gpu.py", "generated")
    assert "GPU: H, 139 GiB; CUDA 13.0, cuDNN 9, driver 580." in text
    assert "data: generated" in text
    assert "| sweep   | two     | RuntimeError: no room | FAILED | 1.0 |" in text
    assert "Checks that failed: 1. Left out: recipes." in text
    assert "## sweep: two\n\n```\nthe last words\n```" in text


def test_a_trial_does_not_replace_the_results_of_a_gpu():
    assert gpu._parse([]).results == gpu.RESULTS
    assert gpu._parse(["--tiny"]).results is gpu._parse(["--device", "cpu"]).results is None


def test_the_command_fails_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "--device cpu --tiny" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)  # of a busy machine
def test_every_part_runs_on_the_cpu(tmp_path):
    assert gpu.main(["--device", "cpu", "--tiny", "--minutes", "9", "--results", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["part"] for row in rows} == set(PARTS)
    assert not any("left out" in row["result"] for row in rows)
    ratios = [row["figures"]["ratio"] for row in rows if row["part"] == "speed"]
    assert len(ratios) == 1
    assert all(math.isfinite(ratio) for ratio in ratios)
    assert (tmp_path / "gpu.md").read_text().startswith("# On a GPU")


def test_a_gpu_has_every_precision_and_the_settings_that_16_bits_need(monkeypatch):
    asked: list[list[str]] = []

    def train(task: Task, name: str, settings: list[str]) -> Path:
        asked.append(settings)
        raise RuntimeError

    monkeypatch.setattr(gpu_parts, "trained", train)
    checks = PARTS["precision"].checks(Task("gpu", False, "fashion_mnist", "data", "home"))
    assert len(checks) == 15
    for check in checks:
        with pytest.raises(RuntimeError):
            check.run()
    unfused = [settings for settings in asked if "optimizer.fused=false" in settings]
    assert len(unfused) == 3
    assert all("trainer.precision=16-mixed" in settings for settings in unfused)
