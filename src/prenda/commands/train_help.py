"""Help of `prenda train`: Hydra's text, with an explanation of each file of a group and of each setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from prenda.config.paths import CONFIG_DIR, REFERENCE

GROUP = re.compile(r"(?P<group>[a-z_/]+): (?P<names>[\w, ]+)")
SETTING = re.compile(r"(?P<indent> *)(?P<name>\w+):(?P<value> .*)?")
BRACKETS = re.compile(r" \([^)]*\)")  # sources
LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
GROUPS, SETTINGS = "Groups (", "Settings and their "  # headings of conf/train.yaml's help
WIDEST = 44  # columns of a setting and its value, before their meaning


def with_meanings(text: str) -> str:
    """Return Hydra's help text with a line for each file of a group, and a comment behind each setting."""
    lines, part, path = list[str](), "", list[str]()
    for line in text.splitlines():
        part = next((heading for heading in (GROUPS, SETTINGS, "Examples:") if line.startswith(heading)), part)
        if part == GROUPS and (group := GROUP.fullmatch(line)):
            lines += _files(group["group"], group["names"].split(", "))
        elif part == SETTINGS and (setting := SETTING.fullmatch(line)):
            path = [*path[: len(setting["indent"]) // 2], setting["name"]]
            meaning = meanings().get(".".join(path))
            lines.append(f"{line:<{WIDEST}}  # {meaning}" if meaning else line)
        else:
            lines.append(line)
    return "\n".join(lines)


def _files(group: str, names: list[str]) -> Iterator[str]:
    yield group
    for name in names:
        yield f"  {name:<16} {_first_sentence(CONFIG_DIR / group / f'{name}.yaml')}".rstrip()


def _first_sentence(path: Path) -> str:
    """Return the first sentence of a file's comment; empty for a file in a folder of --config-dir."""
    if not path.is_file():
        return ""
    comments = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = " ".join(comment for comment in comments if not comment.startswith("@package"))
    return _plain(re.split(r"\.(?: |$)", BRACKETS.sub("", text))[0])


@cache
def meanings() -> dict[str, str]:
    """Return the meaning of each setting by its dotted name, from the tables of the configuration reference."""
    if not REFERENCE.is_file():
        return {}
    found: dict[str, str] = {}
    column: int | None = None
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" |")] if line.startswith("|") else []
        if not cells:
            column = None
        elif cells[0] == "Setting":
            column = cells.index("Meaning") if "Meaning" in cells else None
        elif column is not None and len(cells) > column:
            found |= {name: _plain(cells[column]) for name in re.findall(r"`([\w.]+)`", cells[0])}
    return found


def _plain(markdown: str) -> str:
    return LINK.sub(r"\1", markdown).replace("`", "")
