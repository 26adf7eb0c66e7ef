"""What a text names and the repository does not have."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from prenda.config.paths import REPOSITORY
from tests.docs import commands
from tests.docs.documents import DOTTED, PATH, Document, anchors


def problems(document: Document) -> list[str]:
    """Every path, link, name, setting and command of a text that leads nowhere, with its line."""
    found = [*_paths(document), *_links(document), *_names(document)]
    if not document.history:
        found += [*_commands(document), *_settings(document)]
    return [f"{document.name}:{line}: {text}" for line, text in sorted(found)]


def _paths(document: Document) -> Iterator[tuple[int, str]]:
    for line, match in document.matches(PATH):
        path = match[1].rstrip(".")
        if path in document.shown:
            continue
        # A word in capitals or <these> stands for a name: conf/GROUP/NAME.yaml is there if any file of any group is.
        pattern = re.sub(r"(?<=/)[A-Z]{2,}(?=[/.]|$)(?!\.md)|<\w+>", "*", path)
        there = (REPOSITORY / path).exists() or ("*" in pattern and any(REPOSITORY.glob(pattern)))
        if not there:
            yield line, f"there is no {path}"
        elif match[2] and f"def {match[2]}(" not in (REPOSITORY / path).read_text(encoding="utf-8"):
            yield line, f"{path} has no {match[2]}"
    for piece in document.code() if document.markdown else ():
        if re.fullmatch(r"\w+\.py", piece.text) and piece.text not in _script_names():
            yield piece.line, f"no file is called {piece.text}"
        if re.fullmatch(r"test_\w+", piece.text) and piece.text not in _tests():
            yield piece.line, f"there is no test {piece.text}"


@cache
def _script_names() -> frozenset[str]:
    return frozenset(path.name for part in ("src", "tests", "benchmarks") for path in (REPOSITORY / part).rglob("*.py"))


@cache
def _tests() -> frozenset[str]:
    """Names of tests, and names of the code that begin likewise, such as `test_images`."""
    tests, code = (REPOSITORY / "tests").rglob("*.py"), (REPOSITORY / "src").rglob("*.py")
    found = {name for file in tests for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))}
    return frozenset(found.union(*(re.findall(r"\btest_\w+", file.read_text(encoding="utf-8")) for file in code)))


def _links(document: Document) -> Iterator[tuple[int, str]]:
    for line, target in document.links():
        path, _, anchor = target.partition("#")
        file = (REPOSITORY / document.name).parent / path
        if path and not file.exists():
            yield line, f"the link {target} leads nowhere"
        elif anchor and not _has_anchor(file.read_text(encoding="utf-8") if path else document.text, anchor):
            yield line, f"{target} names no heading of {file.name if path else 'this page'}"


def _has_anchor(text: str, anchor: str) -> bool:
    if "\n::: prenda" in text and anchor.startswith("prenda."):
        return is_name(anchor)  # the site makes these from docstrings
    return anchor in anchors(text)


def _names(document: Document) -> Iterator[tuple[int, str]]:
    """Dotted names; of Python files those in backticks, because mypy and the tests see to the rest."""
    if document.name.endswith(".py"):
        named = [(piece.line, match) for piece in document.code() for match in DOTTED.finditer(piece.text)]
    else:
        named = list(document.matches(DOTTED))
    for line, match in named:
        name = re.sub(r"\.[A-Z]+$", "", match[0])  # prenda.history.TIME
        module = f"src/{name.rpartition('.')[0].replace('.', '/')}.py"
        if not (module in document.shown or name in _strings() or is_name(name)):
            yield line, f"{name} cannot be imported"


@cache
def _strings() -> frozenset[str]:
    """Names that are no Python: of MLflow's tags and of OmegaConf's resolvers."""
    files = (REPOSITORY / "src").rglob("*.py")
    return frozenset(
        name for file in files for name in re.findall(r"\"(prenda\.\w+)[\".]", file.read_text(encoding="utf-8"))
    )


@cache
def is_name(name: str) -> bool:
    """Whether a dotted name is a module, or something that a module or a class has."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(value, part):
                return _is_field(value, part)
            value = getattr(value, part)
        return True
    return False


def _is_field(value: Any, name: str) -> bool:
    if isinstance(value, ModuleType) or not dataclasses.is_dataclass(value):
        return False
    return name in {each.name for each in dataclasses.fields(value)}


def _commands(document: Document) -> Iterator[tuple[int, str]]:
    for piece in document.commands():
        wrong = commands.problem(piece.text, document.shown, piece.inline)
        if wrong:
            yield piece.line, f"`{piece.text}`: {wrong}"


def _settings(document: Document) -> Iterator[tuple[int, str]]:
    for piece in document.code():
        words = piece.text.split()
        if words and all(map(commands.is_setting, words)):
            wrong = commands.setting_problem(words, document.shown)
            if wrong:
                yield piece.line, f"`{piece.text}`: {wrong}"
