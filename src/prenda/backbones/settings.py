"""Checks of settings, shared by the backbones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def counts(setting: str, values: Sequence[Any], *, least: int = 1, empty: bool = False) -> list[int]:
    """Return the values as a list, if each is a whole number of at least `least`.

    Raises:
        ValueError: If not; the text names the setting and the value.
    """
    listed = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else None
    if listed is None or not (listed or empty) or not all(_whole(value) and value >= least for value in listed):
        some = "a list" if empty else "a list, not empty,"
        raise ValueError(
            f"{setting} is {values!r}: give {some} of whole numbers of at least {least}, such as [32, 64]."
        )
    return listed


def count(setting: str, value: Any, *, least: int = 1) -> int:
    """Return the value, if it is a whole number of at least `least`.

    Raises:
        ValueError: If not; the text names the setting and the value.
    """
    if not _whole(value) or value < least:
        raise ValueError(f"{setting} is {value!r}: it must be a whole number of at least {least}.")
    return int(value)


def stages(
    widths: Sequence[Any], setting: str, values: Sequence[Any], *, least: int = 1
) -> tuple[list[int], list[int]]:
    """Return the widths and another setting of the stages as lists, if both are whole numbers and equally many.

    Raises:
        ValueError: If not; the text names both settings and their values.
    """
    checked, others = counts("backbone.widths", widths), counts(setting, values, least=least)
    if len(checked) != len(others):
        raise ValueError(f"{setting} is {others} for backbone.widths={checked}: give both one number for each stage.")
    return checked, others


def halved(image_shape: tuple[int, int, int], count: int, times: int) -> None:
    """Check that images can be halved `times` times.

    Raises:
        ValueError: If not; the text names the setting and the size of the images.
    """
    _, height, width = image_shape
    if min(height, width) < 2**times:
        raise ValueError(
            f"backbone.widths has {count} stages, which need images of at least {2**times} pixels a side, but they are "
            f"{height}x{width}: give fewer stages or a larger data.image_size."
        )


def probability(setting: str, value: Any) -> float:
    """Return the value, if it is a valid dropout probability.

    Raises:
        ValueError: If not; the text names the setting and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{setting} is {value!r}: it must be a number, at least 0 and less than 1.")
    return float(value)


def flag(setting: str, value: Any) -> bool:
    """Return the value, if it is true or false.

    Raises:
        ValueError: If not; the text names the setting and the value.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{setting} is {value!r}: it must be true or false.")
    return value


def choice(setting: str, value: Any, valid: Iterable[str]) -> str:
    """Return the value, if it is one of `valid`.

    Raises:
        ValueError: If not; the text names the setting, the value and the valid values.
    """
    valid = list(valid)
    if value not in valid:
        raise ValueError(f"{setting} is {value!r}: choose one of {', '.join(valid)}.")
    return str(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
