from __future__ import annotations

import re

import pytest

from prenda.config.validation import check
from prenda.errors import ConfigError
from tests.conftest import configured


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=-1", "seed is -1: it must be a number, at least 0 and at most 4294967295"),
        ("label_smoothing=1", "label_smoothing is 1.0: it must be a number, at least 0 and less than 1"),
        ("shifted_scoring=-1", "shifted_scoring is -1: it must be a number, at least 0"),
        ("ema=1", "ema is 1.0: it must be a number, more than 0 and less than 1"),
        ("optimizer.lr=0", "optimizer.lr is 0: it must be a number, more than 0"),
        ("optimizer.lr=fast", "optimizer.lr is 'fast': it must be a number, more than 0"),
        ("optimizer=muon optimizer.adamw_lr=0", "optimizer.adamw_lr is 0: it must be a number, more than 0"),
        ("optimizer.lr=inf", "optimizer.lr is inf: it must be a finite number, at most 1e+38"),
        ("optimizer.lr=1e300", "optimizer.lr is 1e+300: it must be a finite number, at most 1e+38"),
        (
            "optimizer=sgd optimizer.momentum=nan",
            "optimizer.momentum is nan: it must be a finite number, at most 1e+38",
        ),
        ("optimizer.betas=[0.9,nan]", "optimizer.betas is [0.9, nan]: it must be a finite number, at most 1e+38"),
        ("scheduler=step scheduler.factor=inf", "scheduler.factor is inf: it must be a finite number, at most 1e+38"),
        ("data.classes=[[]]", "data.classes is [[]]: give a list of texts, such as [a,b]."),
        ("search.objectives=[{a:1}]", "search.objectives is [{'a': 1}]: give a list of texts, such as [a,b]."),
        ("trainer.threads=2000", "trainer.threads is 2000: it must be a number, at least 1 and at most 1024"),
        ("data.val_size=0", "data.val_size is 0: it must be a number, at least 1"),
        ("data.batch_size=0", "data.batch_size is 0"),
        ("data.channels=2", "data.channels is 2: choose one of 1, 3"),
        ("augment.flip=2", "augment.flip is 2.0: it must be a number, at least 0 and at most 1"),
        ("augment.erase_area=0", "augment.erase_area is 0.0: it must be a number, more than 0 and at most 1"),
        ("trainer.epochs=0", "trainer.epochs is 0: it must be a number, at least 1"),
        ("trainer.profile=-1", "trainer.profile is -1: it must be a number, at least 0"),
        ("trainer.devices=0", "trainer.devices is 0: it must be at least 1, or -1 for every GPU"),
        ("trainer.accelerator=tpu", "trainer.accelerator is 'tpu': choose one of auto, cpu, gpu, mps"),
        ("trainer.precision=64", "trainer.precision is '64': choose one of auto, 32, bf16-mixed, 16-mixed"),
        ("workers=0", "workers is 0: it must be a number, at least 1"),
        ("search.n_trials=0", "search.n_trials is 0: it must be a number, at least 1"),
        ("search.hours=0", "search.hours is 0.0: it must be a number, more than 0"),
        ("search.max_failures=0", "search.max_failures is 0: it must be a number, at least 1"),
        ("tracking.uri=null", "tracking.uri is null: name a store or a server, or use tracking=offline"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(override, told):
    with pytest.raises(ValueError, match="^" + re.escape(told)):
        check(configured(*override.split()))


def test_digits_are_not_scored_mirrored():
    told = "mirrored_scoring is true, but data.flip is 0: mirroring makes another class of these images"
    with pytest.raises(ValueError, match=told):
        check(configured("mirrored_scoring=true", "data=mnist", "tracking=offline"))


def test_a_fused_optimiser_does_not_clip_in_half_precision():
    told = "optimizer.fused is true, which cannot clip gradients in trainer.precision=16-mixed"
    with pytest.raises(ValueError, match=told):
        check(configured("trainer.precision=16-mixed", "trainer.gradient_clip=1", "tracking=offline"))


def test_a_fused_sgd_is_refused_in_half_precision():
    told = "optimizer.fused is true, with which torch.optim.SGD starts from random momentum after an overflow"
    settings = ("trainer.precision=16-mixed", "optimizer=sgd", "tracking=offline")
    with pytest.raises(ValueError, match=told):
        check(configured(*settings))
    check(configured(*settings, "optimizer.fused=false"))
    check(configured(*settings, "optimizer.momentum=0", "optimizer.nesterov=false"))


@pytest.mark.parametrize(("size", "valid"), [(1, "2"), (3, "2 or 4"), (129, "128 or 130")])
def test_a_batch_that_the_processes_cannot_share_is_refused(size, valid):
    told = (
        f"data.batch_size is {size}, which 2 processes cannot share equally: give a multiple of 2, such as {valid}, or"
    )
    with pytest.raises(ConfigError, match=told):
        check(configured("trainer=ddp_cpu", f"data.batch_size={size}"))


def test_another_results_version_is_refused():
    told = "results_version is 1, but this version of prenda trains by the rules of version 2 only: leave it out"
    with pytest.raises(ConfigError, match=told):
        check(configured("results_version=1"))
