"""Scoring in float32, also while training computes in fewer bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32, as the bundle's ONNX file does: without autocast, and without TF32 on GPUs of NVIDIA."""
    allowed = torch.backends.cudnn.allow_tf32  # of matrix products, torch allows it only on request
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
