"""Overrides of pytorch-lightning's internals that save time in every training step.

Written for pytorch-lightning 2.6.6 and torch 2.14.1. `python benchmarks/overrides.py` measures each alone. The gains
are µs of CPU time of a step on one thread, as measured on 2026-11-25, for a dense network (784-512-10) and a tiny one
(784-8-10): median ± standard error (benchmarks/results/overrides.md). An override that saves less than 20 µs is
deleted. `tests/training/test_lightning_overrides.py` fails when the library changes an overridden part. Decision 0014
says which overrides were dropped.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.profilers import PassThroughProfiler

NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
_NOTHING = nullcontext()


class IdleProfiler(PassThroughProfiler):
    """Lightning's profiler that measures nothing, with one shared context manager for all spans.

    Reason: `Profiler.profile` creates a generator for each of the 55 spans of a step, even when nothing is measured.
    Gain: 37 ± 21 (dense), 62 ± 3 (tiny).
    """

    # Lightning declares a generator's context manager; callers use it in a `with` only.
    def profile(self, action_name: str) -> nullcontext[None]:  # type: ignore[override]
        return _NOTHING


class ModelCheckpoint(pl.callbacks.ModelCheckpoint):
    """Lightning's callback with a cached `state_key`. Checkpoints hold the name of this class: keep it.

    Reason: Lightning reads the key in every hook of every step, and formats five settings each time.
    Gain: 56 ± 26 (dense), 34 ± 3 (tiny).
    """

    @cached_property
    def state_key(self) -> str:
        return super().state_key


class LightningModule(pl.LightningModule):
    """Lightning's module that sets the name of the current hook without the checks of `nn.Module.__setattr__`.

    Reason: Lightning sets `_current_fx_name` 42 times a step. torch checks each time whether the value is a parameter,
    a module or a buffer.
    Gain: 110 ± 27 (dense), 85 ± 3 (tiny).
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


def disable_nvml_check() -> None:
    """Remove the environment variable that `import pytorch_lightning` sets; for training on the CPU.

    Reason: torch's optimisers check in every step whether there is a GPU. With the variable set, torch loads
    NVIDIA's management library (NVML) again each time. torch documents the variable.
    Gain: 296 ± 28 (dense), 171 ± 5 (tiny), for a torch that was built for CUDA, on a machine without a GPU.
    """
    os.environ.pop(NVML_CHECK, None)
