"""Validation: each setting against its range in the schema, then settings that must agree with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from prenda.config.convert import flatten
from prenda.config.schema import BUILT, NOT_NEGATIVE, POSITIVE, RESULTS_VERSION, Range, TrackingKind, TrainConfig
from prenda.errors import ConfigError

# Settings of groups whose schema is their target's signature, where a target of torch accepts what cannot train.
LARGEST = 1e38  # of float32
TARGET_SETTINGS = {"optimizer.lr": POSITIVE, "optimizer.adamw_lr": POSITIVE, "optimizer.weight_decay": NOT_NEGATIVE}


def check(config: TrainConfig) -> None:
    """Check all settings before anything is opened or fetched.

    Settings that depend on the machine (devices) or on the images (classes, sizes) are checked where those are known.

    Raises:
        ConfigError: If a setting is invalid; the text names the setting, its value and what is valid.
    """
    for name, value, valid in (*_declared(config), *_of_targets(config)):
        _check_setting(name, value, valid)
    for name, value in (("data.classes", config.data.classes), ("search.objectives", config.search.objectives)):
        _check_texts(name, value or [])
    for group in BUILT:
        for name, value in flatten(getattr(config, group), group).items():
            _check_finite(name, value)
    _check_agreement(config)


def check_batch_size(batch_size: int, processes: int) -> None:
    """Check that the processes of a run can share a batch equally.

    Raises:
        ConfigError: If not; the text names the nearest sizes that are valid.
    """
    lower = batch_size // processes * processes
    if lower != batch_size:
        nearest = [str(size) for size in (lower, lower + processes) if size]
        raise ConfigError(
            f"data.batch_size is {batch_size}, which {processes} processes cannot share equally: give a multiple of "
            f"{processes}, such as {' or '.join(nearest)}, or another number of processes (trainer.devices=…)."
        )


def check_image_size(config: TrainConfig, height: int, width: int) -> None:
    """Check the settings whose bounds are the images' size, which is known once the images are.

    Raises:
        ConfigError: If images would be moved out of the picture.
    """
    side = min(height, width)
    for name, pixels in (("augment.shift", config.augment.shift), ("shifted_scoring", config.shifted_scoring)):
        if pixels >= side:
            raise ConfigError(
                f"{name} is {pixels}, but the images have {height}x{width} pixels: it must be less than {side}, "
                "or nothing of an image is left."
            )


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


def _check_texts(name: str, values: list[Any]) -> None:
    """Raise ConfigError unless all are texts: OmegaConf lets lists and mappings into a list of texts."""
    if not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{name} is {values!r}: give a list of texts, such as [a,b].")


def _check_finite(name: str, value: Any) -> None:
    """Raise ConfigError for a number that float32 does not have, which torch's classes accept or fail on in a step."""
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(number, float) and not abs(number) <= LARGEST for number in numbers):
        raise ConfigError(f"{name} is {value!r}: it must be a finite number, at most {LARGEST:g}.")


def _check_agreement(config: TrainConfig) -> None:
    if config.results_version != RESULTS_VERSION:
        raise ConfigError(
            f"results_version is {config.results_version}, but this version of prenda trains by the rules of version "
            f"{RESULTS_VERSION} only: leave it out."
        )
    if config.trainer.devices == 0 or config.trainer.devices < -1:
        raise ConfigError(f"trainer.devices is {config.trainer.devices}: it must be at least 1, or -1 for every GPU.")
    check_batch_size(config.data.batch_size, max(1, config.trainer.devices))
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
