"""torchvision's classification networks, fitted to the images."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from prenda.backbones.settings import choice

# Arguments with which some models accept small pictures and return logits alone.
_NEEDED: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


class TorchvisionNet(nn.Module):
    """Any of torchvision's classification models by name, untrained.

    The first convolution takes the images' channels; the last layer returns one logit a class.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Raises:
        ValueError: If there is no such model, or it cannot take images of this size; the text names the setting.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        model: str = "mobilenet_v3_small",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        known = models.list_models(module=models)
        if model not in known:
            close = difflib.get_close_matches(str(model), known) or known
            choice("backbone.model", model, close)
        arguments = _NEEDED.get(model, {}) | dict(settings or {})
        if model.startswith("vit_"):
            arguments.setdefault("image_size", image_shape[1])
        try:
            with torch.device("meta"):  # shapes alone: finds errors at no cost
                logits = _build(model, image_shape[0], num_classes, arguments).eval()(torch.empty(2, *image_shape))
            assert logits.shape == (2, num_classes)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            reason = str(error).splitlines()[0] if str(error) else "its output is not one logit a class"
            shape = "x".join(map(str, image_shape))
            raise ValueError(
                f"backbone.model is {model!r}, which cannot take images of {shape} with "
                f"backbone.settings={dict(settings or {})} ({reason}): give a larger data.image_size or another model."
            ) from error
        self.network = _build(model, image_shape[0], num_classes, arguments)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        logits: Tensor = self.network(images)
        return logits


def _build(model: str, channels: int, num_classes: int, arguments: Mapping[str, Any]) -> nn.Module:
    network: nn.Module = models.get_model(model, weights=None, num_classes=num_classes, **arguments)
    if channels != 3:
        first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
        first.in_channels = channels
        first.weight = nn.Parameter(torch.empty(first.out_channels, channels, *first.kernel_size))
        first.reset_parameters()
    return network
