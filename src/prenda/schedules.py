"""Learning rate schedules: each takes the optimiser and its total number of steps, and is stepped after each step.

Every parameter group keeps its own learning rate as the peak.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Return a schedule that keeps the optimiser's learning rate."""
    return ConstantLR(optimizer, factor=1.0, total_iters=total_steps)


def one_cycle(optimizer: Optimizer, total_steps: int, warmup: float = 0.3) -> LRScheduler:
    """Return a schedule that rises from 1/25 of the learning rate over `warmup` of the steps, then falls to almost 0.

    Raises:
        ValueError: If `warmup` is not between 0 and 1.

    Source: Smith and Topin, arXiv 1708.07120.
    """
    if not 0 < warmup < 1:
        raise ValueError(
            f"scheduler.warmup is {warmup!r}: it must be more than 0 and less than 1, a part of the steps."
        )
    peaks, total_steps = [group["lr"] for group in optimizer.param_groups], max(total_steps, 2)
    if warmup * total_steps == 1:  # the warm-up then has a length of 0, by which torch divides
        warmup *= 1 + 1e-9
    return OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup, cycle_momentum=False)


def cosine(optimizer: Optimizer, total_steps: int, final: float = 0.0) -> LRScheduler:
    """Return a half cosine from the learning rate down to `final` times the first group's learning rate.

    Groups with an `lr_factor` each go down to `final` times their own learning rate.

    Raises:
        ValueError: If `final` is not between 0 and 1.

    Source: Loshchilov and Hutter, arXiv 1608.03983.
    """
    if not 0 <= final <= 1:
        raise ValueError(f"scheduler.final is {final!r}: it must be at least 0 and at most 1, a part of the rate.")
    if any("lr_factor" in group for group in optimizer.param_groups):  # torch's takes one end for all groups
        return LambdaLR(optimizer, lambda step: final + (1 - final) * (1 + math.cos(math.pi * step / total_steps)) / 2)
    return CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=final * optimizer.param_groups[0]["lr"])


def step(
    optimizer: Optimizer, total_steps: int, milestones: Sequence[float] = (0.5, 0.75), factor: float = 0.1
) -> LRScheduler:
    """Return a schedule that multiplies the learning rate by `factor` at each milestone, a part of the steps.

    Raises:
        ValueError: If a milestone is not between 0 and 1.
    """
    if not milestones or not all(0 < part < 1 for part in milestones):
        raise ValueError(
            f"scheduler.milestones is {list(milestones)}: give parts of the steps, each more than 0 and less than 1."
        )
    return MultiStepLR(optimizer, [round(part * total_steps) for part in milestones], gamma=factor)
