"""The ranges of settings, and what must hold between several of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prenda.config.schema import TrackingKind
from prenda.errors import ConfigError


@dataclass(frozen=True)
class _Range:
    setting: str
    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def check(self, config: DictConfig) -> None:
        value = OmegaConf.select(config, self.setting)
        if value is None:
            return
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (
            number
            and (self.low < value if self.open_low else self.low <= value)
            and (value < self.high if self.open_high else value <= self.high)
        ):
            return
        low = f"more than {self.low:g}" if self.open_low else f"at least {self.low:g}"
        high = f" and less than {self.high:g}" if self.open_high else f" and at most {self.high:g}"
        valid = low + (high if self.high != float("inf") else "")
        raise ConfigError(
            f"{self.setting} is {value!r}: it must be a number, {valid}. Give {self.setting}=… another value."
        )


_RANGES = (
    _Range("seed", 0, 2**32 - 1),
    _Range("label_smoothing", 0, 1, open_high=True),
    _Range("shifted_scoring", 0, 4096),
    _Range("ema", 0, 1, open_low=True, open_high=True),
    _Range("optimizer.lr", 0, float("inf"), open_low=True),
    _Range("optimizer.weight_decay", 0, float("inf")),
    _Range("data.image_size", 1, 4096),
    _Range("data.val_size", 1, float("inf")),
    _Range("data.split_seed", 0, 2**32 - 1),
    _Range("data.limit_train", 1, float("inf")),
    _Range("data.batch_size", 1, float("inf")),
    _Range("data.flip", 0, 1),
    _Range("data.eval_batch_size", 1, float("inf")),
    _Range("augment.flip", 0, 1),
    _Range("augment.shift", 0, 4096),
    _Range("augment.erase", 0, 1),
    _Range("augment.erase_area", 0, 1, open_low=True),
    _Range("trainer.epochs", 1, float("inf")),
    _Range("trainer.gradient_clip", 0, float("inf"), open_low=True),
    _Range("trainer.threads", 1, float("inf")),
    _Range("trainer.profile", 0, float("inf")),
    _Range("workers", 1, 10_000),
    _Range("search.n_trials", 1, float("inf")),
    _Range("search.hours", 0, float("inf"), open_low=True),
    _Range("search.max_failures", 1, float("inf")),
    _Range("search.retries", 0, float("inf")),
    _Range("report.every_n_epochs", 0, float("inf")),
)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "data.channels": (1, 3),
    "trainer.accelerator": ("auto", "cpu", "gpu", "mps"),
    "trainer.precision": ("32", "bf16-mixed", "16-mixed"),
}


def check(config: DictConfig) -> None:
    """Refuses settings that no run could use, before anything is opened or fetched.

    What depends on the machine (devices) or on the images (classes, sizes) is checked where it is known.

    Raises:
        ValueError: Naming the setting, its value and what is valid.
    """
    for bounds in _RANGES:
        bounds.check(config)
    for setting, valid in _CHOICES.items():
        value = OmegaConf.select(config, setting)
        if value not in valid:
            raise ConfigError(f"{setting} is {value!r}: choose one of {', '.join(map(str, valid))}.")
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
    if config.trainer.precision == "16-mixed" and config.trainer.gradient_clip and config.optimizer.get("fused"):
        raise ConfigError(
            "optimizer.fused is true, which cannot clip gradients in trainer.precision=16-mixed: set it to "
            "false, use bf16-mixed, or leave trainer.gradient_clip=null."
        )
    if config.tracking.kind is TrackingKind.mlflow and not config.tracking.uri:
        raise ConfigError("tracking.uri is null: name a store or a server, or use tracking=offline.")
