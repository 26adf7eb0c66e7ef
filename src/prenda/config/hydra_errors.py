"""Error messages for what Hydra and OmegaConf refuse, and a carrier that takes prenda's errors past Hydra."""

from __future__ import annotations

import difflib
import re
import shlex
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from prenda.config.convert import flatten
from prenda.errors import ConfigError
from prenda.system.redaction import without_passwords

SEE = "`prenda train --cfg job` shows the settings, `prenda train --help` the groups."
# Hydra raises these as plain ValueError, so only their text shows that they are mistakes in the command.
PLAIN = ("Config group override must be", "Only one of --", "The --resolve flag")
SPACE = "search.space."  # settings of a search space, which the command gives by themselves
HIDDEN = {"hydra", "choices"}  # settings at the top: Hydra's own, and those that a run fills in
UNUSABLE = {"basic"}  # Hydra's own sweeper and launcher, which cannot resume
WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class PastHydra(BaseException):
    """Carrier of an error past Hydra, which prints `Error executing job with overrides` before any Exception."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def past_hydra() -> Iterator[None]:
    """Raise any error from inside as `PastHydra`; the caller of Hydra takes the error out of it."""
    try:
        yield
    except Exception as error:
        raise PastHydra(error) from None


def user_error(error: Exception, overrides: Sequence[str] = ()) -> ConfigError | None:
    """Return an error that explains what Hydra refused; None if the command did not cause the error."""
    if isinstance(error, HydraException | OmegaConfBaseException):
        return explained(error, overrides)
    if isinstance(error, ValueError) and str(error).startswith(PLAIN):
        return ConfigError(f"{_plain(str(error), overrides)} {SEE}")
    return None


def explained(error: HydraException | OmegaConfBaseException, overrides: Sequence[str] = ()) -> ConfigError:
    """Return an error that names the setting, its value, what is valid, and what to do.

    Args:
        error: Raised while a configuration was composed, changed or resolved.
        overrides: The overrides on the command line.
    """
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    match cause:
        case MissingConfigException():
            text = _missing_file(cause)
        case ConfigKeyError() | ConfigAttributeError():
            text = _unknown(cause, overrides)
        case ValidationError():
            text = _wrong_value(cause, overrides)
        case MissingMandatoryValue():
            text = f"{cause.full_key} has no value: give {cause.full_key}=…. {SEE}"
        case InterpolationResolutionError():
            text = _unresolved(cause, overrides)
        case OverrideParseException():
            text = _unreadable(cause)
        case _:
            text = _composition(_first_line(error), _first_line(cause))
    return ConfigError(without_passwords(text))


def _missing_file(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if error.options is None or not group:
        return f"There is no configuration {name!r}: leave --config-name and --config-dir out, or correct them."
    options = [option for option in error.options if option not in UNUSABLE]
    close = difflib.get_close_matches(name, options, 1)
    return (
        f"{group} is {name!r}, but conf/{group} has no such file."
        f"{f' Did you mean {close[0]}?' if close else ''} Choose one of {', '.join(options)}."
    )


def _unreadable(error: OverrideParseException) -> str:
    lines = [line for line in error.message.splitlines() if not line.startswith("See http")]
    reason = "it has no =" if "missing EQUAL" in lines[-1] else lines[-1]
    return (
        f"{error.override!r} cannot be read ({reason}): write SETTING=VALUE, and quote a value that holds spaces, "
        "commas or brackets, such as 'data.classes=[Shirt,Coat]'."
    )


def _unknown(error: OmegaConfBaseException, overrides: Sequence[str]) -> str:
    setting = str(error.full_key)
    parent = _node(error.parent_node)
    place = setting.rpartition(".")[0]
    known = [str(key) for key in parent if str(key) not in HIDDEN and not str(key).startswith("_")]
    alike = similar(setting, known, flatten(plain_values(_root(parent))))
    close = [one for one in alike if not setting.startswith(f"{one}.")]
    typed = _typed(setting, overrides) or _group_of(setting, overrides)
    message = f"There is no setting {setting}{f' ({typed})' if typed else ''}."
    if setting.startswith(SPACE) and typed is not None:
        meant = shlex.quote(typed.lstrip("+~").removeprefix(SPACE))
        return f"{message} In a sweep, give the setting itself its values, without search.space: {meant}."
    if close:
        message += f" Did you mean {' or '.join(close)}?"
    if known:
        message += f" {f'Settings of {place}' if place else 'Settings and groups'}: {', '.join(known)}."
    if error.object_type is dict and not close and typed is not None:  # a part that the schema leaves open
        target = plain_values(parent).get("_target_")
        message += f" Another that {target} takes" if target else " A new one"
        message += f" is added by {shlex.quote('+' + typed.lstrip('+~'))}."
    return f"{message} {SEE}"


def similar(setting: str, siblings: Sequence[str], everywhere: dict[str, Any]) -> list[str]:
    """Return settings of a similar name: a sibling, one of the same name elsewhere, or one that looks alike."""
    place, dot, name = setting.rpartition(".")
    siblings_alike = [f"{place}{dot}{sibling}" for sibling in difflib.get_close_matches(name, siblings, 1)]
    names = [known for known in everywhere if not known.startswith(("hydra.", "search.space", "choices"))]
    same_name = [known for known in names if known.rpartition(".")[2] == name]
    return siblings_alike or same_name[:3] or difflib.get_close_matches(setting, names, 1, cutoff=0.8)


def _wrong_value(error: ValidationError, overrides: Sequence[str]) -> str:
    setting, kind = str(error.full_key), _annotation(error)
    key, equals, value = (_typed(setting, overrides) or "").lstrip("+~").partition("=")
    if key not in ("", setting):
        return f"{key}{equals}{value} looks for a setting inside {setting}, which is no group. {SEE}"
    value = value if equals else str(error.value)
    message = f"{setting} is {value if value == 'null' else repr(value)}"
    if kind is None:
        return f"{message}, which cannot be used ({_first_line(error)}): give it another value. {SEE}"
    current = plain_values(_node(error.parent_node)).get(error.key)
    current = str(current).lower() if isinstance(current, bool) else current
    usable = isinstance(current, int | float | str) and "$" not in str(current)
    example = f", such as {setting}={current}" if usable else ""
    return f"{message}: it must be {_words(kind)}{example}."


def _annotation(error: ValidationError) -> Any:
    """Return the type of the setting in the schema; None if it has none."""
    schema = error.object_type
    if not (isinstance(schema, type) and is_dataclass(schema)):
        return None
    return typing.get_type_hints(schema).get(str(error.key))


def _words(kind: Any) -> str:
    """Return a type in the words of a user."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(kind.__members__)}"
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(kind) if part is not type(None)]
        return " or ".join([*map(_words, parts), "null"])
    if typing.get_origin(kind) is list:
        return "a list, such as [a,b]"
    if typing.get_origin(kind) is dict or is_dataclass(kind):
        return "a group of settings"
    return WORDS.get(kind, str(kind))


