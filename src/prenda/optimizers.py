"""Optimisers beyond those of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdamW(Optimizer):
    """Optimiser that uses Muon for matrices and convolutions, and AdamW for vectors such as biases.

    torch's Muon takes matrices only; a convolution's weight (O, I, H, W) is the matrix (O, I*H*W), seen through a view
    of the same memory (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/).

    Parameter groups are kept: each becomes a group of Muon and one of AdamW, with its further entries.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        adamw_lr: float = 3e-3,
    ) -> None:
        groups = _as_groups(params)
        matrix_groups, vector_groups = [], []
        self._weights: list[nn.Parameter] = []
        self._matrices: list[nn.Parameter] = []
        for group in groups:
            weights = [param for param in group["params"] if param.ndim >= 2]
            matrices = [nn.Parameter(_as_matrix(weight.detach())) for weight in weights]
            vectors = [param for param in group["params"] if param.ndim < 2]
            matrix_groups += [group | {"params": matrices}] if matrices else []
            vector_groups += [group | {"params": vectors}] if vectors else []
            self._weights += weights
            self._matrices += matrices
        self._parts: list[Optimizer] = [Muon(matrix_groups, lr=lr, momentum=momentum, weight_decay=weight_decay)]
        if vector_groups:
            self._parts.append(AdamW(vector_groups, lr=adamw_lr, weight_decay=weight_decay, fused=True))
        super().__init__([param for group in groups for param in group["params"]], {})
        # The groups of the parts themselves, so that a scheduler's learning rate reaches the parts.
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, like=weight)
        for part in self._parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear all gradients, those of the network's own parameters included."""
        super().zero_grad(set_to_none)
        for weight in self._weights:
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each part, in plain types."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def _as_groups(params: Iterable[nn.Parameter] | Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    listed: list[Any] = list(params)
    return listed if listed and isinstance(listed[0], dict) else [{"params": listed}]


def _as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """Return a view (O, rest) of a weight (O, …) or its gradient, in any memory format."""
    like = weight if like is None else like
    if weight.ndim == 4 and not like.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)  # channels_last: this order is the memory's own
    return weight.flatten(1)
