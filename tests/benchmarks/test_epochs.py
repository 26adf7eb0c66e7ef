from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import comparison
import epochs
from comparison import GOALS, Goal, Ratio
from loops import bare, command, template
from loops.task import BACKBONES, Measured, Task
from loops.terminal import run
from written import table


def tiny(network: str, precision: str) -> Task:
    small = {"images": 64, "epochs": 1, "threads": 1, "batch_size": 32}
    return Task(network, **small, data_dir="nowhere", data="generated", precision=precision)


def made_up(participant: str, taken: list[float], **more) -> list[dict]:
    """A sample a round, of the dense network, with epochs that vary around these seconds."""
    return [
        {"participant": participant, "network": "dense", "round": turn, "images": 100, "epoch_images": 100}
        | {"parameters": 7, "steps": [seconds - 1, seconds, seconds + 5], "whole": [seconds + 2], "versions": {}}
        | more
        for turn, seconds in enumerate(taken, start=1)
    ]


def offline(task: Task) -> Measured:
    return command.measure(task, "tracking=offline")


@contextmanager
def outputs() -> Iterator[set[torch.dtype]]:
    """What dense layers give in training."""
    kinds: set[torch.dtype] = set()

    def look(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        if layer.training and isinstance(layer, nn.Linear):
            kinds.add(output.dtype)

    hook = register_module_forward_hook(look)
    try:
        yield kinds
    finally:
        hook.remove()


@pytest.fixture
def _as_it_was(monkeypatch):
    """Participants, which have a process of their own elsewhere, set arguments, variables and logging."""
    monkeypatch.setattr(sys, "argv", ["prenda"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.slow
@pytest.mark.usefixtures("_as_it_was")
@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
@pytest.mark.filterwarnings("ignore:.*not supported by the model summary")
@pytest.mark.parametrize(("network", "precision"), [*product(BACKBONES, ["32"]), ("cnn", "bf16-mixed")])
def test_participants_train_the_same_network_and_tell_what_the_table_needs(network, precision):
    task = tiny(network, precision)
    measures = {"bare": bare.measure, "prenda": offline, "template": template.measure}
    found = {}
    for participant, measure in measures.items():
        with outputs() as kinds:
            found[participant] = measure(task)
        assert kinds == {torch.float32 if precision == "32" else torch.bfloat16}, participant
    samples = [
        epochs.named(participant, task, each) | {"round": 1, "epoch_images": 64} for participant, each in found.items()
    ]
    comparison.check_parameters(samples)
    for each in found.values():
        assert len(each.steps) == len(each.whole) == 1
        assert 0 < each.steps[0] <= each.whole[0]
    content, text = epochs.report(samples, epochs._parse(["--networks", network, "--rounds", "1"]))
    assert json.loads(json.dumps(content))["samples"] == samples
    assert all(f"| {participant} " in text for participant in found)


def test_networks_of_different_size_are_not_compared():
    samples = made_up("bare", [1.0]) + made_up("prenda", [1.0], parameters=8)
    with pytest.raises(AssertionError, match=r"dense differs in parameters: \{'bare': 7, 'prenda': 8\}"):
        comparison.check_parameters(samples)


def test_a_ratio_is_one_of_medians_and_its_spread_that_of_the_rounds():
    samples = made_up("prenda", [12.0, 11.0, 18.0]) + made_up("bare", [10.0, 10.0, 12.0])
    assert comparison.ratio(samples, "dense", "prenda", "bare") == Ratio(1.2, 1.1, 1.5)
    assert comparison.ratio(samples, "dense", "keras", "bare") is None


def test_fewer_images_scale_the_steps_and_not_what_comes_after_them():
    (sample,) = made_up("template", [10.0], images=20)
    assert comparison.seconds(sample) == 50
    assert comparison.seconds(sample, "whole") == 52
    assert comparison.scaled([sample]) == [
        "dense: template trained on 20 images an epoch; its steps are scaled to 100."
    ]


def test_goals_are_met_or_missed():
    samples = made_up("prenda", [11.0]) + made_up("bare", [10.0]) + made_up("template", [100.0])
    assert comparison.goals(samples) == [
        "dense: prenda / bare at most 1.15: 1.10 (1.10 to 1.10), met",
        "dense: template / prenda at least 10: 9.09 (9.09 to 9.09), missed",
    ]
    assert Goal("dense", "prenda", "bare", most=1.15).met(1.15)
    assert Goal("dense", "template", "prenda", least=10).met(10)
    assert {goal.network for goal in GOALS} <= set(BACKBONES)


def test_the_first_epoch_warms_up():
    found = Measured.between(7, starts=[0, 10, 14, 19], ends=[9, 13, 17])
    assert found == Measured(7, steps=[3, 3], whole=[4, 5])


def test_keras_is_left_out_where_it_is_not_set_up(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(epochs, "PEERS", tmp_path / "python")
    assert epochs._present(["bare", "keras"]) == ["bare"]
    assert capsys.readouterr().out == "keras is left out: `make bench-peers` sets it up\n"


def test_settings_of_a_network_are_given_by_its_name():
    asked = epochs._parse(["--images", "cnn=256", "dense=512"])
    assert asked.images == {"dense": 512, "cnn": 256, "residual": 3840}
    assert epochs._task(asked, "dense", "template").images == 512
    assert epochs._task(epochs._parse([]), "dense", "template").images == 11000
    assert epochs._task(epochs._parse([]), "dense", "bare").images == 55000


def test_a_command_runs_in_a_terminal():
    program = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size(1).columns)"
    ended = run([sys.executable, "-c", program])
    assert ended.output == "True 120\r\n"
    assert 0 < ended.seconds < 60
    assert ended.peak_mib > 1


def test_a_command_that_fails_ends_the_benchmark_with_its_last_words():
    program = "import sys; print('one', file=sys.stderr); sys.exit('no room')"
    with pytest.raises(SystemExit, match=r"failed with 1:\none\nno room"):
        run([sys.executable, "-c", program])


def test_a_table_is_aligned():
    assert table(["what", "s"], [["one", "10.5"], ["three", "2"]]) == "\n".join(
        ["| what  |    s |", "| ----- | ---: |", "| one   | 10.5 |", "| three |    2 |"]
    )
