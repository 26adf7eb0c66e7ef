"""The limit: a loop over tensors in memory that does nothing but train."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from loops.task import Measured, Task, prepared, trainable
from prenda.config.instantiate import build


def measure(task: Task) -> Measured:
    """The network, optimiser and schedule are the ones that prenda builds; the images are normalised beforehand."""
    config, data = prepared(task)
    # Lightning, which prenda imports, sets it; torch's Adam then looks for a GPU's library at every step.
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    network = build(config.backbone, "backbone", image_shape=data.image_shape, num_classes=len(data.class_names))
    network.train().to(memory_format=torch.channels_last)
    split = data.split("train")
    images = data.normalized(split.images).contiguous(memory_format=torch.channels_last)
    optimizer = build(config.optimizer, "optimizer")(network.parameters())
    steps = config.trainer.epochs * -(-len(images) // task.batch_size)
    scheduler = build(config.scheduler, "scheduler")(optimizer, steps)
    starts, ends = [time.perf_counter()], []
    for _ in range(config.trainer.epochs):
        train_epoch(network, optimizer, scheduler, images, split.labels, task.batch_size, task.precision)
        ends.append(time.perf_counter())
        starts.append(ends[-1])
    return Measured.between(trainable(network), starts, ends)


def train_epoch(
    network: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    precision: str = "32",
) -> None:
    mixed = nullcontext() if precision == "32" else torch.autocast(images.device.type, torch.bfloat16)
    for index in torch.randperm(len(labels), device=labels.device).split(batch_size):
        with mixed:
            loss = cross_entropy(network(images.index_select(0, index)), labels.index_select(0, index))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
