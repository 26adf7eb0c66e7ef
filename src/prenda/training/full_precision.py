"""Scoring in float32, also while training uses a lower precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32, as the bundle's ONNX file does: without autocast, and without TF32 on NVIDIA GPUs."""
    allowed = torch.backends.cudnn.allow_tf32  # torch allows TF32 in matrix products only on request
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
