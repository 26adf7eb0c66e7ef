"""Hostile values of settings, on the path of `prenda train`, and steps of a training with what is accepted.

Attack random settings for an hour:

    python -m tests.reliability.hostile_settings --minutes 60
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import math
import random
import tempfile
import time
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from prenda.config.convert import as_plain, register, typed
from prenda.config.defaults import _different, defaults
from prenda.config.hydra_errors import user_error
from prenda.config.instantiate import check_target
from prenda.config.paths import CONFIG_DIR
from prenda.config.schema import BUILT, Range, TrainConfig
from prenda.config.validation import _check_setting, _check_texts
from prenda.data import splits
from prenda.data.datamodule import ImageDataModule
from prenda.data.datasets import generated
from prenda.errors import UserError
from prenda.report import terminal
from prenda.training import train as training
from prenda.training.classifier import Classifier
from prenda.training.fit import fit
from prenda.training.train import train

IMAGES = 60  # training images, and a third of them test images
# The least that trains, with every part of a training.
BASE = (
    "data=generated",
    "data.val_size=20",
    "data.batch_size=8",
    "augment=erase",
    "backbone=dense",
    "backbone.units=[8]",
    "trainer=cpu",
    "trainer.epochs=1",
    "trainer.threads=1",
    "tracking=offline",
    "report=none",
)
# What a run fills in itself, whatever was given, and tests of their own cover.
FILLED_IN = {"choices", "results_version", "init_from", "init_sha256", "tracking.command"}
MEMORY = 20_000_000  # bytes that the images of a test may take
MOST_THREADS = 1  # of a test, whatever trainer.threads is


@dataclass(frozen=True)
class Setting:
    """A setting of the schema.

    Attributes:
        name: Dotted name.
        kind: Type, without None.
        optional: Whether it may be null.
        valid: Its range or its values; None if the type alone is checked.
    """

    name: str
    kind: Any
    optional: bool
    valid: Range | tuple[Any, ...] | None

    def holds(self, given: Any, value: Any) -> bool:
        """Whether the composed value is the one that was given, in the type of the setting."""
        if given is None or value is None:
            return given is value
        if self.kind in (int, float):
            return bool(value == self.kind(given))
        if self.kind is bool:
            return isinstance(value, bool) and bool(given not in (0, "false", "off", "no", "n", "0", False)) is value
        if typing.get_origin(self.kind) is list:
            return list(value) == list(map(str, given))
        if typing.get_origin(self.kind) is dict:
            return isinstance(value, Mapping) and dict(value).keys() >= given.keys()
        return str(value) == str(given)


def settings(schema: type = TrainConfig, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of the schema."""
    kinds = typing.get_type_hints(schema)
    for field in fields(schema):
        name, kind = prefix + field.name, kinds[field.name]
        if is_dataclass(kind):
            yield from settings(typing.cast(type, kind), f"{name}.")
        elif name not in FILLED_IN:
            yield _setting(name, kind, field)


def target_settings() -> Iterator[tuple[str, str, Any]]:
    """Yield the file, the name and the usual value of every setting of a backbone, an optimiser and a schedule."""
    for group in BUILT:
        for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
            for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items():
                if not name.startswith("_") and name != "defaults":
                    yield f"{group}={path.stem}", f"{group}.{name}", value


def written(value: Any) -> str:
    """Return a value as an override has it."""
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {written(each)}' for key, each in value.items())}}}"
    return repr(value)


WRONG: tuple[Any, ...] = ("", "abc", " ", "1 2", True, False, None, [], ["a"], [[]], {}, {"a": 1}, math.nan, math.inf)
NUMBERS: tuple[Any, ...] = (
    *(-math.inf, -1e308, -1, -1e-308, -0.0, 0, 5e-324, 1e-12, 0.5, 1 - 1e-16, 1, 1.5, 2, 3, 7, 1e12, 1e38, 1e308),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30),
)


def hostile(kind: Any, valid: Range | tuple[Any, ...] | None) -> list[Any]:
    """Return values of a setting of this type: other types, the ends of its range, and beyond them."""
    values = [*WRONG, *NUMBERS]
    if isinstance(valid, Range):
        ends = [end for end in (valid.low, valid.high) if math.isfinite(end)]
        values += [value for end in ends for value in (end, end - 1, end + 1, math.nextafter(end, end + 1))]
    elif valid is not None:
        values += [*valid, str(valid[0]).upper(), f"{valid[0]} "]
    if isinstance(kind, type) and issubclass(kind, Enum):
        values += [*kind.__members__, next(iter(kind.__members__)).upper()]
    if kind is str:
        values += ["é", "a\nb", "\x1b[2J", "../..", "'", "x" * 300, "<b>", "%", "?", "#"]
    return values


