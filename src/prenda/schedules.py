"""Learning rate schedules: each takes the optimiser and its total number of steps, and is stepped after each step.

Every parameter group keeps its own learning rate as the peak: no schedule exceeds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Return a schedule that keeps the optimiser's learning rate."""
    return ConstantLR(optimizer, factor=1.0, total_iters=total_steps)


def one_cycle(optimizer: Optimizer, total_steps: int, warmup: float = 0.3) -> LRScheduler:
    """Return a schedule that rises from 1/25 of the learning rate over `warmup` of the steps, then falls to almost 0.

    Raises:
        ValueError: If `warmup` is not between 0 and 1.

    Source: Smith and Topin, arXiv 1708.07120.
    """
    if not (_is_number(warmup) and 0 < warmup < 1):
        raise ValueError(
            f"scheduler.warmup is {warmup!r}: it must be a number, more than 0 and less than 1, a part of the steps."
        )
    peaks, total_steps = [group["lr"] for group in optimizer.param_groups], max(total_steps, 2)
    if warmup * total_steps == 1:  # the warm-up then has a length of 0, by which torch divides
        warmup *= 1 + 1e-9
    return OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup, cycle_momentum=False)


def cosine(optimizer: Optimizer, total_steps: int, final: float = 0.0) -> LRScheduler:
    """Return a half cosine from each group's learning rate down to `final` times that rate.

    Raises:
        ValueError: If `final` is not between 0 and 1.

    Source: Loshchilov and Hutter, arXiv 1608.03983.
    """
    if not (_is_number(final) and 0 <= final <= 1):
        raise ValueError(
            f"scheduler.final is {final!r}: it must be a number, at least 0 and at most 1, a part of the rate."
        )
    # torch's CosineAnnealingLR has one final rate for all groups.
    return LambdaLR(optimizer, lambda step: final + (1 - final) * (1 + math.cos(math.pi * step / total_steps)) / 2)


def step(
    optimizer: Optimizer, total_steps: int, milestones: Sequence[float] = (0.5, 0.75), factor: float = 0.1
) -> LRScheduler:
    """Return a schedule that multiplies the learning rate by `factor` at each milestone, a part of the steps.

    Raises:
        ValueError: If a milestone or the factor is not between 0 and 1.
    """
    listed = milestones if isinstance(milestones, Iterable) and not isinstance(milestones, str) else []
    if not listed or not all(_is_number(part) and 0 < part < 1 for part in listed):
        raise ValueError(
            f"scheduler.milestones is {milestones!r}: give a list of parts of the steps, each more than 0 and less "
            "than 1, such as [0.5, 0.75]."
        )
    if not (_is_number(factor) and 0 < factor <= 1):
        raise ValueError(f"scheduler.factor is {factor!r}: it must be a number, more than 0 and at most 1.")
    return MultiStepLR(optimizer, [round(part * total_steps) for part in milestones], gamma=factor)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
