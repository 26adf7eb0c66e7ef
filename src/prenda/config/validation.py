"""Validation: each setting against its range in the schema, then settings that must agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from prenda.config.schema import NOT_NEGATIVE, POSITIVE, Range, TrackingKind, TrainConfig
from prenda.errors import ConfigError

# Settings of groups whose schema is their target's signature, where a target of torch accepts what cannot train.
TARGET_SETTINGS = {"optimizer.lr": POSITIVE, "optimizer.adamw_lr": POSITIVE, "optimizer.weight_decay": NOT_NEGATIVE}


def check(config: TrainConfig) -> None:
    """Check all settings before anything is opened or fetched.

    Settings that depend on the machine (devices) or on the images (classes, sizes) are checked where those are known.

    Raises:
        ConfigError: If a setting is invalid; the text names the setting, its value and what is valid.
    """
    for name, value, valid in (*_declared(config), *_of_targets(config)):
        _check_setting(name, value, valid)
    _check_agreement(config)


def _declared(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Range | tuple[Any, ...]]]:
    """Yield name, value and valid values of every setting whose field declares valid values."""
    for field in fields(config):
        name, value, valid = prefix + field.name, getattr(config, field.name), field.metadata.get("valid")
        if is_dataclass(value):
            yield from _declared(value, f"{name}.")
        elif valid is not None and value is not None:
            yield name, value, valid


def _of_targets(config: TrainConfig) -> Iterator[tuple[str, Any, Range]]:
    for name, valid in TARGET_SETTINGS.items():
        group, _, setting = name.partition(".")
        value = getattr(config, group).get(setting)
        if value is not None:
            yield name, value, valid


def _check_setting(name: str, value: Any, valid: Range | tuple[Any, ...]) -> None:
    if value in valid:
        return
    if isinstance(valid, Range):
        raise ConfigError(f"{name} is {value!r}: it must be a number, {valid}. Give {name}=… another value.")
    raise ConfigError(f"{name} is {value!r}: choose one of {', '.join(map(str, valid))}.")


def _check_agreement(config: TrainConfig) -> None:
    if config.trainer.devices == 0 or config.trainer.devices < -1:
        raise ConfigError(f"trainer.devices is {config.trainer.devices}: it must be at least 1, or -1 for every GPU.")
    if config.data.batch_size < config.trainer.devices:
        raise ConfigError(
            f"data.batch_size is {config.data.batch_size} over trainer.devices={config.trainer.devices} processes: "
            "each process needs at least one image a step, so use a larger batch or fewer devices."
        )
    if config.mirrored_scoring and not config.data.flip:
        raise ConfigError(
            "mirrored_scoring is true, but data.flip is 0: mirroring makes another class of these images. "
            "Leave mirrored_scoring=false."
        )
    if config.trainer.precision == "16-mixed" and config.optimizer.get("fused"):
        _check_fused(config)
    if config.tracking.kind is TrackingKind.mlflow and not config.tracking.uri:
        raise ConfigError("tracking.uri is null: name a store or a server, or use tracking=offline.")


def _check_fused(config: TrainConfig) -> None:
    """Raise ConfigError for fused optimisers that fail in 16-bit training."""
    if config.trainer.gradient_clip:
        raise ConfigError(
            "optimizer.fused is true, which cannot clip gradients in trainer.precision=16-mixed: set it to "
            "false, use bf16-mixed, or leave trainer.gradient_clip=null."
        )
    # If the first step overflows, torch 2.14 skips it but leaves the momentum in memory that was never written.
    if config.optimizer.get("_target_") == "torch.optim.SGD" and config.optimizer.get("momentum"):
        raise ConfigError(
            "optimizer.fused is true, with which torch.optim.SGD starts from random momentum after an overflow in "
            "trainer.precision=16-mixed: set it to false, or use bf16-mixed."
        )