_composed: dict[tuple[str, ...], DictConfig] = {}
_parser = OverridesParser.create()


def taken(setting: Setting, override: str) -> Any:
    """Return what the setting holds after an override, with the types and ranges of the schema alone.

    A whole configuration takes thirty times as long.

    Raises:
        UserError: If the value is refused.
    """
    group = setting.name.rpartition(".")[0]
    part = _base(BASE) if not group else OmegaConf.create({group: _whole(BASE)[group].copy()})
    with _explained([override]):
        ConfigLoaderImpl._apply_overrides_to_config(_parser.parse_overrides([override]), part)
        value = OmegaConf.select(part, setting.name)
    value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    value = value.name if isinstance(value, Enum) else value
    if isinstance(value, list):
        _check_texts(setting.name, value)
    if setting.valid is not None and value is not None:
        _check_setting(setting.name, value, setting.valid)
    return value


def configured_fast(base: Sequence[str], overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration of a command; the base is composed once, and Hydra applies the rest to a copy.

    Raises:
        UserError: If the command is refused.
    """
    with _explained([*base, *overrides]):
        config = _base(base)
        ConfigLoaderImpl._apply_overrides_to_config(_parser.parse_overrides(list(overrides)), config)
        return _read(config)


def _base(base: Sequence[str]) -> DictConfig:
    """Return a copy of a composed configuration."""
    return _whole(base).copy()


def _whole(base: Sequence[str]) -> DictConfig:
    key = tuple(base)
    if key not in _composed:
        register()
        with initialize_config_dir(str(CONFIG_DIR)):
            _composed[key] = compose("train", list(base))
    return _composed[key]


def configured(overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration of a command, wholly composed by Hydra.

    Raises:
        UserError: If the command is refused.
    """
    register()
    with _explained(overrides), initialize_config_dir(str(CONFIG_DIR)):
        return _read(compose("train", list(overrides)))


class Ready(BaseException):
    """A run that has passed every check, at the moment before it is recorded and trained."""

    def __init__(self, classifier: Classifier, data: ImageDataModule) -> None:
        super().__init__()
        self.classifier, self.data = classifier, data


def ready(config: TrainConfig, folder: Path) -> Ready:
    """Return the parts of a run at the moment when its training would start.

    Raises:
        UserError: If a setting is refused.
    """

    def stop(_: Path, classifier: Classifier, data: ImageDataModule) -> None:
        raise Ready(classifier, data)

    with patch.object(training, "_check_checkpoint", stop), tiny(), contextlib.redirect_stdout(io.StringIO()):
        try:
            train(config, folder)
        except Ready as reached:
            return reached
    raise AssertionError("the training started")


@contextlib.contextmanager
def tiny() -> Iterator[None]:
    """Make the generated data set as small as one can be, and keep to the threads of a test."""
    generate, set_threads = generated.generate, torch.set_num_threads
    smaller = lambda count, seed: generate(IMAGES if count > 500 else IMAGES // 3, seed)  # noqa: E731
    threads = lambda count: set_threads(min(MOST_THREADS, count))  # noqa: E731
    with (
        patch.object(generated, "generate", smaller),
        patch.object(torch, "set_num_threads", threads),
        patch.object(splits, "available_memory", lambda: MEMORY),
        patch.object(terminal, "changed", lambda config: _different(as_plain(config), _usual(), "") or {}),
    ):
        yield


@functools.cache
def _usual() -> dict[str, Any]:
    return defaults()


def step(parts: Ready, config: TrainConfig) -> float:
    """Take one step of training, as Lightning would on the CPU; return the loss."""
    classifier, data = parts.classifier, parts.data
    optimizer = classifier.make_optimizer()
    schedule = classifier.make_scheduler(optimizer, 4)
    images, labels = next(iter(data.train_dataloader()))
    classifier.train()
    loss = classifier._training_loss(classifier(data.normalized(data.augment(images))), labels)
    loss.backward()
    if config.trainer.gradient_clip is not None:
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), config.trainer.gradient_clip)
    optimizer.step()
    schedule.step()
    return float(loss.detach())


