"""What the repository's texts name: paths, links, dotted names, settings and commands, each with its line."""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO

from prenda.config.paths import REPOSITORY

# Records of what once was: their links, paths and names are checked, their commands are not.
HISTORY = re.compile(r"docs/decisions/0|docs/experiment-log\.md|CHANGELOG\.md")
READ = ("*.md", "docs/**/*.md", "conf/**/*.yaml", "src/**/*.py", "benchmarks/**/*.py", "benchmarks/**/*.md")
READ += (
    "mlruns/*.md",
    "Makefile",
    "pyproject.toml",
    ".ci/run",
    ".github/**/*.yml",
    "mkdocs.yml",
    ".pre-commit-config.yaml",
)
FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PROGRAMS = ("prenda", "python", "make", "torchrun", "eval")
STARTS = re.compile(rf"(?:[A-Z][A-Z_]*=\S+ )*(?:\.venv/bin/)?(?:{'|'.join(PROGRAMS)})(?: |$)")
PATH = re.compile(r"(?<![\w/.~-])((?:docs|tests|conf|benchmarks|src|\.ci|\.github)/[\w./*<>-]*)(?:::(\w+))?")
DOTTED = re.compile(r"(?<![\w./{-])prenda(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"(?:\]\(|(?:src|href)=\")(?!https?:|mailto:)([^)\"\s]+)")
SHOWN_FIRST = re.compile(r"#\s*(\S+\.(?:py|yaml))\s*\n")
SHOWN_BEFORE = re.compile(r"`([\w./-]+\.(?:py|yaml))`:\s*$")


@dataclass(frozen=True)
class Piece:
    """A part of a text, and the line that it starts on.

    Attributes:
        inline: It stands in a sentence, where a command may be named without its arguments.
    """

    line: int
    text: str
    inline: bool = False


@dataclass(frozen=True)
class Document:
    """A text of the repository.

    Attributes:
        name: Its path from the repository's root.
    """

    name: str
    text: str = field(repr=False)

    @classmethod
    def read(cls, name: str) -> Document:
        return cls(name, (REPOSITORY / name).read_text(encoding="utf-8"))

    @property
    def history(self) -> bool:
        return bool(HISTORY.match(self.name))

    @property
    def markdown(self) -> bool:
        return self.name.endswith(".md")

    def matches(self, pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
        for match in pattern.finditer(self.text):
            yield self._line(match.start()), match

    def links(self) -> Iterator[tuple[int, str]]:
        """Relative links and pictures of a Markdown page, outside of its code."""
        if self.markdown:
            page = Document(self.name, INLINE.sub(_blank, FENCE.sub(_blank, self.text)))
            for line, match in page.matches(LINK):
                yield line, match[1]

    def code(self) -> Iterator[Piece]:
        """What stands in backticks, in sentences of any language."""
        for piece in self._sentences():
            for match in INLINE.finditer(piece.text):
                line = piece.line + piece.text.count("\n", 0, match.start())
                yield Piece(line, " ".join(match[1].split()), inline=True)

    def commands(self) -> Iterator[Piece]:
        """Lines of fenced blocks and indented examples, and what stands in backticks, that start with a program."""
        yield from (piece for piece in self.code() if STARTS.match(piece.text))
        for piece in self._blocks() if self.markdown else self._indented():
            for line, text in joined_lines(piece.text):
                if STARTS.match(text):
                    yield Piece(piece.line + line, re.split(r"\s{2,}", text)[0])

    @cached_property
    def shown(self) -> dict[str, str]:
        """Example files that a page prints whole, by the path in their first line or right before the block."""
        files = {}
        for match in FENCE.finditer(self.text) if self.markdown else ():
            name = SHOWN_FIRST.match(match["text"]) or SHOWN_BEFORE.search(self.text[: match.start()].rstrip())
            if name:
                files[name[1]] = match["text"]
        return files

    def _sentences(self) -> Iterator[Piece]:
        if self.markdown:
            yield Piece(1, FENCE.sub(_blank, self.text))
        elif self.name.endswith(".py"):
            yield from python_texts(self.text)
        else:
            yield Piece(1, self.text)

    def _blocks(self) -> Iterator[Piece]:
        for line, match in self.matches(FENCE):
            if match["language"] in ("", "sh", "bash", "console", "shell", "text"):
                yield Piece(line + 1, match["text"])

    def _indented(self) -> Iterator[Piece]:
        """Lines of comments and strings that are set off by two spaces, and are then commands."""
        for piece in self._sentences():
            for number, line in enumerate(piece.text.splitlines()):
                match = re.match(r"\s*#?\s{2,}((?:prenda|python|make) .*)", line)
                if match:
                    yield Piece(piece.line + number, match[1])

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def documents() -> list[Document]:
    """Every text that is checked."""
    found = {path for pattern in READ for path in REPOSITORY.glob(pattern) if path.is_file()}
    return [Document.read(path.relative_to(REPOSITORY).as_posix()) for path in sorted(found)]


def joined_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 0, those that end with a backslash joined, a prompt taken away."""
    start, waiting = 0, ""
    for number, line in enumerate(text.splitlines()):
        start = start if waiting else number
        waiting += line.strip().removeprefix("$ ")
        if waiting.endswith("\\"):
            waiting = waiting[:-1].rstrip() + " "
            continue
        yield start, waiting
        waiting = ""


def python_texts(source: str) -> Iterator[Piece]:
    """Docstrings and other strings (VALUE in the place of what an f-string fills in), and blocks of comments."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values)
            yield Piece(node.lineno, "".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield Piece(node.lineno, inspect.cleandoc(node.value))
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Piece(token.start[0], token.string)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown page: its headings, and what HTML names."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub(_blank, text), re.M)
    return {slug(heading) for heading in headings} | set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text))
