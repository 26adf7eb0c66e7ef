"""MkDocs hooks: show linked files of the repository and Mermaid diagrams in a site that opens without a network."""

from __future__ import annotations

import hashlib
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[1]
SHOWN = "repository"  # folder of the site for files that lie outside docs/
LINK = re.compile(r"(?P<before>\]\(|src=\")(?P<target>[^)#\"\s:]+)")  # relative ones: an address has a colon
DIAGRAM = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json"}
log = logging.getLogger("mkdocs.hooks")  # a warning fails the build, which is strict


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file outside docs/ that a page links to, and for what those link to in turn."""
    waiting = [(file.src_uri, file.content_string) for file in files if file.src_uri.endswith(".md")]
    known = {file.src_uri for file in files}
    while waiting:
        source, markdown = waiting.pop()
        for path in _outside(source, markdown):
            page = _page_of(path)
            if page not in known:
                known.add(page)
                content = _content(path)
                added = File.generated(config, page, content=content)
                added.inclusion = added.inclusion.NOT_IN_NAV
                files.append(added)
                waiting.append((page, content))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Point links at the pages that `on_files` added, and put pictures in the place of Mermaid diagrams."""
    source = page.file.src_uri

    def link(match: re.Match[str]) -> str:
        target = _target(source, match["target"])
        if files.get_file_from_path(target) is None:
            return match[0]  # wrong: MkDocs says so
        return match["before"] + posixpath.relpath(target, posixpath.dirname(source) or ".")

    return DIAGRAM.sub(lambda match: _picture(source, match[1]), LINK.sub(link, markdown))


def _outside(source: str, markdown: str) -> Iterator[str]:
    """Yield the files of the repository outside docs/ that a page links to."""
    for match in LINK.finditer(markdown):
        path = _repository_path(source, match["target"])
        if not path.startswith("docs/") and (REPOSITORY / path).is_file():
            yield path


def _repository_path(source: str, target: str) -> str:
    """Return the path from the repository's root that a link of a page means."""
    home = source.removeprefix(f"{SHOWN}/") if source.startswith(f"{SHOWN}/") else f"docs/{source}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(home), target))


def _target(source: str, target: str) -> str:
    """Return the path within the site's sources that a link of a page means."""
    path = _repository_path(source, target)
    return path.removeprefix("docs/") if path.startswith("docs/") else _page_of(path)


def _page_of(path: str) -> str:
    return f"{SHOWN}/{path}" if path.endswith(".md") else f"{SHOWN}/{path}.md"


def _content(path: str) -> str:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n````{LANGUAGES.get(Path(path).suffix, 'text')}\n{text}````\n"


def _picture(source: str, diagram: str) -> str:
    name = f"images/diagram-{hashlib.sha256(diagram.encode()).hexdigest()[:8]}.svg"
    if not (REPOSITORY / "docs" / name).is_file():
        log.warning(
            f"{source} has a Mermaid diagram without its picture docs/{name}: draw it with "
            f"`npx @mermaid-js/mermaid-cli --input FILE.mmd --output docs/{name}`, FILE.mmd being the fenced text."
        )
    return f"![Diagram]({posixpath.relpath(name, posixpath.dirname(source) or '.')})"