def _unresolved(error: InterpolationResolutionError, overrides: Sequence[str]) -> str:
    setting, reason = str(error.full_key or "A setting"), _first_line(error)
    reason = reason.rpartition("raised while resolving interpolation: ")[2].strip('"')
    references = [override for override in overrides if "${" in override]
    return (
        f"{setting} refers to a value that does not exist ({reason}): correct "
        f"{' and '.join(references) or 'the reference in ${…}'}, or define what it refers to."
    )


def _composition(message: str, reason: str) -> str:
    """Return the explanation of any other refusal of Hydra, by the first line of its message."""
    if match := re.match(r"Ambiguous value for argument '(.*)'", message):
        setting, _, value = match[1].partition("=")
        return (
            f"{match[1]} gives several values: add -m to train once with each, or write '{setting}=[{value}]' if it "
            "is a list."
        )
    if match := re.search(r"An item is already at '(.*)'", message):
        return f"{match[1]} is a setting already: leave out the + in front of it."
    if match := re.match(r"Multiple values for (.*)\. To override", message):
        return f"{match[1]} has a choice already: write {match[1]}=NAME, without + in front of it."
    if match := re.match(r"Could not override '(.*)'\. No match in the defaults list", message):
        group = match[1]
        if group.startswith("search/"):
            return f"{group} is no part of a grid: choose a search by search=NAME, or write +{group}=NAME."
        return f"{group} is no group of the files that were chosen. {SEE}"
    if "does not support deletion" in reason:
        return (
            f"{message.removeprefix('Error merging override ')}: this setting cannot be left out, only changed. {SEE}"
        )
    return f"{message.rstrip('.')}{'' if reason in message else f' ({reason})'}. {SEE}"


def _plain(message: str, overrides: Sequence[str]) -> str:
    if message.startswith("Config group"):
        groups = [override for override in overrides if re.fullmatch(r"[\w/]+=[-\d.]+", override)]
        return f"A group takes the name of a file in conf/, but the command has {' '.join(groups)}."
    return message.rstrip(".") + "."


def _typed(setting: str, overrides: Sequence[str]) -> str | None:
    """Return the last override of the setting, or of one below it."""
    keys = [(override.lstrip("+~").partition("=")[0], override) for override in overrides]
    return next((override for key, override in reversed(keys) if key == setting or key.startswith(f"{setting}.")), None)


def _group_of(setting: str, overrides: Sequence[str]) -> str | None:
    """Return the last override that gives the setting inside braces, such as `backbone.settings={dropout: 0.5}`."""
    groups = [one for one in overrides if setting.startswith(one.lstrip("+~").partition("=")[0] + ".")]
    return next((one for one in reversed(groups) if one.partition("=")[2].startswith("{")), None)


def _node(node: Any) -> DictConfig:
    return node if isinstance(node, DictConfig) else OmegaConf.create({})


def _root(node: Any) -> DictConfig:
    return _node(node._get_root()) if isinstance(node, DictConfig) else _node(node)


def plain_values(node: DictConfig) -> dict[Any, Any]:
    """Return a node as plain types, its references unresolved; empty for a list."""
    values = OmegaConf.to_container(node, resolve=False, enum_to_str=True)
    return values if isinstance(values, dict) else {}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()