def trained(config: TrainConfig, folder: Path) -> float | None:
    """Fit one epoch, which should have two steps; return its loss (NaN if it diverged), or None if it is refused.

    Raises:
        UserError: Never; a refusal after the checks is an AssertionError.
    """
    try:
        parts = ready(config, folder)
    except UserError as error:
        check_refusal(error)
        return None
    with tiny(), contextlib.redirect_stdout(io.StringIO()):
        try:
            fit(config, parts.classifier, parts.data, folder, ())
        except UserError as error:
            if "training diverged" in str(error):  # no check knows at which learning rate
                return math.nan
            raise AssertionError(f"refused after the checks: {error}") from error
    return float(parts.classifier.trainer.callback_metrics["train/loss"])


def check_refusal(error: UserError, name: str = "", value: str = "") -> None:
    """Check that a refusal is one line that names the setting and its value."""
    text = str(error)
    assert "\n" not in text, f"several lines: {text!r}"
    assert name in text, f"{name} is not named: {text}"
    assert value in text, f"{value} is not named: {text}"
    assert len(text) < 1500, f"too long: {text}"


def all_pairs(factors: Mapping[str, Sequence[str]], seed: int = 0) -> list[dict[str, str]]:
    """Return rows in which every two values of different factors meet, found greedily: few rows, not the fewest."""
    generator = random.Random(seed)
    names = list(factors)
    open_pairs = {
        frozenset({(one, first), (two, second)})
        for place, one in enumerate(names)
        for two in names[place + 1 :]
        for first in factors[one]
        for second in factors[two]
    }
    rows = []
    while open_pairs:
        row = dict(min(open_pairs, key=sorted))
        for name in generator.sample(names, len(names)):
            if name not in row:
                row[name] = max(factors[name], key=lambda value: _met(row, name, value, open_pairs))
        open_pairs = {pair for pair in open_pairs if not pair <= row.items()}
        rows.append({name: row[name] for name in names})
    return rows


def attack(generator: random.Random) -> bool:
    """Give some settings hostile values; return whether they were accepted, and then trained two steps.

    Raises:
        AssertionError: If they are neither refused in a clear line nor trained. Any other error is a fault too.
    """
    known = [(each.name, hostile(each.kind, each.valid)) for each in settings()]
    known += [(name, hostile(type(usual), None)) for _, name, usual in target_settings()]
    choices = [f"{group}={generator.choice(_files(group))}" for group in (*BUILT, "augment")]
    overrides = [
        f"{name}={written(generator.choice(values))}"
        for name, values in generator.sample(known, generator.randint(1, 3))
    ]
    print(" ".join(map(repr, [*choices, *overrides])), flush=True)
    base = [each for each in BASE if not each.startswith(("backbone", "augment="))]
    with tempfile.TemporaryDirectory(prefix="prenda-settings-") as scratch:
        try:
            config = configured([*base, *choices, f"paths.home={scratch}", *overrides])
        except UserError as error:
            check_refusal(error)
            return False
        return trained(config, Path(scratch) / "run") is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack until the time is over; every failure ends it with its traceback, and the overrides stand above."""
    parser = argparse.ArgumentParser("python -m tests.reliability.hostile_settings", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    until, rounds, accepted = time.monotonic() + 60 * given.minutes, 0, 0
    while time.monotonic() < until:
        accepted += attack(random.Random(f"settings {given.seed + rounds}"))
        rounds += 1
    print(f"{rounds} rounds, {accepted} of them accepted and trained")
    return 0


def _setting(name: str, kind: Any, field: Field[Any]) -> Setting:
    assert field.default is not MISSING or field.default_factory is not MISSING, name
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    optional = type(None) in typing.get_args(kind)
    return Setting(name, parts[0] if optional else kind, optional, field.metadata.get("valid"))


def _read(config: DictConfig) -> TrainConfig:
    run = typed(config)
    for group in BUILT:
        check_target(getattr(run, group), group)
    return run


@contextlib.contextmanager
def _explained(overrides: Sequence[str]) -> Iterator[None]:
    """Raise what Hydra refuses as `prenda train` explains it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        explained = user_error(error, overrides)
        if explained is None:
            raise
        raise explained from error


def _met(row: Mapping[str, str], name: str, value: str, open_pairs: set[frozenset[tuple[str, str]]]) -> int:
    return sum(frozenset({(name, value), other}) in open_pairs for other in row.items())


def _files(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))


def value_of(config: TrainConfig, name: str) -> Any:
    """Return the value of a setting, in plain types."""
    value: Any = as_plain(config)
    for part in name.split("."):
        value = value[part]
    return value


if __name__ == "__main__":
    raise SystemExit(main())
