"""Mapping of a data set's classes: merged, renamed or dropped, with names in other languages."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prenda.data.photo_layout import unusable
from prenda.errors import DataError

EXAMPLE = (
    "a line for each class: `old name: new name`, `old name: null` to drop it, or `old name: {name: new, es: nuevo}`"
)


@dataclass(frozen=True)
class ClassMapping:
    """New names of classes; a class that is not named keeps its name.

    Attributes:
        names: New name by old name; None drops the class.
        translations: Name in another language, by language and new name.
    """

    names: Mapping[str, str | None] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def new_name(self, old: str) -> str | None:
        """Return the new name of a class, or None if it is dropped."""
        return self.names.get(old, old)

    def check(self, known: Iterable[str], path: Path | None) -> None:
        """Raise DataError if the mapping names a class that the data set does not have."""
        classes = sorted(set(known))
        unknown = sorted(self.names.keys() - set(classes))
        if unknown:
            raise DataError(
                f"data.mapping is {path}, which names {', '.join(map(repr, unknown))}, but the classes are "
                f"{', '.join(classes)}: correct the name, or take the line out."
            )


def read_mapping(path: Path) -> ClassMapping:
    """Read a mapping from a YAML file.

    Raises:
        DataError: If the file cannot be read or is no mapping of classes.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"data.mapping is {path}, which cannot be read ({error.strerror}): give a YAML file with {EXAMPLE}."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"data.mapping is {path}, which is no YAML ({reason}): give {EXAMPLE}.") from error
    if not isinstance(content, dict) or not content:
        raise DataError(f"data.mapping is {path}, which has no lines of classes: give {EXAMPLE}.")
    return _parsed(path, content)


def _parsed(path: Path, content: dict[Any, Any]) -> ClassMapping:
    names: dict[str, str | None] = {}
    translations: dict[str, dict[str, str]] = {}
    for old, new in content.items():
        entry = new if isinstance(new, dict) else {"name": new}
        name, others = entry.get("name", str(old)), {key: text for key, text in entry.items() if key != "name"}
        texts = [old, *others, *others.values(), *([] if name is None else [name])]
        if not all(isinstance(text, str) and text.strip() for text in texts) or (name is None and others):
            raise DataError(
                f"data.mapping is {path}, whose line {reprlib.repr(old)}: {reprlib.repr(new)} is invalid: give "
                f"{EXAMPLE}. Names that YAML takes for a number or a truth value need quotes."
            )
        if problem := next(filter(None, map(unusable, texts)), None):
            raise DataError(f"data.mapping is {path}, whose line {old!r}: {new!r} has {problem}: give another name.")
        names[old] = name
        for language, text in others.items():
            if translations.setdefault(language, {}).setdefault(name, text) != text:
                raise DataError(
                    f"data.mapping is {path}, which gives {name!r} two names in {language!r}, "
                    f"{translations[language][name]!r} and {text!r}: give it one."
                )
    return ClassMapping(names, translations)
