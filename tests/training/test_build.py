from __future__ import annotations

import os

import pytest
import torch

from prenda.errors import ConfigError
from prenda.training.build import build_classifier, build_data, prepare_process
from prenda.training.test_time_views import Views
from tests.conftest import configured


@pytest.fixture
def threads(monkeypatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    return asked


@pytest.mark.parametrize("processes", [1, 2, 1000])
def test_data_parallel_processes_share_the_cores(threads, monkeypatch, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    prepare_process(configured("trainer=cpu", "trainer.threads=null"), processes)
    assert threads == [{1: 8, 2: 4, 1000: 1}[processes]]


def test_threads_that_are_given_are_those_of_each_process(threads):
    prepare_process(configured("trainer=cpu", "trainer.threads=3"), processes=2)
    assert threads == [3]


@pytest.mark.usefixtures("threads")
def test_a_step_on_the_cpu_does_not_look_for_a_gpu(monkeypatch):
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    prepare_process(configured("trainer=cpu"), processes=1)
    assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ


@pytest.mark.parametrize("channels", [1, 3])
def test_what_moved_views_uncover_is_black(channels):
    config = configured("data=generated", f"data.channels={channels}", "shifted_scoring=1")
    data = build_data(config)
    data.prepare_data()
    data.setup()
    views = build_classifier(config, data).backbone
    assert isinstance(views, Views)
    black = data.normalized(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))
    torch.testing.assert_close(views.background.expand_as(black), black)
    assert (views.mirrored, views.shift) == (False, 1)


def test_a_size_of_training_images_that_the_backbone_cannot_take_is_refused():
    config = configured("data=generated", "backbone=dense", "augment.size=20")
    data = build_data(config)
    data.prepare_data()
    data.setup()
    expected = r"augment.size is 20, but this backbone was built for images of 28 pixels and takes no others: set"
    with pytest.raises(ConfigError, match=expected):
        build_classifier(config, data)
    assert build_classifier(configured("data=generated", "backbone=resnet9", "augment.size=20"), data).backbone.training
