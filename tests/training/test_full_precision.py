from __future__ import annotations

import pytest
import torch

from prenda.training.full_precision import full_precision


def test_scoring_is_in_float32_within_bf16_training():
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        with full_precision(torch.device("cpu")):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_gpus_score_without_tf32_and_train_as_before(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)

    def fail() -> None:
        with full_precision(torch.device("cpu")):
            assert not torch.backends.cudnn.allow_tf32
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert torch.backends.cudnn.allow_tf32
