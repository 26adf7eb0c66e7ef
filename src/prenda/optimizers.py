"""Optimisers beyond those of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdamW(Optimizer):
    """Optimiser that uses Muon for matrices and convolutions, and AdamW for vectors such as biases.

    torch's Muon takes matrices only; a convolution's weight (O, I, H, W) is the matrix (O, I*H*W), seen through a view
    of the same memory (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/).

    Parameter groups are kept: each becomes a group of Muon and one of AdamW, with its further entries. The groups hold
    the network's own parameters, so gradient clipping and a GradScaler find all gradients there.
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
        self._weight_groups = _with(groups, lambda param: param.ndim >= 2)
        vector_groups = _with(groups, lambda param: param.ndim < 2)
        matrix_groups = [
            group | {"params": [nn.Parameter(_as_matrix(weight.detach())) for weight in group["params"]]}
            for group in self._weight_groups
        ]
        muon = Muon(matrix_groups, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self._parts: list[Optimizer] = [muon]
        if vector_groups:
            self._parts.append(AdamW(vector_groups, lr=adamw_lr, weight_decay=weight_decay, fused=True))
        super().__init__([*self._weight_groups, *vector_groups], {})
        self._take_groups()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._give_settings()
        pairs = list(self._weights_and_matrices())
        for weight, matrix in pairs:
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad, like=weight)
        for part in self._parts:
            part.step()
        for _, matrix in pairs:
            matrix.grad = None  # a second owner would keep the gradient's memory after zero_grad
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each part, in plain types."""
        self._give_settings()
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._take_groups()

    def _weights_and_matrices(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        for weights, matrices in zip(self._weight_groups, self._parts[0].param_groups, strict=True):
            yield from zip(weights["params"], matrices["params"], strict=True)

    def _take_groups(self) -> None:
        """Set the groups from those of the parts; a group of Muon's holds weights here, and their matrices there."""
        muon, *others = self._parts
        pairs = zip(muon.param_groups, self._weight_groups, strict=True)
        self._weight_groups = [matrices | {"params": weights["params"]} for matrices, weights in pairs]
        self.param_groups = [*self._weight_groups, *(group for part in others for group in part.param_groups)]

    def _give_settings(self) -> None:
        """Pass the settings of the groups, such as a scheduler's learning rate, on to Muon; AdamW shares its groups."""
        for weights, matrices in zip(self._weight_groups, self._parts[0].param_groups, strict=True):
            matrices.update(weights | {"params": matrices["params"]})


def _as_groups(params: Iterable[nn.Parameter] | Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    listed: list[Any] = list(params)
    return listed if listed and isinstance(listed[0], dict) else [{"params": listed}]


def _with(groups: Iterable[dict[str, Any]], chosen: Callable[[Tensor], bool]) -> list[dict[str, Any]]:
    """Return the groups with the chosen parameters only; groups without any are left out."""
    parts = [group | {"params": [param for param in group["params"] if chosen(param)]} for group in groups]
    return [part for part in parts if part["params"]]


def _as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """Return a view (O, rest) of a weight (O, …) or its gradient, in any memory format."""
    like = weight if like is None else like
    if weight.ndim == 4 and not like.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)  # channels_last: this order is the memory's own
    return weight.flatten(1)
